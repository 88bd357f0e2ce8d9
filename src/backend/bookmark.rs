//! The bookmark: how far of its server's binlog a node has read. From there it goes on at its next start, and
//! sees what was committed while it did not run.

use super::{BackdoorCommit, Connection, ConnectionError};
use crate::{binlog::Place, id::NodeId, sql::hex};

/// Beyond this no reader can begin. What makes a file so long is its last group.
const FAR: u64 = u32::MAX as u64;

/// The statement that sets the bookmark of a node.
pub(super) fn set(node: NodeId, place: &Place) -> String {
    let Place { file, position } = place;
    format!(
        "REPLACE INTO trireme_private.bookmark VALUES (0, '{node}', X'{}', {position})",
        hex(file)
    )
}

/// The statement that removes it: the next start reads from the end of the binlog that there is then.
pub(super) const REMOVE: &str = "DELETE FROM trireme_private.bookmark";

/// Sets the bookmark.
///
/// # Errors
/// The connection fails.
pub(super) async fn save(
    own: &mut Connection,
    node: NodeId,
    place: &Place,
) -> Result<(), ConnectionError> {
    own.run_unlogged(&[set(node, place)]).await
}

/// Where a node is to go on reading; with what it cannot read any more, if there is something. A server that has
/// not met the node, or is a copy of another node's, is read from its present `end` on.
///
/// # Errors
/// The connection fails.
pub(super) async fn find(
    own: &mut Connection,
    node: NodeId,
    end: Place,
) -> Result<(Place, Option<BackdoorCommit>), ConnectionError> {
    let sql = format!("SELECT file, place FROM trireme_private.bookmark WHERE node = '{node}'");
    let rows = own.query(&sql).await?;
    let Some(row) = rows.first() else {
        return Ok((end, None));
    };
    let place = row
        .place(0)
        .ok_or(ConnectionError::Malformed("a bookmark"))?;
    let rows = own.query("SHOW BINARY LOGS").await?;
    let files: Option<Vec<_>> = rows.iter().map(|row| row.place(0)).collect();
    let files = files.ok_or(ConnectionError::Malformed("a list of binlogs"))?;
    Ok(go_on(place, &files, end))
}

/// What cannot be read any more from `place` on.
pub(super) fn unreadable(place: Place) -> BackdoorCommit {
    let what = "what may have been committed since, in a binlog that is not there any more";
    BackdoorCommit {
        what: what.to_owned(),
        place,
    }
}

/// Where to go on that has come to `place`, in binlogs that end at these places. A crash may have taken the end
/// of the last one that there was then.
fn go_on(place: Place, files: &[Place], end: Place) -> (Place, Option<BackdoorCommit>) {
    let start_of = |at: usize| {
        files.get(at).map_or(end, |file| Place {
            file: file.file.clone(),
            position: Place::MAGIC_BYTES,
        })
    };
    match files.iter().position(|file| file.file == place.file) {
        Some(at) if place.position > files[at].position.min(FAR) => (start_of(at + 1), None),
        Some(_) => (place, None),
        None => (start_of(0), Some(unreadable(place))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(file: &str, position: u64) -> Place {
        Place {
            file: file.to_owned(),
            position,
        }
    }

    #[test]
    fn reading_goes_on_where_it_was_or_with_what_a_crash_has_left() {
        let files = [("b.1", 100), ("b.2", 1 << 33), ("b.3", 50)];
        let files = files.map(|(file, bytes)| place(file, bytes));
        let end = place("b.3", 50);
        for (from, expected, is_lost) in [
            (place("b.1", 60), place("b.1", 60), false),
            (place("b.1", 100), place("b.1", 100), false),
            (place("b.1", 101), place("b.2", 4), false),
            (place("b.2", 1 << 33), place("b.3", 4), false),
            (place("b.3", 51), end.clone(), false),
            (place("b.0", 60), place("b.1", 4), true),
        ] {
            let (found, lost) = go_on(from.clone(), &files, end.clone());
            assert_eq!((&found, lost.is_some()), (&expected, is_lost), "{from}");
        }
    }
}
