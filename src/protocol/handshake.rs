//! The first packet of each side: the server's greeting and the client's answer.
//!
//! Both are read as far as the capabilities, and only those are ever changed. Offsets count from
//! the start of the payload; `v` is the length of the server's version with its terminating zero.
//!
//! | greeting | bytes | field |
//! |---|---|---|
//! | 0 | 1 | protocol version, 10 |
//! | 1 | v | server version |
//! | 1 + v | 4 | connection id |
//! | 5 + v | 8 + 1 | first part of the scramble, zero |
//! | 14 + v | 2 | capabilities, low half |
//! | 16 + v | 1 + 2 | character set, status |
//! | 19 + v | 2 | capabilities, high half |
//! | 21 + v | 1 + 6 | length of the scramble, reserved |
//! | 28 + v | 4 | MariaDB's extended capabilities, else reserved |
//! | 32 + v | | rest of the scramble, name of the authentication plugin |
//!
//! | answer | bytes | field |
//! |---|---|---|
//! | 0 | 4 | capabilities |
//! | 4 | 4 + 1 + 19 | largest packet, character set, reserved |
//! | 28 | 4 | MariaDB's extended capabilities, else reserved |
//! | 32 | | user, authentication data, schema, plugin, attributes |
//!
//! Sources: "Protocol::HandshakeV10" and "Protocol::HandshakeResponse41" in the MySQL source
//! documentation, "Connection" in the MariaDB protocol documentation.

use super::capability::Capabilities;

/// What a node cannot carry between a client and a server.
const MASKED: Capabilities = Capabilities(Capabilities::COMPRESS.0 | Capabilities::ZSTD.0);

const ANSWER_EXTENDED: usize = 28;

/// Bytes of an answer before the user. Who asks for TLS sends these in the clear, and the whole answer inside TLS.
pub const TLS_REQUEST: usize = 32;

/// A first packet that a node cannot use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HandshakeError {
    #[error("its protocol version is {0}, not 10")]
    Version(u8),
    #[error("it ends too early")]
    Truncated,
    #[error("it is too long to be one")]
    TooLong,
    #[error(
        "it asks for TLS, which the server does not offer; connect without (--skip-ssl, --ssl-mode=DISABLED)"
    )]
    Tls,
    #[error("it speaks the protocol from before MySQL 4.1; use a newer client")]
    Old,
}

/// Takes what a node cannot carry out of a greeting, puts the node's TLS into it, and tells what the server offers then.
///
/// # Errors
/// The greeting is not one of protocol version 10; it is unchanged.
pub fn mask_greeting(payload: &mut [u8]) -> Result<Capabilities, HandshakeError> {
    let (&mut version, rest) = payload.split_first_mut().ok_or(HandshakeError::Truncated)?;
    if version != 10 {
        return Err(HandshakeError::Version(version));
    }
    let end = rest
        .iter()
        .position(|&b| b == 0)
        .ok_or(HandshakeError::Truncated)?;
    let v = end + 1;
    let fields = rest.get_mut(v..v + 31).ok_or(HandshakeError::Truncated)?;
    let (low, high, extended) = (13, 18, 27);
    let base = u32::from_le_bytes([fields[low], fields[low + 1], fields[high], fields[high + 1]]);
    let offered = with_extended(base, read_u32(fields, extended)) & !MASKED;
    let mut shown = offered;
    if shows_tls(offered) {
        shown = shown | Capabilities::TLS;
    }
    let [a, b, c, d, ..] = shown.0.to_le_bytes();
    fields[low..low + 2].copy_from_slice(&[a, b]);
    fields[high..high + 2].copy_from_slice(&[c, d]);
    Ok(offered)
}

/// Whether a node lets its clients encrypt when its server offers this. MariaDB does not by default, and has no need to.
/// Accounts on MySQL may have a plugin that sends a password in the clear inside TLS, where the server must be as well.
pub fn shows_tls(offered: Capabilities) -> bool {
    offered.has(Capabilities::TLS) || !offered.has(Capabilities::MYSQL)
}

/// Whether a client's first packet asks for TLS.
pub fn asks_for_tls(answer: &[u8]) -> bool {
    let asked = answer.first_chunk().map(|low| u16::from_le_bytes(*low));
    asked.is_some_and(|asked| Capabilities(asked.into()).has(Capabilities::TLS))
}

/// What the server calls itself in its greeting.
pub fn server_version(greeting: &[u8]) -> &[u8] {
    let version = greeting.get(1..).unwrap_or_default();
    let end = version.iter().position(|&byte| byte == 0);
    &version[..end.unwrap_or(version.len())]
}

/// What the server calls the connection that it greets; 0 if it does not say.
pub fn connection_id(greeting: &[u8]) -> u32 {
    let at = 1 + server_version(greeting).len() + 1;
    let id = greeting.get(at..).and_then(<[u8]>::first_chunk);
    id.copied().map_or(0, u32::from_le_bytes)
}

/// Takes what a node cannot carry out of a client's answer and tells what both sides will speak. `tls` is whether the
/// server gets it inside TLS.
///
/// # Errors
/// The answer is too short or is of the old protocol; it is unchanged.
pub fn mask_answer(
    payload: &mut [u8],
    offered: Capabilities,
    tls: bool,
) -> Result<Capabilities, HandshakeError> {
    let low = *payload
        .first_chunk::<2>()
        .ok_or(HandshakeError::Truncated)?;
    if !Capabilities(u16::from_le_bytes(low).into()).has(Capabilities::PROTOCOL_41) {
        return Err(HandshakeError::Old);
    }
    if payload.len() < TLS_REQUEST {
        return Err(HandshakeError::Truncated);
    }
    let asked = with_extended(read_u32(payload, 0), read_u32(payload, ANSWER_EXTENDED));
    let asked = asked & !MASKED & !Capabilities::TLS;
    let told = if tls {
        asked | Capabilities::TLS
    } else {
        asked
    };
    let [a, b, c, d, ..] = told.0.to_le_bytes();
    payload[..4].copy_from_slice(&[a, b, c, d]);
    Ok(asked & offered)
}

/// The extended half counts only from a peer that leaves [`Capabilities::MYSQL`] out.
fn with_extended(base: u32, extended: u32) -> Capabilities {
    let base = Capabilities(base.into());
    if base.has(Capabilities::MYSQL) {
        base
    } else {
        base | Capabilities(u64::from(extended) << 32)
    }
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MARIADB: &[u8] = b"\x0a5.5.5-10.11\0\x01\0\0\0abcdefgh\0\xfe\xff\x08\x02\0\xff\xff\x15\
        \0\0\0\0\0\0\x1f\0\0\0ijklmnopqrst\0mysql_native_password\0";
    const MYSQL: &[u8] = b"\x0a9.7.0\0\x01\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xff\x15\
        \0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0caching_sha2_password\0";

    #[test]
    fn a_greeting_loses_what_cannot_be_carried_and_may_win_tls() {
        for (greeting, has_tls, low, offered) in [
            (MARIADB, true, 0xffde, 0x1f_fbff_ffde),
            (MARIADB, false, 0xffde, 0x1f_fbff_f7de),
            (MYSQL, true, 0xffdf, 0xfbff_ffdf),
            (MYSQL, false, 0xf7df, 0xfbff_f7df_u64),
        ] {
            let mut greeting = greeting.to_vec();
            let v = greeting.iter().position(|&b| b == 0).unwrap();
            if !has_tls {
                greeting[v + 15] &= 0xf7;
            }
            let mut masked = greeting.clone();
            assert_eq!(mask_greeting(&mut masked), Ok(Capabilities(offered)));
            greeting[v + 14..v + 16].copy_from_slice(&u16::to_le_bytes(low));
            greeting[v + 19..v + 21].copy_from_slice(&[0xff, 0xfb]);
            assert_eq!(masked, greeting);
        }
    }

    fn answer(capabilities: u32, extended: u32) -> Vec<u8> {
        let mut payload = capabilities.to_le_bytes().to_vec();
        payload.extend([0; 24]);
        payload.extend(extended.to_le_bytes());
        payload.extend(b"user\0");
        payload
    }

    #[test]
    fn an_answer_agrees_to_what_both_sides_have() {
        let offered = Capabilities(0x15_0100_0200);
        for (capabilities, extended, tls, told, agreed) in [
            (0x0100_0220, 0x3, false, 0x0100_0200, 0x1_0100_0200),
            (0x0100_0201, 0x3, false, 0x0100_0201, 0x0100_0200),
            (0x0000_0200, 0x14, false, 0x0000_0200, 0x14_0000_0200),
            (0x0000_0a00, 0x14, false, 0x0000_0200, 0x14_0000_0200),
            (0x0000_0a01, 0, true, 0x0000_0a01, 0x0000_0200),
            (0x0000_0201, 0, true, 0x0000_0a01, 0x0000_0200),
        ] {
            let mut payload = answer(capabilities, extended);
            let agreed = Ok(Capabilities(agreed));
            assert_eq!(mask_answer(&mut payload, offered, tls), agreed);
            assert_eq!(payload, answer(told, extended));
        }
    }

    #[test]
    fn an_unusable_answer_says_why() {
        let offered = Capabilities(u64::MAX);
        for (mut payload, error) in [
            (answer(0x0001, 0), HandshakeError::Old),
            (answer(0x0200, 0)[..31].to_vec(), HandshakeError::Truncated),
            (vec![], HandshakeError::Truncated),
        ] {
            assert_eq!(mask_answer(&mut payload, offered, false), Err(error));
        }
    }

    #[test]
    fn an_unusable_greeting_says_why() {
        for (mut payload, error) in [
            (vec![], HandshakeError::Truncated),
            (b"\x09old\0".to_vec(), HandshakeError::Version(9)),
            (b"\x0ano end".to_vec(), HandshakeError::Truncated),
            (MYSQL[..30].to_vec(), HandshakeError::Truncated),
        ] {
            assert_eq!(mask_greeting(&mut payload), Err(error));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(mut payload: Vec<u8>) {
            let _ = mask_greeting(&mut payload);
            let _ = mask_answer(&mut payload, Capabilities(u64::MAX), true);
            let _ = asks_for_tls(&payload);
        }

        #[test]
        fn a_cut_greeting_is_an_error(end in 0..38usize) {
            prop_assert!(mask_greeting(&mut MARIADB[..end].to_vec()).is_err());
        }
    }
}
