//! Statements of the client and of the node itself on the server connection of a session.

use super::{
    answer::Answer,
    channel::{self, Packet, Side},
    session::{Session, SessionError},
};
use crate::{
    backend::Row,
    protocol::{
        capability::Capabilities,
        command::{Command, Shape},
        packet::{self, END},
        query_attributes,
        response::{Next, Response, Status},
    },
};

/// The longest statement that is taken, in bytes: servers take none above 1 GiB.
const MAX_STATEMENT: usize = 1 << 30;

/// How a statement gets to the server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// As this text.
    Text(&'a [u8]),
    /// As this command, which may be sent again.
    Command(&'a [u8]),
    /// As the packet that the client has started.
    Packet,
}

impl Session {
    /// Whether the server has said that its session is in this state.
    pub(super) fn has(&self, flag: u16) -> bool {
        self.status & flag != 0
    }

    /// Takes the command that the client has started.
    pub(super) async fn take_command(&mut self) -> Result<Vec<u8>, SessionError> {
        let packet = self.client.take(MAX_STATEMENT).await?;
        Ok(packet.ok_or(SessionError::TooLong(Side::Client))?.payload)
    }

    /// Takes the command that the client has started, if it has no more than `most` bytes.
    pub(super) async fn take_small_command(
        &mut self,
        most: usize,
    ) -> Result<Option<Vec<u8>>, SessionError> {
        let packet = self.client.take(most).await?;
        Ok(packet.map(|packet| packet.payload))
    }

    /// Takes the attributes off what follows the byte of a `COM_QUERY`; gives the text if there is one.
    pub(super) fn take_attributes<'a>(&mut self, rest: &'a [u8]) -> Option<&'a [u8]> {
        if !self.capabilities.has(Capabilities::QUERY_ATTRIBUTES) {
            return Some(rest);
        }
        let (attributes, text) = query_attributes::split(rest)?;
        self.attributes = attributes.to_vec();
        Some(text)
    }

    /// A statement of the node itself, as the client and the server have agreed to send them.
    fn own_query(&self, statement: &[u8]) -> Vec<u8> {
        if self.capabilities.has(Capabilities::QUERY_ATTRIBUTES) {
            return [&[Command::QUERY.0], &query_attributes::NONE[..], statement].concat();
        }
        Command::QUERY.with(statement)
    }

    /// Sends the server a command.
    pub(super) async fn send(&mut self, command: &[u8]) -> Result<(), SessionError> {
        self.server.put_packet(0, command);
        Ok(self.server.flush().await?)
    }

    /// Runs the client's statement and relays the answer, without the status flags `hidden`, up to
    /// its last packet, which it gives.
    pub(super) async fn relay(
        &mut self,
        source: Source<'_>,
        hidden: u16,
    ) -> Result<Answer, SessionError> {
        match source {
            Source::Text(text) => {
                let command = [&[Command::QUERY.0], &self.attributes[..], text].concat();
                self.send(&command).await?;
            }
            Source::Command(command) => self.send(command).await?,
            Source::Packet => {
                channel::pass(&mut self.client, &mut self.server).await?;
                self.server.flush().await?;
            }
        }
        self.respond(Shape::Results, hidden).await
    }

    /// Drops the client's statement.
    pub(super) async fn discard(&mut self, source: Source<'_>) -> Result<(), SessionError> {
        match source {
            Source::Text(_) | Source::Command(_) => Ok(()),
            Source::Packet => self.take_command().await.map(|_| ()),
        }
    }

    /// Runs statements of the node itself, which answer with one packet each, sent in one write.
    /// The last ones run also when one before has failed.
    pub(super) async fn run_own<const N: usize>(
        &mut self,
        statements: [String; N],
    ) -> Result<[Answer; N], SessionError> {
        for statement in &statements {
            let command = self.own_query(statement.as_bytes());
            self.server.put_packet(0, &command);
        }
        self.server.flush().await?;
        let mut answers = Vec::with_capacity(N);
        for _ in 0..N {
            answers.push(self.respond(Shape::Single, 0).await?);
        }
        Ok(answers.try_into().expect("one answer for each statement"))
    }

    /// Runs a statement of the node itself and gives the packets of its answer, a result set,
    /// without the status flags `hidden`.
    pub(super) async fn record(
        &mut self,
        statement: &[u8],
        hidden: u16,
    ) -> Result<Vec<Vec<u8>>, SessionError> {
        self.send(&self.own_query(statement)).await?;
        self.collect(Shape::Results, hidden).await
    }

    /// Prepares a statement of the node itself; gives its id, or the error.
    pub(super) async fn prepare_own(
        &mut self,
        statement: &[u8],
    ) -> Result<Result<u32, Answer>, SessionError> {
        self.send(&Command::STMT_PREPARE.with(statement)).await?;
        let packets = self.collect(Shape::Prepared, 0).await?;
        let first = packets.first().filter(|first| first[0] == packet::OK);
        Ok(match first.and_then(|first| id(first)) {
            Some(id) => Ok(id),
            None => Err(self.replay(packets)),
        })
    }

    /// Closes a prepared statement of the node itself.
    pub(super) async fn close_own(&mut self, id: u32) -> Result<(), SessionError> {
        self.send(&Command::STMT_CLOSE.with(&id.to_le_bytes()))
            .await
    }

    /// The packets of the server's answer to the node itself, without the status flags `hidden`.
    async fn collect(&mut self, shape: Shape, hidden: u16) -> Result<Vec<Vec<u8>>, SessionError> {
        let more_follows = std::mem::take(&mut self.more_follows);
        let mut response = Response::new(shape, self.capabilities);
        let mut packets = Vec::new();
        loop {
            let next = self.next_packet(&mut response, hidden).await?;
            packets.push(self.take_answer().await?.payload);
            if next == Next::Command {
                self.more_follows = more_follows;
                return Ok(packets);
            }
        }
    }

    /// The value that a query of the node itself gives; none for NULL.
    pub(super) async fn value(&mut self, query: &[u8]) -> Result<Option<String>, SessionError> {
        Ok(only_value(self.record(query, 0).await?))
    }

    /// The schema of names that come without one, if there is one.
    pub(super) async fn default_schema(&mut self) -> Result<Option<String>, SessionError> {
        self.value(b"SELECT DATABASE()").await
    }

    /// Answers the client with packets that were recorded, up to the last one, which it gives.
    pub(super) fn replay(&mut self, mut packets: Vec<Vec<u8>>) -> Answer {
        let mut sequence = self.server.first_sequence();
        if self.more_follows {
            let last = packets.len() - 1;
            for (at, packet) in packets.iter_mut().enumerate() {
                say_that_more_follows(packet, at == last);
            }
        }
        let payload = packets.pop().expect("an answer has a packet");
        for packet in &packets {
            sequence = self.client.put_packet(sequence, packet);
        }
        let is_first = packets.is_empty();
        Answer::of_server(Packet { sequence, payload }, is_first)
    }

    /// Waits until the server ends its connection, while it has nothing to answer.
    pub(super) async fn server_lost(&mut self) -> SessionError {
        // Whatever comes now ends the connection: the server has been asked for nothing.
        match self.server.peek().await {
            Ok(_) => SessionError::ServerLost,
            Err(error) => error.into(),
        }
    }

    /// The start of the command that the client has started.
    pub(super) async fn client_head(&mut self) -> Result<Vec<u8>, SessionError> {
        let head = self.client.peek().await?;
        Ok(head.map(|head| head.payload.to_vec()).unwrap_or_default())
    }

    /// The prepared statement that the client's command names.
    pub(super) async fn statement_id(&mut self) -> Result<u32, SessionError> {
        Ok(id(&self.client_head().await?).unwrap_or(0))
    }

    /// The id of the statement that the server has just prepared, if it has.
    pub(super) async fn prepared_id(&mut self) -> Result<Option<u32>, SessionError> {
        let head = channel::expect(&mut self.server, &mut self.client).await?;
        Ok(id(head.payload).filter(|_| head.payload[0] == packet::OK))
    }

    /// Goes on with these sequence numbers in the answer to the same command of the client.
    pub(super) fn renumber(&mut self, shift: u8) {
        self.server.renumber(shift);
        self.client.renumber(0u8.wrapping_sub(shift));
    }
}

/// The value in the packets of a result of one row and one column; none for NULL.
pub(super) fn only_value(packets: Vec<Vec<u8>>) -> Option<String> {
    // The row comes before the last packet.
    let row = packets.into_iter().nth_back(1)?;
    let row = Row::decode(&row.into(), 1)?;
    row.text(0).map(str::to_owned)
}

/// Has a packet of a result set say that the answer to another statement follows, if it is one that can.
fn say_that_more_follows(packet: &mut [u8], is_last: bool) {
    let is_eof = matches!(packet, [END, _, _, _, _]);
    if let Some(Status { flags, at }) = Status::of_last(packet).filter(|_| is_eof || is_last) {
        let flags = flags | Status::MORE_RESULTS;
        packet[at..at + 2].copy_from_slice(&flags.to_le_bytes());
    }
}

/// After the first byte of a command that names a prepared statement, and of the answer that
/// introduces one.
pub(super) fn id(payload: &[u8]) -> Option<u32> {
    let id = payload.get(1..)?.first_chunk()?;
    Some(u32::from_le_bytes(*id))
}
