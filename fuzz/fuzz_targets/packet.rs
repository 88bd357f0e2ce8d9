//! What a client and a server send: frames, the first packets with their attributes, answers of every shape.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trireme::protocol::{
    attributes,
    capability::Capabilities,
    command::{Command, Shape},
    error,
    handshake::{connection_id, mask_answer, mask_greeting, server_version},
    packet::{Head, Header},
    response::{Response, Status},
};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let mut payload = data.to_vec();
    let offered = mask_greeting(&mut payload);
    let _ = (server_version(data), connection_id(data));
    if let Ok(offered) = offered {
        let mut answer = data.to_vec();
        let _ = mask_answer(&mut answer, offered);
    }
    let _ = mask_answer(&mut payload, Capabilities(u64::MAX));
    attributes::add(&mut payload, Capabilities(u64::MAX), "name", "value");
    let _ = (error::decode(data), Status::of_ok(data), Command::of(data));

    let shapes = [Shape::Single, Shape::Results, Shape::Prepared, Shape::Rows];
    let capabilities = if choice & 4 == 0 { 0 } else { u64::MAX };
    let mut response = Response::new(shapes[usize::from(choice & 3)], Capabilities(capabilities));
    let mut rest = data;
    while let Some(head) = Head::peek(rest) {
        if response.packet(&head).is_err() {
            return;
        }
        let _ = response.status();
        let length = Header::LEN + head.header.length as usize;
        rest = rest.get(length..).unwrap_or_default();
    }
});
