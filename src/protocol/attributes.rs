//! Connection attributes: what a client tells about itself in its answer to the greeting.
//!
//! What comes before them decides where they are; which of it is there, the capabilities say:
//!
//! | answer, from byte 32 | there if |
//! |---|---|
//! | user, zero | always |
//! | authentication data after their length: length-encoded | `CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA` |
//! | … in one byte | else `CLIENT_SECURE_CONNECTION` |
//! | … before a zero | else |
//! | schema, zero | `CLIENT_CONNECT_WITH_DB` |
//! | name of the authentication plugin, zero | `CLIENT_PLUGIN_AUTH` |
//! | attributes after their length in bytes: names and values, each after its length | `CLIENT_CONNECT_ATTRS` |
//! | level of zstd's compression | `CLIENT_ZSTD_COMPRESSION_ALGORITHM` |
//!
//! Source: "Protocol::HandshakeResponse41" in the MySQL source documentation.

use mysql_common::io::BufMutExt;

use super::{capability::Capabilities, lenenc};

/// Where the user's name starts.
const USER: usize = 32;
/// Servers refuse more.
const MAX_BYTES: usize = 64 * 1024;

/// Adds an attribute to those of a client's answer, if it has any and there is room; `offered` is what the server has
/// offered. A client that sends none sends none with `COM_CHANGE_USER` either, where the server would miss them. An
/// answer that does not end where it should is left as it is: the server will judge it.
pub fn add(answer: &mut Vec<u8>, offered: Capabilities, name: &str, value: &str) {
    if let Some(added) = with(answer, offered, name, value) {
        *answer = added;
    }
}

fn with(answer: &[u8], offered: Capabilities, name: &str, value: &str) -> Option<Vec<u8>> {
    let asked = u32::from_le_bytes(*answer.first_chunk()?);
    let asked = Capabilities(asked.into());
    let places = Capabilities::PLUGIN_AUTH_LENENC
        | Capabilities::SECURE_CONNECTION
        | Capabilities::CONNECT_WITH_DB
        | Capabilities::PLUGIN_AUTH;
    if !asked.has(Capabilities::CONNECT_ATTRS)
        || !offered.has(asked & places | Capabilities::CONNECT_ATTRS)
    {
        return None;
    }
    let mut rest = after_zero(answer.get(USER..)?)?;
    rest = if asked.has(Capabilities::PLUGIN_AUTH_LENENC) {
        after_length(rest)?
    } else if asked.has(Capabilities::SECURE_CONNECTION) {
        let (&length, rest) = rest.split_first()?;
        rest.get(length.into()..)?
    } else {
        after_zero(rest)?
    };
    for part in [Capabilities::CONNECT_WITH_DB, Capabilities::PLUGIN_AUTH] {
        if asked.has(part) {
            rest = after_zero(rest)?;
        }
    }
    let before = answer.len() - rest.len();
    let (length, rest) = lenenc::split(rest)?;
    let (attributes, rest) = rest.split_at_checked(length.try_into().ok()?)?;
    let mut attributes = attributes.to_vec();
    for text in [name, value] {
        attributes.put_lenenc_str(text.as_bytes());
    }
    if attributes.len() > MAX_BYTES {
        return None;
    }
    let mut added = answer[..before].to_vec();
    added.put_lenenc_str(&attributes);
    added.extend_from_slice(rest);
    Some(added)
}

fn after_zero(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    bytes.get(end + 1..)
}

fn after_length(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = lenenc::split(bytes)?;
    rest.get(length.try_into().ok()?..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: Capabilities = Capabilities(0xffff_ffff);
    const ATTRS: u32 = 1 << 20;

    fn answer(capabilities: u32, rest: &[u8]) -> Vec<u8> {
        let mut answer = capabilities.to_le_bytes().to_vec();
        answer.extend([7; 28]);
        answer.extend_from_slice(rest);
        answer
    }

    #[test]
    fn an_attribute_is_added_after_those_that_are_there() {
        let (db, secure, plugin, lenenc) = (1 << 3, 1 << 15, 1 << 19, 1 << 21);
        for (capabilities, before, after) in [
            (0, &b"me\0hash\0\0"[..], &b"me\0hash\0\x04\x01n\x01v"[..]),
            (secure, b"me\0\x02\0h\0", b"me\0\x02\0h\x04\x01n\x01v"),
            (
                lenenc | secure,
                b"\0\xfc\x02\0\0h\0",
                b"\0\xfc\x02\0\0h\x04\x01n\x01v",
            ),
            (
                secure | db | plugin,
                b"me\0\0db\0plug\0\x04\x01a\x01bz",
                b"me\0\0db\0plug\0\x08\x01a\x01b\x01n\x01vz",
            ),
        ] {
            let mut given = answer(capabilities | ATTRS, before);
            add(&mut given, ALL, "n", "v");
            assert_eq!(given, answer(capabilities | ATTRS, after), "{before:?}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_left_as_it_is() {
        let secure = 1 << 15;
        let full = [b"me\0\0\xfe\0\0\x01\0\0\0\0\0", &[0; 1 << 16][..]].concat();
        for (capabilities, offered, rest) in [
            (secure, secure | ATTRS, &b"me\0\0"[..]),
            (secure | ATTRS, ATTRS, b"me\0\0\0"),
            (secure | ATTRS, secure, b"me\0\0\0"),
            (secure | ATTRS, secure | ATTRS, b"me\0\x05"),
            (secure | ATTRS, secure | ATTRS, b"me\0\0"),
            (secure | ATTRS, secure | ATTRS, b"me"),
            (secure | ATTRS, secure | ATTRS, b"me\0\0\x05a"),
            (secure | ATTRS, secure | ATTRS, &full),
        ] {
            let mut given = answer(capabilities, rest);
            add(&mut given, Capabilities(u64::from(offered)), "n", "v");
            assert_eq!(given, answer(capabilities, rest));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(mut payload: Vec<u8>, offered: u64) {
            add(&mut payload, Capabilities(offered), "n", "v");
        }
    }
}
