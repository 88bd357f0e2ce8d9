//! Packet framing.
//!
//! A payload travels in frames of at most 2^24 - 1 bytes; a full frame says that another follows,
//! so a payload of exactly that length ends with an empty frame.
//!
//! | bytes | field |
//! |---|---|
//! | 3 | length of the frame's payload, little endian |
//! | 1 | sequence number, counted modulo 256 from the start of a command |
//!
//! Source: "MySQL Packets" in the MySQL source documentation.

/// The length of a frame that says another one follows.
pub const MAX_FRAME: u32 = 0x00ff_ffff;

/// The four bytes before each frame's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of payload in this frame, at most [`MAX_FRAME`].
    pub length: u32,
    pub sequence: u8,
}

impl Header {
    /// Bytes on the wire.
    pub const LEN: usize = 4;

    pub fn decode(bytes: [u8; Self::LEN]) -> Self {
        let [a, b, c, sequence] = bytes;
        Self {
            length: u32::from_le_bytes([a, b, c, 0]),
            sequence,
        }
    }

    pub fn encode(self) -> [u8; Self::LEN] {
        debug_assert!(self.length <= MAX_FRAME);
        let [a, b, c, _] = self.length.to_le_bytes();
        [a, b, c, self.sequence]
    }

    /// Whether the payload goes on in a frame after this one.
    pub fn continues(self) -> bool {
        self.length == MAX_FRAME
    }
}

/// The first byte of an OK packet.
pub const OK: u8 = 0x00;
/// The first byte of an EOF packet, and of the OK that stands in its place after rows.
pub const END: u8 = 0xfe;
/// The first byte of an ERR packet.
pub const ERR: u8 = 0xff;

/// The bytes of a packet of any length.
pub fn frame(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(Header::LEN + payload.len());
    write(&mut bytes, sequence, payload);
    bytes
}

/// Writes a packet of any length to `out`; gives the sequence number after its last frame's.
pub fn write(out: &mut Vec<u8>, mut sequence: u8, payload: &[u8]) -> u8 {
    let full = MAX_FRAME as usize;
    for start in (0..=payload.len()).step_by(full) {
        let part = &payload[start..payload.len().min(start + full)];
        let header = Header {
            length: part.len() as u32,
            sequence,
        };
        out.extend_from_slice(&header.encode());
        out.extend_from_slice(part);
        sequence = sequence.wrapping_add(1);
    }
    sequence
}

/// The start of a packet: enough of it to tell what the packet is.
///
/// An OK packet's status flags, a column count and the counts of a prepared statement all lie
/// within [`Head::LEN`] bytes of the payload, so nothing else of a packet needs to be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    pub header: Header,
    /// The first bytes of the payload: all of it, or [`Head::LEN`] of them.
    pub payload: &'a [u8],
}

impl<'a> Head<'a> {
    /// Bytes of payload that are looked at.
    pub const LEN: usize = 32;

    /// Reads from the start of `bytes`; `None` when they end before the head does.
    pub fn peek(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk()?;
        let header = Header::decode(*header);
        let payload = rest.get(..Self::LEN.min(header.length as usize))?;
        Some(Self { header, payload })
    }

    /// Whether this is an ERR packet of the server.
    pub fn is_error(&self) -> bool {
        self.payload.first() == Some(&ERR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_a_full_frame_continues() {
        for (bytes, length, continues) in [
            ([0, 0, 0, 3], 0, false),
            ([1, 2, 0, 3], 0x201, false),
            ([0xfe, 0xff, 0xff, 3], 0xff_fffe, false),
            ([0xff, 0xff, 0xff, 3], 0xff_ffff, true),
        ] {
            let header = Header::decode(bytes);
            assert_eq!(
                header,
                Header {
                    length,
                    sequence: 3
                }
            );
            assert_eq!(header.continues(), continues);
        }
    }

    #[test]
    fn a_long_packet_ends_with_a_frame_that_is_not_full() {
        let full = MAX_FRAME as usize;
        for (length, frames_expected) in [(0, 1), (1, 1), (full - 1, 1), (full, 2), (full + 1, 2)] {
            let mut bytes = Vec::new();
            let next = write(&mut bytes, 255, &vec![7; length]);
            assert_eq!(bytes.len(), length + frames_expected * Header::LEN);
            assert_eq!(next, 255u8.wrapping_add(frames_expected as u8));
            let last = bytes.len() - length % full - Header::LEN;
            let header: [u8; 4] = bytes[last..last + 4].try_into().unwrap();
            assert_eq!(Header::decode(header).length as usize, length % full);
        }
    }

    proptest! {
        #[test]
        fn every_header_survives_the_wire(bytes: [u8; 4]) {
            prop_assert_eq!(Header::decode(bytes).encode(), bytes);
        }
    }
}
