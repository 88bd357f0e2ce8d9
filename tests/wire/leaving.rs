//! A node that has been told to stop, or is drained: each session ends when it is in no transaction.

use trireme::duty::Duty;

use crate::{
    authentication::authenticated,
    bad_input::greeted,
    script::{Script, packet},
};

/// `SERVER_STATUS_IN_TRANS` and `SERVER_STATUS_AUTOCOMMIT`.
const OPEN: &[u8] = b"\0\0\0\x03\0\0\0";
const OVER: &[u8] = b"\0\0\0\x02\0\0\0";

async fn statement(script: &mut Script, text: &[u8], answer: &[u8]) {
    script.client(&packet(0, &[b"\x03", text].concat())).await;
    script.server(&packet(1, answer)).await;
}

#[tokio::test]
async fn a_session_that_does_nothing_ends_at_once() {
    let mut script = authenticated().await;
    script.node_is(Duty::Leaving).await;
    assert_eq!(script.node_closes().await, b"");
}

#[tokio::test]
async fn a_transaction_goes_on_to_its_end() {
    let mut script = authenticated().await;
    statement(&mut script, b"BEGIN", OPEN).await;
    script.node_is(Duty::Leaving).await;
    statement(&mut script, b"INSERT INTO t VALUES (1)", OPEN).await;
    statement(&mut script, b"COMMIT", OVER).await;
    assert_eq!(script.node_closes().await, b"");
}

#[tokio::test]
async fn a_statement_that_runs_is_answered() {
    let mut script = authenticated().await;
    script
        .client(&packet(0, b"\x03INSERT INTO t VALUES (1)"))
        .await;
    script.node_is(Duty::Leaving).await;
    script.server(&packet(1, OVER)).await;
    assert_eq!(script.node_closes().await, b"");
}

#[tokio::test]
async fn a_login_does_not_hold_the_node() {
    let mut script = greeted().await;
    script.node_is(Duty::Leaving).await;
    assert_eq!(script.node_closes().await, b"");
}

#[tokio::test]
async fn a_drained_node_takes_clients_again_and_keeps_those_that_have_not_left() {
    let mut script = authenticated().await;
    statement(&mut script, b"BEGIN", OPEN).await;
    script.node_is(Duty::Drained).await;
    statement(&mut script, b"INSERT INTO t VALUES (1)", OPEN).await;
    script.node_resumes().await;
    statement(&mut script, b"COMMIT", OVER).await;
    statement(&mut script, b"INSERT INTO t VALUES (2)", OVER).await;
    script.node_is(Duty::Drained).await;
    assert_eq!(script.node_closes().await, b"");
}
