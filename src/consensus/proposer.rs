//! Gets this node's proposals into the log, each exactly once.
//!
//! A proposal goes to the leader, and again to every next one, until this node sees it delivered:
//! losing a connection or a leader says nothing about what has become of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};
use tracing::warn;

use super::{
    MAX_BODY_BYTES, ProposeError,
    awake::Awake,
    route::{Leadership, Route},
    state_machine::OwnDelivered,
    store::record::Identity,
    types::Proposal,
};
use crate::id::ProposalId;

/// A proposal waits this long for a sign of a majority. Longer than an election takes, so that
/// nobody hears of one; within the second that a client is promised.
const PATIENCE: Duration = Duration::from_millis(900);
/// And this long while there is a majority that takes nothing in, as when its disks stand still.
const LONG_PATIENCE: Duration = Duration::from_secs(10);
/// Without a delivery for this long, the members are asked whether there is a majority.
const DOUBT: Duration = Duration::from_millis(400);
/// What a leader has taken in but not delivered for this long is sent again: it may have dropped
/// it while it tried to hand over its leadership.
const RESEND: Duration = Duration::from_secs(3);
/// How often waiting proposals are looked at.
const TICK: Duration = Duration::from_millis(50);
/// Bodies under way from this node.
const MAX_BYTES: usize = 64 << 20;
const MAX_BATCH_BYTES: usize = 2 << 20;
const MAX_BATCH_PROPOSALS: usize = 1000;
const BATCHES_UNDER_WAY: usize = 16;

/// Hands proposals to the task that sees to them; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Proposer {
    submissions: mpsc::Sender<Submission>,
    bytes: Arc<Semaphore>,
}

#[derive(Debug)]
struct Submission {
    body: Bytes,
    answer: Answer,
    room: OwnedSemaphorePermit,
}

type Answer = oneshot::Sender<Result<u64, ProposeError>>;

impl Proposer {
    /// Starts the task; `delivered` tells it of this node's deliveries.
    pub(crate) fn start(
        identity: Identity,
        route: Route,
        delivered: mpsc::UnboundedReceiver<OwnDelivered>,
    ) -> Self {
        let (submissions, incoming) = mpsc::channel(MAX_BATCH_PROPOSALS);
        let task = Task {
            identity,
            route,
            leadership: None,
            under_way: BTreeMap::new(),
            next_sequence: 1,
            unsent: 1,
            is_stalled: false,
            batches: FuturesUnordered::new(),
            clock: Awake::new(2 * TICK),
            last_sign: Duration::ZERO,
            question: None,
            is_without_majority: false,
        };
        tokio::spawn(task.run(incoming, delivered));
        Self {
            submissions,
            bytes: Arc::new(Semaphore::new(MAX_BYTES)),
        }
    }

    /// See [`super::ReplicatedLog::propose`].
    pub(crate) async fn propose(&self, body: Bytes) -> Result<u64, ProposeError> {
        if body.len() > MAX_BODY_BYTES {
            return Err(ProposeError::TooLarge(body.len()));
        }
        let bytes = u32::try_from(body.len()).expect("at most MAX_BODY_BYTES");
        let room = self.bytes.clone().acquire_many_owned(bytes);
        let room = match tokio::time::timeout(PATIENCE, room).await {
            Ok(room) => room.map_err(|_| ProposeError::Stopped)?,
            Err(_) => return Err(ProposeError::NoQuorum),
        };
        let (answer, answered) = oneshot::channel();
        let submission = Submission { body, answer, room };
        let submitted = self.submissions.send(submission).await;
        submitted.map_err(|_| ProposeError::Stopped)?;
        answered.await.map_err(|_| ProposeError::Stopped)?
    }
}

struct Task {
    identity: Identity,
    route: Route,
    /// The leadership that everything before `unsent` was sent to.
    leadership: Option<Leadership>,
    under_way: BTreeMap<u64, UnderWay>,
    next_sequence: u64,
    /// The first sequence that the present leadership was not sent.
    unsent: u64,
    /// The leader has not taken a batch in: nothing is sent before the next look.
    is_stalled: bool,
    batches: FuturesUnordered<BoxFuture<'static, Batch>>,
    /// A majority is given its time while this process runs.
    clock: Awake,
    /// When a majority last showed itself, by a delivery or an answer; by the clock.
    last_sign: Duration,
    /// The members are being asked whether there is a majority.
    question: Option<BoxFuture<'static, bool>>,
    /// There is none: nothing is sent before there is one or another leads, so that what comes in
    /// now can be refused for certain.
    is_without_majority: bool,
}

struct UnderWay {
    body: Bytes,
    /// By the clock.
    since: Duration,
    sent: Option<Instant>,
    /// None once the proposer was told that the outcome is unknown.
    answer: Option<Answer>,
    _room: OwnedSemaphorePermit,
}

/// What has become of a batch.
struct Batch {
    first: u64,
    leadership: Leadership,
    was_taken_in: bool,
}

impl Task {
    async fn run(
        mut self,
        mut incoming: mpsc::Receiver<Submission>,
        mut delivered: mpsc::UnboundedReceiver<OwnDelivered>,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut submitted = Vec::new();
        loop {
            self.send();
            // Dropping any of these futures loses nothing: all are receives, or are kept in self.
            tokio::select! {
                count = incoming.recv_many(&mut submitted, MAX_BATCH_PROPOSALS) => {
                    if count == 0 {
                        return;
                    }
                    submitted.drain(..).for_each(|submission| self.accept(submission));
                }
                Some(delivery) = delivered.recv() => self.settle(delivery),
                Some(batch) = self.batches.next() => self.after(&batch),
                () = self.route.changed() => self.follow(),
                has_majority = answer(&mut self.question) => {
                    self.question = None;
                    self.is_without_majority = !has_majority;
                    if has_majority {
                        self.last_sign = self.clock.now();
                    }
                }
                _ = tick.tick(), if !self.under_way.is_empty() => self.look(),
            }
        }
    }

    fn accept(&mut self, Submission { body, answer, room }: Submission) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let proposal = UnderWay {
            body,
            since: self.clock.now(),
            sent: None,
            answer: Some(answer),
            _room: room,
        };
        self.under_way.insert(sequence, proposal);
    }

    fn settle(&mut self, OwnDelivered { sequence, index }: OwnDelivered) {
        self.last_sign = self.clock.now();
        self.is_without_majority = false;
        if let Some(proposal) = self.under_way.remove(&sequence)
            && let Some(answer) = proposal.answer
        {
            // Who has stopped waiting learns of it by the delivery.
            let _ = answer.send(Ok(index));
        }
    }

    /// Turns to another leader with everything that is under way.
    fn follow(&mut self) {
        let leadership = self.route.leadership();
        if leadership != self.leadership {
            self.leadership = leadership;
            self.unsent = 0;
            self.is_stalled = false;
            self.is_without_majority = false;
            self.question = None;
        }
    }

    /// Sends what the present leader has not been sent.
    fn send(&mut self) {
        let Some(leadership) = self.leadership else {
            return;
        };
        let may_send = !self.is_stalled && !self.is_without_majority;
        while may_send && self.batches.len() < BATCHES_UNDER_WAY {
            let batch = self.next_batch();
            let Some(first) = batch.first().map(|proposal| proposal.id.sequence) else {
                return;
            };
            let proposing = self.route.clone().propose(batch);
            let outcome = proposing.map(move |was_taken_in| Batch {
                first,
                leadership,
                was_taken_in,
            });
            self.batches.push(outcome.boxed());
        }
    }

    fn next_batch(&mut self) -> Vec<Proposal> {
        let settled = self.under_way.keys().next().copied().unwrap_or_default();
        let now = Instant::now();
        let mut batch = Vec::new();
        let mut bytes = 0;
        for (&sequence, proposal) in self.under_way.range_mut(self.unsent..) {
            bytes += proposal.body.len();
            proposal.sent = Some(now);
            batch.push(Proposal {
                id: ProposalId {
                    node: self.identity.node,
                    incarnation: self.identity.incarnation,
                    sequence,
                },
                settled,
                body: proposal.body.clone(),
            });
            self.unsent = sequence + 1;
            if bytes >= MAX_BATCH_BYTES || batch.len() == MAX_BATCH_PROPOSALS {
                break;
            }
        }
        batch
    }

    /// A batch that the present leader has not taken in is sent again.
    fn after(&mut self, batch: &Batch) {
        if !batch.was_taken_in && self.leadership == Some(batch.leadership) {
            self.unsent = self.unsent.min(batch.first);
            self.is_stalled = true;
        }
    }

    /// Looks after what waits: asks for a majority when in doubt, gives up when there is none.
    fn look(&mut self) {
        self.follow();
        self.is_stalled = false;
        let now = self.clock.look(Instant::now());
        let Some((&first, oldest)) = self.under_way.first_key_value() else {
            return;
        };
        if oldest.sent.is_some_and(|sent| sent.elapsed() > RESEND) {
            self.unsent = self.unsent.min(first);
        }
        let silent_since = self.last_sign.max(oldest.since);
        if now - silent_since > DOUBT && self.question.is_none() {
            let limit = PATIENCE - DOUBT;
            self.question = Some(self.route.clone().has_majority(limit).boxed());
        }
        let has_majority = now - self.last_sign <= PATIENCE;
        let patience = if has_majority {
            LONG_PATIENCE
        } else {
            PATIENCE
        };
        if now - oldest.since >= patience {
            self.give_up(now, patience);
        }
    }

    /// Answers those that have waited long enough. What was sent stays under way.
    fn give_up(&mut self, now: Duration, patience: Duration) {
        let mut given_up = 0;
        self.under_way.retain(|_, proposal| {
            if now - proposal.since < patience {
                return true;
            }
            if let Some(answer) = proposal.answer.take() {
                let error = if proposal.sent.is_some() {
                    ProposeError::Unknown
                } else {
                    ProposeError::NoQuorum
                };
                let _ = answer.send(Err(error));
                given_up += 1;
            }
            proposal.sent.is_some()
        });
        if given_up > 0 {
            if patience == LONG_PATIENCE {
                warn!(
                    given_up,
                    "a majority answers, but takes nothing in: transactions fail"
                );
            } else {
                let silent = now - self.last_sign;
                warn!(
                    given_up,
                    ?silent,
                    "no sign of a majority: transactions fail"
                );
            }
        }
    }
}

async fn answer(question: &mut Option<BoxFuture<'static, bool>>) -> bool {
    match question {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}
