//! TLS towards the client, where the server offers none: each side counts its own packets of the same conversation.

use tempfile::TempDir;
use trireme::certificates;

use crate::{
    authentication::{self, greeting},
    bad_input::error,
    script::{Script, packet},
};

const PLUGIN: &str = "mysql_native_password";
/// MariaDB leaves out the first of all capabilities, and offers no TLS by default.
const MARIADB: u16 = 0xf7de;
const TLS: u16 = 1 << 11;
const CAPABILITIES: u32 = 0x018a_a684;

/// A node's certificate for localhost, and its configuration.
fn certified() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    certificates::make(directory.path(), &["localhost".to_owned()], 1).unwrap();
    let at = directory.path().display();
    let configured =
        format!("[client.tls]\ncertificate = '{at}/localhost.pem'\nkey = '{at}/localhost.key'");
    (directory, configured)
}

/// A client's answer, with another sequence number than its first one has.
fn answer(sequence: u8, capabilities: u32) -> Vec<u8> {
    let mut answer = authentication::answer(capabilities, &[7; 20], PLUGIN);
    answer[3] = sequence;
    answer
}

/// As much of it as asks for TLS.
fn request() -> Vec<u8> {
    packet(1, &answer(1, CAPABILITIES | u32::from(TLS))[4..36])
}

#[tokio::test]
async fn a_session_is_encrypted_whose_server_offers_nothing() {
    for at_once in [false, true] {
        let (directory, configured) = certified();
        let mut script = Script::start_with(&configured).await;
        let offered = greeting(MARIADB, 0xdbff, PLUGIN);
        let shown = greeting(MARIADB | TLS, 0xdbff, PLUGIN);
        script.server_arrives(&offered, &shown).await;
        let authority = directory.path().join("ca.pem");
        script
            .client_encrypts(&request(), &authority, at_once)
            .await;
        let sent = answer(2, CAPABILITIES | u32::from(TLS));
        script.client_arrives(&sent, &answer(1, CAPABILITIES)).await;
        let switch = b"\xfemysql_native_password\0abcdefghijklmnopqrst\0";
        let (sent, arrives) = (packet(2, switch), packet(3, switch));
        script.server_arrives(&sent, &arrives).await;
        let (sent, arrives) = (packet(4, &[9; 20]), packet(3, &[9; 20]));
        script.client_arrives(&sent, &arrives).await;
        let ok = b"\0\0\0\x02\0\0\0";
        script.server_arrives(&packet(4, ok), &packet(5, ok)).await;
        for _ in 0..2 {
            script.client(b"\x01\0\0\0\x0e").await;
            script.server(&packet(1, ok)).await;
        }
        script.client(b"\x01\0\0\0\x01").await;
        assert_eq!(script.server_closes().await, b"");
    }
}

#[tokio::test]
async fn who_must_encrypt_and_does_not_is_told_as_servers_tell() {
    let mut script = Script::start_with("client.require_secure_transport = true").await;
    let shown = greeting(MARIADB | TLS, 0xdbff, PLUGIN);
    script
        .server_arrives(&greeting(MARIADB, 0xdbff, PLUGIN), &shown)
        .await;
    script.client_says(&answer(1, CAPABILITIES)).await;
    let message = b"\xff\x57\x0c#HY000Connections using insecure transport are prohibited while --require_secure_transport=ON.";
    assert_eq!(script.node_closes().await, packet(2, message));
}

#[tokio::test]
async fn accounts_on_mysql_are_not_encrypted_by_the_node_alone() {
    let mut script = Script::start().await;
    script.server(&greeting(0xf7df, 0xdbff, PLUGIN)).await;
    script.client_says(&request()).await;
    let said = script.node_closes().await;
    let (sequence, number, message) = error(&said);
    assert_eq!((sequence, number), (2, 1043), "{message}");
    assert!(
        message.contains("which the server does not offer"),
        "{message}"
    );
}
