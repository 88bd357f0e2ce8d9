//! The id of an XA transaction, and the event that says one has been prepared.
//!
//! | bytes of an `XA_PREPARE` event's body | field |
//! |---|---|
//! | 1 | 1 when it was committed in one phase, without having been prepared |
//! | 4 | format id |
//! | 4 | length g of the global id |
//! | 4 | length b of the branch qualifier |
//! | g + b | global id, branch qualifier |
//!
//! Source: `XA_prepare_log_event` in the MySQL and MariaDB source documentation.

/// Neither part may be longer: `MAXGTRIDSIZE` and `MAXBQUALSIZE` of the X/Open standard.
const MAX_PART_BYTES: usize = 64;

/// The id that an XA transaction was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Xid {
    pub format: u32,
    pub global: Vec<u8>,
    pub branch: Vec<u8>,
}

/// What an `XA_PREPARE` event says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prepare {
    pub(super) one_phase: bool,
    pub(super) xid: Xid,
}

impl Prepare {
    /// Reads the body of the event; `None` when it is malformed.
    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let (&one_phase, rest) = body.split_first()?;
        let (format, rest) = rest.split_first_chunk()?;
        let (global, rest) = rest.split_first_chunk()?;
        let (branch, rest) = rest.split_first_chunk()?;
        let (global, branch) = (length(*global)?, length(*branch)?);
        if rest.len() != global + branch {
            return None;
        }
        let (global, branch) = rest.split_at(global);
        Some(Self {
            one_phase: one_phase != 0,
            xid: Xid {
                format: u32::from_le_bytes(*format),
                global: global.to_vec(),
                branch: branch.to_vec(),
            },
        })
    }
}

fn length(bytes: [u8; 4]) -> Option<usize> {
    let length = u32::from_le_bytes(bytes) as usize;
    (length <= MAX_PART_BYTES).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_parts_of_an_id() {
        let body = b"\0\x01\0\0\0\x04\0\0\0\x02\0\0\0n1-1bq";
        let prepare = Prepare::decode(body).unwrap();
        assert!(!prepare.one_phase);
        let xid = Xid {
            format: 1,
            global: b"n1-1".to_vec(),
            branch: b"bq".to_vec(),
        };
        assert_eq!(prepare.xid, xid);
        for end in 0..body.len() {
            assert_eq!(Prepare::decode(&body[..end]), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(body: Vec<u8>) {
            let _ = Prepare::decode(&body);
        }
    }
}
