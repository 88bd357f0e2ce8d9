//! The ERR packet.

use super::packet::Header;

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
    pub code: u16,
    pub message: String,
}

/// What a server keeps of a message, in bytes (`MYSQL_ERRMSG_SIZE`).
const MAX_MESSAGE_BYTES: usize = 512;

impl ErrorPacket {
    /// The packet that stands in the place of a greeting: sequence number 0 and no SQLSTATE.
    pub fn encode_as_greeting(&self) -> Vec<u8> {
        let mut end = self.message.len().min(MAX_MESSAGE_BYTES);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        let message = &self.message.as_bytes()[..end];
        let header = Header {
            length: 3 + message.len() as u32,
            sequence: 0,
        };
        let mut bytes = header.encode().to_vec();
        bytes.push(0xff);
        bytes.extend(self.code.to_le_bytes());
        bytes.extend(message);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greeting_error_is_as_the_server_sends_it() {
        let packet = ErrorPacket {
            code: 1040,
            message: "Too many connections".into(),
        };
        assert_eq!(
            packet.encode_as_greeting(),
            b"\x17\x00\x00\x00\xff\x10\x04Too many connections"
        );
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let packet = ErrorPacket {
            code: 1047,
            message: "ä".repeat(400) + "x",
        };
        let bytes = packet.encode_as_greeting();
        assert_eq!(bytes.len(), 4 + 3 + MAX_MESSAGE_BYTES);
        assert!(std::str::from_utf8(&bytes[7..]).is_ok());
    }
}
