//! Authentication, from the client's answer (or its `COM_CHANGE_USER`) to the server's verdict.
//!
//! What the two sides say belongs to the plugin of the account and is relayed as it is: a request
//! to switch plugins, a public key, an encrypted password. Source: "Authentication Method" in the
//! MySQL source documentation. A plugin's own data never starts like a verdict: servers put a byte
//! 0x01 before data that would.

use super::packet::{ERR, OK};

/// What a packet of the server means for the dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialogue {
    /// The server wants something of the client, or tells it something.
    Open,
    /// The server goes on by itself.
    ServerContinues,
    /// An OK: the client is who it says.
    Accepted,
    /// An ERR.
    Refused,
}

/// `caching_sha2_password`'s word that the scramble was right; the OK follows.
const FAST_AUTH_OK: &[u8] = b"\x01\x03";

/// Where the dialogue stands after a packet of the server.
pub fn after(payload: &[u8]) -> Dialogue {
    match payload {
        [OK, ..] => Dialogue::Accepted,
        [ERR, ..] => Dialogue::Refused,
        FAST_AUTH_OK => Dialogue::ServerContinues,
        _ => Dialogue::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_and_questions() {
        for (payload, expected) in [
            (&b"\0\0\0\x02\0\0\0"[..], Dialogue::Accepted),
            (b"\xff\x15\x04#28000Access denied", Dialogue::Refused),
            (b"\xfemysql_native_password\0scramble\0", Dialogue::Open),
            (b"\xfe", Dialogue::Open),
            (b"\x01\x03", Dialogue::ServerContinues),
            (b"\x01\x04", Dialogue::Open),
            (b"\x01-----BEGIN PUBLIC KEY-----", Dialogue::Open),
            (b"\x04Password: ", Dialogue::Open),
            (b"", Dialogue::Open),
        ] {
            assert_eq!(after(payload), expected);
        }
    }
}
