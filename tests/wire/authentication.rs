//! The ways in: what an account's plugin says passes through unchanged, and the server decides.

use crate::script::{Script, packet};

const OK: &[u8] = b"\0\0\0\x02\0\0\0";
const PING: &[u8] = b"\x01\0\0\0\x0e";

/// A greeting with these low and high halves of the capabilities.
pub(crate) fn greeting(low: u16, high: u16, plugin: &str) -> Vec<u8> {
    let mut payload = b"\x0a8.0.99\0\x07\0\0\0abcdefgh\0".to_vec();
    payload.extend(low.to_le_bytes());
    payload.extend(b"\xff\x02\0");
    payload.extend(high.to_le_bytes());
    payload.extend(b"\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0");
    payload.extend(plugin.as_bytes());
    payload.push(0);
    packet(0, &payload)
}

pub(crate) fn answer(capabilities: u32, authentication: &[u8], plugin: &str) -> Vec<u8> {
    let mut payload = capabilities.to_le_bytes().to_vec();
    payload.extend(b"\0\0\0\x01\xff");
    payload.extend([0; 23]);
    payload.extend(b"app\0");
    payload.push(authentication.len() as u8);
    payload.extend(authentication);
    payload.extend(plugin.as_bytes());
    payload.push(0);
    packet(1, &payload)
}

/// A session up to the client's answer, which both sides get without what a node cannot carry.
pub(crate) async fn until_the_answer(plugin: &str, authentication: &[u8]) -> Script {
    let mut script = Script::start().await;
    script
        .server_arrives(
            &greeting(0xffff, 0xdfff, plugin),
            &greeting(0xffdf, 0xdbff, plugin),
        )
        .await;
    script
        .client_arrives(
            &answer(0x058a_a6a5, authentication, plugin),
            &answer(0x018a_a685, authentication, plugin),
        )
        .await;
    script
}

/// A session whose client has been let in.
pub(crate) async fn authenticated() -> Script {
    let mut script = until_the_answer("mysql_native_password", &[7; 20]).await;
    script.server(&packet(2, OK)).await;
    script
}

/// The session is in its command phase: a command is answered, and then another.
async fn serves(mut script: Script) {
    for _ in 0..2 {
        script.client(PING).await;
        script.server(&packet(1, OK)).await;
    }
    script.client(b"\x01\0\0\0\x01").await;
    assert_eq!(script.server_closes().await, b"");
}

#[tokio::test]
async fn native_password() {
    let mut script = until_the_answer("mysql_native_password", &[7; 20]).await;
    script.server(&packet(2, OK)).await;
    serves(script).await;
}

#[tokio::test]
async fn caching_sha2_fast() {
    let mut script = until_the_answer("caching_sha2_password", &[7; 32]).await;
    let both = [packet(2, b"\x01\x03"), packet(3, OK)].concat();
    script.server(&both).await;
    serves(script).await;
}

#[tokio::test]
async fn caching_sha2_over_rsa() {
    let mut script = until_the_answer("caching_sha2_password", &[7; 32]).await;
    script.server(&packet(2, b"\x01\x04")).await;
    script.client(&packet(3, b"\x02")).await;
    let key = [b"\x01-----BEGIN PUBLIC KEY-----\n", &[b'k'; 400][..]].concat();
    script.server(&packet(4, &key)).await;
    script.client(&packet(5, &[0x9c; 256])).await;
    script.server(&packet(6, OK)).await;
    serves(script).await;
}

#[tokio::test]
async fn switch_to_another_plugin() {
    let mut script = until_the_answer("caching_sha2_password", &[7; 32]).await;
    script
        .server(&packet(
            2,
            b"\xfemysql_native_password\0abcdefghijklmnopqrst\0",
        ))
        .await;
    script.client(&packet(3, &[9; 20])).await;
    script.server(&packet(4, OK)).await;
    serves(script).await;
}

#[tokio::test]
async fn several_rounds_of_a_plugin_nobody_knows() {
    let mut script = until_the_answer("dialog", b"").await;
    for round in 0..3 {
        script
            .server(&packet(2 + 2 * round, b"\x04Password: "))
            .await;
        script.client(&packet(3 + 2 * round, b"guess\0")).await;
    }
    script.server(&packet(8, b"\x03One more thing")).await;
    script.server(&packet(9, OK)).await;
    serves(script).await;
}

#[tokio::test]
async fn refusals_are_the_servers_own() {
    for refusal in [
        &b"\xff\x15\x04#28000Access denied for user 'app'@'localhost' (using password: YES)"[..],
        b"\xff\x19\x04#42000Unknown database 'nowhere'",
    ] {
        let mut script = until_the_answer("mysql_native_password", &[7; 20]).await;
        script.server(&packet(2, refusal)).await;
        assert_eq!(script.server_closes().await, b"");
    }
}

#[tokio::test]
async fn an_error_in_place_of_the_greeting() {
    let mut script = Script::start().await;
    script
        .server(&packet(0, b"\xff\x10\x04Too many connections"))
        .await;
    assert_eq!(script.server_closes().await, b"");
}

#[tokio::test]
async fn the_server_does_not_wait_for_ever() {
    let mut script = Script::start().await;
    script
        .server(&greeting(0xffdf, 0xdbff, "mysql_native_password"))
        .await;
    script
        .server(&packet(1, b"\xff\x87\x04#08S01Got timeout"))
        .await;
    assert_eq!(script.server_closes().await, b"");
}

#[tokio::test]
async fn another_user() {
    let mut script = until_the_answer("mysql_native_password", &[7; 20]).await;
    script.server(&packet(2, OK)).await;
    let change = packet(0, b"\x11other\0\0db\0\x2d\0mysql_native_password\0");
    let switch = packet(1, b"\xfemysql_native_password\0abcdefghijklmnopqrst\0");

    script.client(&change).await;
    script.server(&switch).await;
    script.client(&packet(2, &[9; 20])).await;
    script
        .server(&packet(3, b"\xff\x15\x04#28000Access denied"))
        .await;

    script.client(&change).await;
    script.server(&switch).await;
    script.client(&packet(2, &[8; 20])).await;
    script.server(&packet(3, OK)).await;
    serves(script).await;
}
