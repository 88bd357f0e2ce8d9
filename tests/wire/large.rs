//! Packets larger than a frame, and peers that do not read.

use crate::{authentication::authenticated, script::packet};

const FULL: usize = 0x00ff_ffff;

/// More than the kernel's buffers between the two ends hold.
const LARGE: usize = 4 * FULL + 1000;

/// The frames of a packet whose first frame has this number.
fn frames(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = payload;
    for sequence in sequence.. {
        let (frame, after) = rest.split_at(rest.len().min(FULL));
        bytes.extend(packet(sequence, frame));
        rest = after;
        if frame.len() < FULL {
            break;
        }
    }
    bytes
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_server() {
    let mut script = authenticated().await;
    script.client(&packet(0, b"\x03SELECT v")).await;
    script.server(&packet(1, b"\x01")).await;
    script.server(&packet(2, b"\x03def")).await;
    script.server_stalls(&frames(3, &[0xfe; LARGE])).await;
    script.server(&packet(8, b"\xfe\0\0\x02\0\0\0")).await;
    script.client(&packet(0, b"\x0e")).await;
}

#[tokio::test]
async fn a_server_that_does_not_read_holds_the_client() {
    let mut script = authenticated().await;
    script.client_stalls(&frames(0, &[0x03; LARGE])).await;
    script.server(&packet(5, b"\0\x01\0\x02\0\0\0")).await;
    script.client(&packet(0, b"\x0e")).await;
}

#[tokio::test]
async fn a_payload_of_full_frames_ends_with_an_empty_one() {
    let mut script = authenticated().await;
    let statement = frames(0, &[0x03; FULL]);
    assert!(statement.ends_with(b"\0\0\0\x01"));
    script.client(&statement).await;
    script.server(&packet(2, b"\0\x01\0\x02\0\0\0")).await;
    script.client(&packet(0, b"\x0e")).await;
}
