//! The last packet of the answer to a command.

use std::fmt;

use super::channel::Packet;
use crate::{
    metrics::CommitOutcome,
    protocol::{
        capability::Capabilities,
        errno::{self, ErrorCode},
        error::{self, ErrorPacket},
        lenenc,
        packet::{END, ERR, OK},
        response::Status,
    },
};

/// The sequence number of an answer that is one packet.
const FIRST: u8 = 1;

/// The last packet of an answer: an OK, an EOF or an ERR.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) packet: Packet,
    /// Nothing has been relayed before it.
    pub(super) is_first: bool,
    /// It is the whole answer, which the server knows nothing of.
    is_whole: bool,
}

impl Answer {
    /// What the server ends its answer with.
    pub(super) fn of_server(packet: Packet, is_first: bool) -> Self {
        Self {
            packet,
            is_first,
            is_whole: false,
        }
    }

    /// An error of the node itself, as the whole answer.
    pub(super) fn refusal(code: ErrorCode, reason: impl fmt::Display) -> Self {
        Self::own(&node_error(code, reason))
    }

    /// The error of a transaction that another one has kept from committing, in the server's words.
    pub(super) fn deadlock() -> Self {
        Self::in_words(errno::DEADLOCK, errno::DEADLOCK_MESSAGE)
    }

    /// The error of a statement that has waited for a lock for as long as it would, in the server's words.
    pub(super) fn timed_out() -> Self {
        let words = "Lock wait timeout exceeded; try restarting transaction";
        Self::in_words(errno::LOCK_WAIT_TIMEOUT, words)
    }

    /// The error of a statement that `KILL QUERY` has ended, in the server's words.
    pub(super) fn interrupted() -> Self {
        Self::in_words(errno::QUERY_INTERRUPTED, "Query execution was interrupted")
    }

    fn in_words(code: ErrorCode, words: &str) -> Self {
        let message = words.to_owned();
        Self::own(&ErrorPacket { code, message })
    }

    fn own(error: &ErrorPacket) -> Self {
        let packet = Packet {
            sequence: FIRST,
            payload: error.payload(),
        };
        Self {
            packet,
            is_first: true,
            is_whole: true,
        }
    }

    pub(super) fn is_error(&self) -> bool {
        self.packet.payload.first() == Some(&ERR)
    }

    /// Whether another transaction has kept this one from going on or committing.
    pub(super) fn is_deadlock(&self) -> bool {
        self.error_number() == Some(errno::DEADLOCK.number)
    }

    /// Whether `KILL QUERY` has ended the statement.
    pub(super) fn is_interruption(&self) -> bool {
        self.error_number() == Some(errno::QUERY_INTERRUPTED.number)
    }

    /// What has become of a commit that is answered like this.
    pub(super) fn commit_outcome(&self) -> CommitOutcome {
        match self.error_number() {
            None => CommitOutcome::Committed,
            Some(number) if number == errno::DEADLOCK.number => CommitOutcome::Conflict,
            Some(_) => CommitOutcome::Failed,
        }
    }

    pub(super) fn error_number(&self) -> Option<u16> {
        error::decode(&self.packet.payload).map(|(number, _)| number)
    }

    /// The SQLSTATE of an error.
    pub(super) fn state(&self) -> Option<String> {
        match &self.packet.payload[..] {
            [ERR, _, _, b'#', rest @ ..] => {
                let state = rest.get(..5)?;
                Some(String::from_utf8_lossy(state).into_owned())
            }
            _ => None,
        }
    }

    /// This packet, where the other one would have come.
    pub(super) fn in_place_of(mut self, other: &Self) -> Self {
        self.packet.sequence = other.packet.sequence;
        self.is_first = other.is_first;
        self.is_whole = false;
        self
    }

    /// This answer to one of several statements, where the first packet has this sequence number.
    pub(super) fn starting_at(mut self, first: u8) -> Self {
        if self.is_whole {
            self.packet.sequence = first;
        }
        self
    }

    /// How many rows an OK says were affected, and the numbers in its message: how many rows were meant, and how many of
    /// them were changed, for example. Nothing for other packets.
    pub(super) fn counts(&self, capabilities: Capabilities) -> Option<(u64, Vec<u64>)> {
        let [OK, rest @ ..] = &self.packet.payload[..] else {
            return None;
        };
        let (affected, rest) = lenenc::split(rest)?;
        let (_inserted, rest) = lenenc::split(rest)?;
        // After the status flags and the number of warnings.
        let mut message = rest.get(4..)?;
        if capabilities.has(Capabilities::SESSION_TRACK) {
            let (length, rest) = lenenc::split(message).unwrap_or_default();
            message = rest.get(..usize::try_from(length).ok()?)?;
        }
        let digits = message.split(|byte| !byte.is_ascii_digit());
        let numbers = digits.filter_map(|digits| str::from_utf8(digits).ok()?.parse().ok());
        Some((affected, numbers.collect()))
    }

    /// How many warnings the statement has left; an error is one.
    pub(super) fn warnings(&self) -> u16 {
        let payload = &self.packet.payload[..];
        let warnings = match *payload {
            [ERR, ..] => return 1,
            [END, low, high, _, _] => Some([low, high]),
            _ => Status::of_ok(payload)
                .and_then(|status| payload.get(status.at + 2..)?.first_chunk().copied()),
        };
        warnings.map_or(0, u16::from_le_bytes)
    }
}

/// An error of the node itself, which says so.
pub(super) fn node_error(code: ErrorCode, reason: impl fmt::Display) -> ErrorPacket {
    ErrorPacket {
        code,
        message: format!("Trireme: {reason}"),
    }
}
