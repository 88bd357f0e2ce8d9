//! Peers that do not keep to the protocol, or leave: an error where one can be heard, no session
//! left behind, and the next client is served.

use crate::{
    authentication::{authenticated, greeting, until_the_answer},
    script::{Script, packet},
};

/// The ERR packet's sequence number, error number and message.
pub(crate) fn error(bytes: &[u8]) -> (u8, u16, &str) {
    assert_eq!(bytes[4], 0xff, "{bytes:?}");
    let number = u16::from_le_bytes([bytes[5], bytes[6]]);
    (bytes[3], number, std::str::from_utf8(&bytes[7..]).unwrap())
}

pub(crate) async fn greeted() -> Script {
    let mut script = Script::start().await;
    script
        .server(&greeting(0xffdf, 0xdbff, "mysql_native_password"))
        .await;
    script
}

#[tokio::test]
async fn greetings_that_are_none() {
    for (sent, reason) in [
        (
            &b"SSH-2.0-OpenSSH_9.2 and more than thirty-six bytes\r\n"[..],
            "too long",
        ),
        (&packet(0, b"\x09an old protocol\0"), "version is 9"),
        (&packet(0, b"\x0ano end"), "ends too early"),
        (&packet(0, b""), "ends too early"),
    ] {
        let mut script = Script::start().await;
        script.server_says(sent).await;
        let said = script.node_closes().await;
        let (sequence, number, message) = error(&said);
        assert_eq!((sequence, number), (0, 1047));
        assert!(message.contains(reason), "{message}");
    }
}

#[tokio::test]
async fn answers_that_are_none() {
    let old = packet(1, b"\x01\x00\0\0\x01app\0");
    for (sent, reason) in [
        (
            &b"GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n"[..],
            "too long",
        ),
        (&old, "before MySQL 4.1"),
        (&packet(1, b"\x85\xa6"), "ends too early"),
        (&packet(1, b""), "ends too early"),
    ] {
        let mut script = greeted().await;
        script.client_says(sent).await;
        let said = script.node_closes().await;
        let (sequence, number, message) = error(&said);
        assert_eq!((sequence, number), (2, 1043));
        assert!(message.starts_with("#08S01"), "{message}");
        assert!(message.contains(reason), "{message}");
    }
}

#[tokio::test]
async fn an_answer_nobody_can_follow() {
    let mut script = authenticated().await;
    script.client(&packet(0, b"\x03SELECT 1")).await;
    script.server_says(&packet(1, b"\0\0")).await;
    let said = script.node_closes().await;
    let (sequence, number, message) = error(&said);
    assert_eq!((sequence, number), (1, 1835));
    assert!(message.contains("cannot stand where it came"), "{message}");
}

#[tokio::test]
async fn the_server_leaves() {
    assert_eq!(Script::start().await.server_closes().await, b"");
    assert_eq!(greeted().await.server_closes().await, b"");
    assert_eq!(authenticated().await.server_closes().await, b"");

    let mut script = authenticated().await;
    script.client(&packet(0, b"\x03SELECT 1")).await;
    assert_eq!(script.server_closes().await, b"");

    let mut script = authenticated().await;
    script.client(&packet(0, b"\x03SELECT 1")).await;
    script.server(&packet(1, b"\x01")).await;
    let half_a_row = b"\xff\0\0\x02\x03def and more than the head of the packet";
    script.server_says(half_a_row).await;
    assert_eq!(script.server_closes().await, half_a_row);
}

#[tokio::test]
async fn the_client_leaves() {
    assert_eq!(greeted().await.client_closes().await, b"");
    assert_eq!(authenticated().await.client_closes().await, b"");

    let mut script = until_the_answer("dialog", b"").await;
    script.server(&packet(2, b"\x04Password: ")).await;
    assert_eq!(script.client_closes().await, b"");

    let mut script = authenticated().await;
    script.client_says(b"\xff\0").await;
    assert_eq!(script.client_closes().await, b"");

    let mut script = authenticated().await;
    let half = b"\xff\0\0\0\x03SELECT 'half of a statement, longer than the head";
    script.client_says(half).await;
    let arrived = script.client_closes().await;
    assert!(half.starts_with(&arrived));

    let mut script = authenticated().await;
    script
        .client(&packet(0, b"\x03LOAD DATA LOCAL INFILE 'f' INTO TABLE t"))
        .await;
    script.server(&packet(1, b"\xfbf")).await;
    script.client(&packet(2, b"a line\n")).await;
    assert_eq!(script.client_closes().await, b"");
}

#[tokio::test]
async fn a_word_of_the_server_that_nobody_asked_for() {
    let mut script = authenticated().await;
    script
        .server(&packet(0, b"\xff\xbf\x0f#HY000The client was disconnected"))
        .await;
    assert_eq!(script.server_closes().await, b"");

    let mut script = authenticated().await;
    script.server_says(&packet(1, b"\x01")).await;
    let said = script.node_closes().await;
    let (sequence, number, message) = error(&said);
    assert_eq!((sequence, number), (0, 1835));
    assert!(message.contains("nobody had asked for"), "{message}");
}
