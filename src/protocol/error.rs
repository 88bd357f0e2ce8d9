//! The ERR packet.

use super::{errno::ErrorCode, packet, packet::ERR};

/// An error as a server sends it.
///
/// | bytes | field |
/// |---|---|
/// | 1 | 0xff |
/// | 2 | error number, little endian |
/// | 1 + 5 | `#` and the SQLSTATE; absent before the client has told its capabilities |
/// | rest | message |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPacket {
    pub code: ErrorCode,
    pub message: String,
}

/// What a server keeps of a message, in bytes (`MYSQL_ERRMSG_SIZE`).
const MAX_MESSAGE_BYTES: usize = 512;

impl ErrorPacket {
    /// The packet that stands in the place of a greeting: sequence number 0 and no SQLSTATE.
    pub fn encode_as_greeting(&self) -> Vec<u8> {
        packet::frame(0, &self.payload_with(&[]))
    }

    /// The packet with the number that follows the client's last packet.
    pub fn encode(&self, sequence: u8) -> Vec<u8> {
        packet::frame(sequence, &self.payload())
    }

    /// The packet without its header.
    pub fn payload(&self) -> Vec<u8> {
        let mut state = *b"#.....";
        state[1..].copy_from_slice(self.code.state);
        self.payload_with(&state)
    }

    fn payload_with(&self, state: &[u8]) -> Vec<u8> {
        let message = &self.message[..self.message.floor_char_boundary(MAX_MESSAGE_BYTES)];
        let number = self.code.number.to_le_bytes();
        [&[ERR], &number[..], state, message.as_bytes()].concat()
    }
}

/// The error number and the message of an ERR packet, with or without a SQLSTATE.
pub fn decode(payload: &[u8]) -> Option<(u16, String)> {
    let &[ERR, low, high, ref rest @ ..] = payload else {
        return None;
    };
    let message = match rest {
        [b'#', _, _, _, _, _, message @ ..] => message,
        message => message,
    };
    let message = String::from_utf8_lossy(message).into_owned();
    Some((u16::from_le_bytes([low, high]), message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::errno;

    #[test]
    fn an_error_is_read_with_and_without_its_state() {
        for (payload, expected) in [
            (
                &b"\xff\x48\x04#HY000No tables"[..],
                Some((1096, "No tables")),
            ),
            (b"\xff\x10\x04Too many", Some((1040, "Too many"))),
            (b"\xff\x10\x04", Some((1040, ""))),
            (b"\xff\x10", None),
            (b"\x00\x10\x04", None),
        ] {
            let expected = expected.map(|(number, message)| (number, message.to_owned()));
            assert_eq!(decode(payload), expected, "{payload:?}");
        }
    }

    #[test]
    fn errors_are_as_the_server_sends_them() {
        let packet = ErrorPacket {
            code: errno::HANDSHAKE,
            message: "Bad handshake".into(),
        };
        assert_eq!(
            packet.encode_as_greeting(),
            b"\x10\x00\x00\x00\xff\x13\x04Bad handshake"
        );
        assert_eq!(
            packet.encode(2),
            b"\x16\x00\x00\x02\xff\x13\x04#08S01Bad handshake"
        );
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let packet = ErrorPacket {
            code: errno::UNKNOWN_COMMAND,
            message: "x".to_owned() + &"ä".repeat(400),
        };
        let bytes = packet.encode_as_greeting();
        assert_eq!(bytes.len(), 4 + 3 + MAX_MESSAGE_BYTES - 1);
        assert!(std::str::from_utf8(&bytes[7..]).is_ok());
    }
}
