//! Events as a server sends them, with lengths and checksums that are right: what stands in them is not.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use trireme::{
    binlog::{Event, Groups, Kind, Place, Query, TableMap, changes, table_of},
    write_set::tables_of,
};

const HEADER_BYTES: usize = 19;

/// One event out of the front of `data`: a byte for its kind, one for its flags, two for the length of its body.
fn event<'a>(data: &'a [u8], end: &mut u32) -> Option<(Bytes, &'a [u8])> {
    let (&[kind, flags, low, high], rest) = data.split_first_chunk()?;
    let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
    let (body, rest) = rest.split_at(length);
    let total = (HEADER_BYTES + body.len() + 4) as u32;
    *end += total;
    let mut bytes = vec![0, 0, 0, 0, kind, 1, 0, 0, 0];
    bytes.extend(total.to_le_bytes());
    bytes.extend(end.to_le_bytes());
    bytes.extend([flags, 0]);
    bytes.extend(body);
    let checksum = crc32fast::hash(&bytes);
    bytes.extend(checksum.to_le_bytes());
    Some((bytes.into(), rest))
}

fuzz_target!(|data: &[u8]| {
    let _ = Event::new(Bytes::copy_from_slice(data));
    let mut groups = Groups::from(Place {
        file: "binlog.000001".to_owned(),
        position: 4,
    });
    let (mut rest, mut end, mut follows) = (data, 4, true);
    let (mut events, mut map) = (Vec::new(), None);
    while let Some((bytes, after)) = event(rest, &mut end) {
        rest = after;
        follows = follows && groups.take(bytes.clone()).is_ok();
        let event = Event::new(bytes).expect("its length and checksum are right");
        if event.kind() == Kind::TABLE_MAP {
            map = TableMap::decode(event.body());
        } else if event.kind().is_rows() {
            let _ = table_of(&event);
            if let Some(map) = &map {
                let _ = changes(&event, map);
            }
        } else if let Some(query) = Query::decode(event.body()) {
            for is_mariadb in [false, true] {
                let _ = query.settings(event.second(), is_mariadb);
            }
        }
        events.push(event);
    }
    let _ = tables_of(&events);
});
