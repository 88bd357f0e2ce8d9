//! The node as a client of its own, which runs the cluster's events while it leads.
//!
//! The server's own scheduler cannot: what it commits is committed before anybody was asked, and on every server. So each run
//! of an event is one statement of a client, a `CALL`, and in its transaction is a row that says up to when the event has run. That
//! row is certified like any other: where two nodes take themselves for the leader, one of them loses.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    future::pending,
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tracing::{debug, warn};

use super::{Frontend, Shared};
use crate::{
    backend::{
        Connection, ConnectionError, ScheduledEvent, ScheduledEvents, Standing, Unreplicable,
        forget_run,
    },
    protocol::errno,
    replicator::Stale,
};

/// Between two looks at whether this node leads and whether something else is defined.
const LOOK: Duration = Duration::from_millis(100);

/// Before something that went wrong is tried again.
const SHORT: Duration = Duration::from_secs(1);

/// Between two questions about an event that has a long time to wait: the server's clock may be set.
const LONG: Duration = Duration::from_secs(60);

/// What is said to who has lost to another transaction, and where a node cannot serve or does not know what has become of a commit.
const PASSING: [u16; 3] = [
    errno::DEADLOCK.number,
    errno::UNKNOWN_COMMAND.number,
    errno::ERROR_DURING_COMMIT.number,
];

/// The schema and the name of an event.
type Name = (String, String);

/// Why an event was not run, or not ended.
#[derive(Debug, thiserror::Error)]
enum EventError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Unreplicable(Arc<Unreplicable>),
    #[error(transparent)]
    Stale(#[from] Stale),
}

impl EventError {
    /// Whether the event has failed: the fault is not that of the moment, which another transaction or the cluster may have.
    fn is_final(&self) -> bool {
        match self {
            Self::Connection(ConnectionError::Server { number, .. }) => !PASSING.contains(number),
            Self::Connection(_) | Self::Stale(_) => false,
            Self::Unreplicable(_) => true,
        }
    }
}

impl Frontend {
    /// Runs the events of a cluster while this node leads it, for as long as this is polled.
    pub(super) async fn run_events(self: &Arc<Self>) -> Infallible {
        let Some(shared) = &self.shared else {
            return pending().await;
        };
        if !shared.cluster.run_events {
            return pending().await;
        }
        let mut scheduler = Scheduler {
            frontend: self.clone(),
            shared: shared.clone(),
            events: Arc::new(ScheduledEvents::new(shared.server.clone())),
            defined: None,
            agenda: HashMap::new(),
            tasks: JoinSet::new(),
            busy: HashSet::new(),
        };
        while let Err(error) = scheduler.clean_up().await {
            debug!(%error, "cannot look for what earlier runs of events have left");
            sleep(SHORT).await;
        }
        scheduler.run().await
    }
}

struct Scheduler {
    frontend: Arc<Frontend>,
    shared: Arc<Shared>,
    events: Arc<ScheduledEvents>,
    /// The version of what was defined when the events were read.
    defined: Option<u64>,
    /// The events that are enabled, and when something may be to be done about each.
    agenda: HashMap<Name, (Arc<ScheduledEvent>, Instant)>,
    /// What is done about those in `busy`. Each gives the event, and when to look at it again.
    tasks: JoinSet<(Name, Instant)>,
    busy: HashSet<Name>,
}

impl Scheduler {
    async fn run(&mut self) -> Infallible {
        loop {
            let wait = if self.shared.replicator.log.leads() {
                self.look().await.unwrap_or_else(|error| {
                    debug!(%error, "cannot look at the events");
                    SHORT
                })
            } else {
                self.defined = None;
                LOOK
            };
            tokio::select! {
                () = sleep(wait) => {}
                Some(Ok((name, at))) = self.tasks.join_next() => {
                    self.busy.remove(&name);
                    if let Some((_, look_at)) = self.agenda.get_mut(&name) {
                        *look_at = at;
                    }
                }
            }
        }
    }

    /// Drops the procedures of runs that have ended with their node.
    async fn clean_up(&self) -> Result<(), ConnectionError> {
        let left = self.events.drop_left().await?;
        if !left.is_empty() {
            let mut server = Connection::open(&self.shared.server).await?;
            server.run_unlogged(&left).await?;
        }
        Ok(())
    }

    /// Begins what is to be done now; gives the time until there is more.
    async fn look(&mut self) -> Result<Duration, EventError> {
        let defined = self.shared.replicator.captures.defined().version;
        if self.defined != Some(defined) {
            self.read_again().await?;
            self.defined = Some(defined);
        }
        let now = Instant::now();
        let has_come =
            |(name, (_, at)): &(&Name, &(_, Instant))| *at <= now && !self.busy.contains(*name);
        let due: Vec<_> = self
            .agenda
            .iter()
            .filter(has_come)
            .map(|(name, (event, _))| (name.clone(), event.clone()))
            .collect();
        if !due.is_empty() {
            let runs: HashMap<_, _> = self.events.runs().await?.into_iter().collect();
            for (name, event) in due {
                let turns = self.events.turns(&event).await?;
                match event.standing(&turns, runs.get(&name).copied()) {
                    Standing::Waits(turn) => {
                        let wait = Duration::from_millis(turn * 1000 - turns.now).min(LONG);
                        self.agenda.insert(name, (event, Instant::now() + wait));
                    }
                    Standing::Due(turn) => self.begin(name, event, Some(turn)),
                    Standing::Over => self.begin(name, event, None),
                }
            }
        }
        let idle = self
            .agenda
            .iter()
            .filter(|(name, _)| !self.busy.contains(*name));
        let next = idle.map(|(_, (_, at))| *at).min();
        Ok(next.map_or(LOOK, |at| (at - Instant::now()).min(LOOK)))
    }

    /// Reads which events there are, and forgets when those ran that are there no more.
    async fn read_again(&mut self) -> Result<(), EventError> {
        // In this order: what has run by then is defined by then.
        let runs = self.events.runs().await?;
        let events = self.events.all().await?;
        let now = Instant::now();
        let entry = |event: ScheduledEvent| {
            (
                (event.schema.clone(), event.name.clone()),
                (Arc::new(event), now),
            )
        };
        self.agenda = events.into_iter().map(entry).collect();
        let is_gone = |name: &Name| !self.agenda.contains_key(name) && !self.busy.contains(name);
        let gone: Vec<_> = runs
            .into_iter()
            .map(|(name, _)| name)
            .filter(is_gone)
            .collect();
        if !gone.is_empty() {
            let mut client = self.frontend.client_of_its_own(&self.shared.server).await?;
            for name in gone {
                client.query(&forget_run(&name)).await?;
            }
        }
        Ok(())
    }

    /// Runs an event for a turn, or ends it if there is none.
    fn begin(&mut self, name: Name, event: Arc<ScheduledEvent>, turn: Option<u64>) {
        self.busy.insert(name.clone());
        let (frontend, shared, events) = (
            self.frontend.clone(),
            self.shared.clone(),
            self.events.clone(),
        );
        self.tasks.spawn(async move {
            let done = match turn {
                Some(turn) => frontend.run_event(&shared, &event, turn).await,
                None => frontend.end_event(&shared, &events, &event).await,
            };
            let now = Instant::now();
            match done {
                Ok(()) => (name, now),
                Err(error) => {
                    let (schema, event) = &name;
                    warn!(schema, event, %error, "an event has failed");
                    (name, now + SHORT)
                }
            }
        });
    }
}

impl Frontend {
    async fn run_event(
        self: &Arc<Self>,
        shared: &Shared,
        event: &ScheduledEvent,
        turn: u64,
    ) -> Result<(), EventError> {
        let mut server = Connection::open(&shared.server).await?;
        let mut client = self.client_of_its_own(&shared.server).await?;
        client.query(&event.begin()).await?;
        let number = server.id();
        let defined = shared.replicator.captures.defined();
        let done = match event.obstacle(&defined.unreplicated, server.dialect()) {
            Some(reason) => Err(EventError::Unreplicable(reason)),
            None => {
                let done = async {
                    server.run_unlogged(&event.make(turn, number)).await?;
                    for statement in event.call(number) {
                        client.query(&statement).await?;
                    }
                    Ok(())
                };
                let done = done.await;
                server.run_unlogged(&event.drop(number)).await?;
                done
            }
        };
        if done.as_ref().is_err_and(EventError::is_final) {
            // As on a server, it is not run again before its next turn.
            client.query(&event.has_run(turn)).await?;
        }
        done
    }

    async fn end_event(
        self: &Arc<Self>,
        shared: &Shared,
        events: &ScheduledEvents,
        event: &ScheduledEvent,
    ) -> Result<(), EventError> {
        // Somebody may have given it more turns meanwhile, on another node.
        shared.replicator.level().await?;
        if !events.all().await?.contains(event) {
            return Ok(());
        }
        let mut client = self.client_of_its_own(&shared.server).await?;
        for statement in event.end() {
            client.query(&statement).await?;
        }
        Ok(())
    }
}
