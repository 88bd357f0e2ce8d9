//! Clients behind a balancer, which says whose connection it passes on.

use std::net::SocketAddr;

use crate::{
    authentication::{self, greeting},
    bad_input::error,
    script::{Script, packet},
};

const TRUSTED: &str = "client.proxy_protocol_from = ['127.0.0.0/8']";
/// With `CLIENT_CONNECT_ATTRS`.
const CAPABILITIES: u32 = 0x019a_a685;
const PLUGIN: &str = "mysql_native_password";
const V1: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 3306\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xcb\0\x71\x09\xc0\0\x02\x01\xc3\x50\x0c\xea\x04\0\x01x";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A client's answer with an attribute of its own, and with where it is, if that is said.
fn answer(at: Option<SocketAddr>) -> Vec<u8> {
    let mut attributes = b"\x01a\x01b".to_vec();
    if let Some(at) = at {
        let value = at.to_string();
        for text in ["trireme_client", &value] {
            attributes.push(text.len() as u8);
            attributes.extend(text.as_bytes());
        }
    }
    let mut payload = authentication::answer(CAPABILITIES, b"", PLUGIN)[4..].to_vec();
    payload.push(attributes.len() as u8);
    payload.extend(attributes);
    packet(1, &payload)
}

async fn greeted(configured: &str) -> Script {
    let mut script = Script::start_with(configured).await;
    script.server(&greeting(0xffdf, 0xdbff, PLUGIN)).await;
    script
}

#[tokio::test]
async fn the_server_is_told_where_the_client_is() {
    let original = "203.0.113.9:50000".parse().unwrap();
    for (header, expected) in [
        (V1, Some(original)),
        (V2, Some(original)),
        (LOCAL, None),
        (b"PROXY UNKNOWN\r\n", None),
        (b"", None),
    ] {
        let mut script = greeted(TRUSTED).await;
        let at = expected.unwrap_or(script.client_address());
        let sent = [header, &answer(None)].concat();
        let arrives = answer(Some(at));
        script.client_arrives(&sent, &arrives).await;
        script.server(&packet(2, b"\0\0\0\x02\0\0\0")).await;
        script.client(b"\x01\0\0\0\x0e").await;
    }
}

#[tokio::test]
async fn a_header_that_counts_for_nothing_ends_the_connection() {
    let half = &V1[..40];
    let endless = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
    let long = [&V2[..14], b"\xff\xff", &[0; 8192]].concat();
    for (configured, sent, reason) in [
        ("", V1, "none of this node's client.proxy_protocol_from"),
        (
            "client.proxy_protocol_from = ['192.0.2.1']",
            V2,
            "client.proxy_protocol_from",
        ),
        (
            TRUSTED,
            &[half, b" and what is none\r\n"].concat(),
            "begins like a PROXY header",
        ),
        (TRUSTED, &endless, "begins like a PROXY header"),
        (TRUSTED, &long, "begins like a PROXY header"),
    ] {
        let mut script = greeted(configured).await;
        script.client_says(sent).await;
        script.client_says(&answer(None)).await;
        let said = script.node_closes().await;
        let (sequence, number, message) = error(&said);
        assert_eq!((sequence, number), (2, 1043), "{message}");
        assert!(message.contains(reason), "{message}");
    }
}

#[tokio::test]
async fn a_balancer_that_only_looks_leaves_nothing_behind() {
    let mut script = greeted(TRUSTED).await;
    script.client_says(LOCAL).await;
    assert_eq!(script.client_closes().await, b"");
    let mut script = greeted(TRUSTED).await;
    script.client_says(&V1[..20]).await;
    assert_eq!(script.client_closes().await, b"");
}
