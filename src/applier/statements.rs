//! Row events as `BINLOG` statements.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use crate::binlog::{Event, Kind};

/// The `BINLOG` statements that apply row events, each with no more than `limit` bytes of events
/// unless a single one and its table maps are larger.
///
/// A statement of the origin may be spread over several of them: each has the table maps that it
/// needs, and its last event says that a statement ends.
pub(super) fn statements(events: impl IntoIterator<Item = Event>, limit: usize) -> Vec<String> {
    let mut statements = Vec::new();
    let mut maps: Vec<Event> = Vec::new();
    let mut taken: Vec<Event> = Vec::new();
    let mut bytes = 0;
    let mut rows_came = false;
    for event in events {
        let is_map = event.kind() == Kind::TABLE_MAP;
        if is_map && rows_came {
            maps.clear();
        }
        rows_came = !is_map;
        let starts_anew = !is_map || maps.is_empty();
        if bytes + event.bytes().len() > limit && starts_anew && taken.iter().any(is_rows) {
            statements.push(statement(&mut taken));
            taken.extend_from_slice(&maps);
            bytes = maps.iter().map(|map| map.bytes().len()).sum();
        }
        if is_map {
            maps.push(event.clone());
        }
        bytes += event.bytes().len();
        taken.push(event);
    }
    if !taken.is_empty() {
        statements.push(statement(&mut taken));
    }
    statements
}

/// The statement that tells the server how the events of the next ones are to be read.
pub(super) fn format_statement(format: &Bytes) -> String {
    format!("BINLOG '{}'", STANDARD.encode(format))
}

fn is_rows(event: &Event) -> bool {
    event.kind().is_rows()
}

fn statement(events: &mut Vec<Event>) -> String {
    let mut bytes = Vec::new();
    let last = events.iter().rposition(is_rows);
    for (at, event) in events.drain(..).enumerate() {
        if Some(at) == last {
            bytes.extend_from_slice(event.ending_a_statement().bytes());
        } else {
            bytes.extend_from_slice(event.bytes());
        }
    }
    format!("BINLOG '{}'", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::written_event;

    fn map(id: u8) -> Event {
        written_event(Kind::TABLE_MAP, 0, &[id; 30])
    }

    fn rows(id: u8) -> Event {
        written_event(Kind(30), 0, &[id, 0, 0, 0, 0, 0, 0, 0, id])
    }

    /// The last bytes of the events' bodies in each statement, and the lowest flag of row events.
    fn shape(events: &[Event], limit: usize) -> Vec<Vec<(u8, u8)>> {
        let statements = statements(events.to_vec(), limit);
        let events = statements.iter().map(|statement| {
            let text = statement.strip_prefix("BINLOG '").unwrap();
            let bytes = STANDARD.decode(text.strip_suffix('\'').unwrap()).unwrap();
            let mut bytes = Bytes::from(bytes);
            let mut shape = Vec::new();
            while !bytes.is_empty() {
                let length = u32::from_le_bytes(bytes[9..13].try_into().unwrap());
                let event = Event::new(bytes.split_to(length as usize)).unwrap();
                let body = event.body();
                shape.push((
                    *body.last().unwrap(),
                    if is_rows(&event) { body[6] } else { 9 },
                ));
            }
            shape
        });
        events.collect()
    }

    #[test]
    fn statements_are_cut_between_events_and_keep_their_table_maps() {
        let events = [map(1), map(2), rows(1), rows(2), map(3), rows(3)];
        let whole = vec![(1, 9), (2, 9), (1, 0), (2, 0), (3, 9), (3, 1)];
        assert_eq!(shape(&events, 10_000), [whole]);
        let apart = vec![
            vec![(1, 9), (2, 9), (1, 1)],
            vec![(1, 9), (2, 9), (2, 1)],
            vec![(3, 9), (3, 1)],
        ];
        assert_eq!(shape(&events, 1), apart);
        assert_eq!(shape(&[], 1), [[]; 0]);
    }
}
