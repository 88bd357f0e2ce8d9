//! Locks of tables (`LOCK TABLES`).
//!
//! A server refuses XA transactions to a session that has locked tables, so it is not asked to. Tables that are locked for
//! writing have a lock with a name each, which keeps out who locks them on any node; and who only reads them
//! reads from a snapshot, in which nothing changes.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    Held, Locks,
    asked::{Patience, unknown},
};
use crate::{
    backend::ConnectionError,
    frontend::{
        answer::Answer,
        replicated::Replicated,
        rows::HIDDEN,
        session::{Session, SessionError},
        shared::Shared,
        snapshot::NO_ROWS,
        statement::{Source, id},
        transaction::COMMIT,
    },
    protocol::{errno, response::Status},
    sql::{self, Class, Completion, TableLock, Unsupported},
};

/// The snapshot that is read from instead of tables that are locked for reading.
const READ: [&str; 2] = [
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
];

const LOCKED: &str =
    "tables are locked for reading, and this would end that; send UNLOCK TABLES first";

/// The tables that a session has locked.
#[derive(Debug)]
pub(in crate::frontend) enum TableLocks {
    /// Some of them for writing.
    Written(Vec<Held>),
    /// All for reading.
    Read,
}

impl Replicated {
    /// `LOCK TABLES`, where no transaction is open.
    pub(in crate::frontend) async fn lock_tables(
        &mut self,
        session: &mut Session,
        source: Source<'_>,
    ) -> Result<Answer, SessionError> {
        session.discard(source).await?;
        let text: Option<Arc<[u8]>> = match source {
            Source::Text(text) => Some(text.into()),
            Source::Command(command) => {
                id(command).and_then(|id| Some(self.prepared.get(id)?.text.clone()))
            }
            Source::Packet => None,
        };
        let wanted = text
            .as_deref()
            .and_then(|text| sql::TableLocks::of(text, self.dialect));
        let Some(wanted) = wanted else {
            let reason = Unsupported::LockTables;
            return Ok(Answer::refusal(errno::NOT_SUPPORTED_YET, reason));
        };
        self.unlock_tables(session).await?;
        if let Some(error) = check(session, &wanted.tables).await? {
            return Ok(error);
        }
        let schema = session.default_schema().await?.unwrap_or_default();
        let mut names: Vec<_> = wanted.tables.iter().map(|t| name(t, &schema)).collect();
        // All take them in one order, so nobody waits for who waits for him.
        names.sort();
        names.dedup();
        let seconds = match wanted.patience {
            Some(seconds) => seconds,
            None => {
                let seconds = session.value(b"SELECT @@lock_wait_timeout").await?;
                seconds
                    .and_then(|seconds| seconds.parse().ok())
                    .unwrap_or_default()
            }
        };
        let patience = Patience::of(Duration::from_secs(seconds));
        let shared = self.transactions.shared.clone();
        if wanted.tables.iter().all(|table| !table.writes) {
            return self.read_tables(session, &shared, &names, patience).await;
        }
        let taken = take(&shared, names, patience, session.connection_id);
        match self.meanwhile(session, taken).await? {
            Ok(held) => {
                self.table_locks = Some(TableLocks::Written(held));
                done(session).await
            }
            Err(answer) => Ok(answer),
        }
    }

    /// Begins to read from a snapshot of these tables while nobody has locked them for writing.
    async fn read_tables(
        &mut self,
        session: &mut Session,
        shared: &Shared,
        names: &[String],
        patience: Patience,
    ) -> Result<Answer, SessionError> {
        loop {
            let free = async {
                patience.level(shared).await?;
                let free = shared.locks.are_free(names, patience.deadline).await;
                if free.map_err(|error| unknown(&error))? {
                    Ok(())
                } else {
                    Err(Answer::timed_out())
                }
            };
            if let Err(answer) = self.meanwhile(session, free).await? {
                return Ok(answer);
            }
            session.hidden = HIDDEN;
            let [set, answer] = session.run_own(READ.map(str::to_owned)).await?;
            if let Some(error) = [set, answer].into_iter().find(Answer::is_error) {
                session.hidden = 0;
                return Ok(error);
            }
            self.table_locks = Some(TableLocks::Read);
            self.reads_only = true;
            // Who has locked them since may have written already.
            let still = shared.locks.are_free(names, Instant::now()).await;
            match still {
                Ok(true) => return done(session).await,
                Ok(false) => self.unlock_tables(session).await?,
                Err(error) => {
                    self.unlock_tables(session).await?;
                    return Ok(unknown(&error));
                }
            }
        }
    }

    /// Gives up the locks of tables, if the session has any.
    pub(in crate::frontend) async fn unlock_tables(
        &mut self,
        session: &mut Session,
    ) -> Result<(), SessionError> {
        match self.table_locks.take() {
            None => {}
            Some(TableLocks::Read) => {
                session.hidden = 0;
                self.reads_only = false;
                if session.has(Status::IN_TRANSACTION) {
                    session.run_own([COMMIT.to_owned()]).await?;
                }
            }
            Some(TableLocks::Written(held)) => {
                let locks = self.transactions.shared.locks.clone();
                for Held { holder, .. } in &held {
                    locks.give_up(*holder).await;
                }
            }
        }
        Ok(())
    }

    /// Notices that the server's own transaction, which has only read, is over.
    pub(in crate::frontend) fn notice_end(&mut self, session: &mut Session) {
        if session.has(Status::IN_TRANSACTION) {
            return;
        }
        self.reads_only = false;
        if let Some(TableLocks::Read) = self.table_locks {
            self.table_locks = None;
            session.hidden = 0;
        }
    }

    /// Sees to what a statement means to tables that are locked; the answer to it, if it is not to run.
    pub(in crate::frontend) async fn meet_table_locks(
        &mut self,
        session: &mut Session,
        class: Class,
    ) -> Result<Option<Answer>, SessionError> {
        let Some(locks) = &self.table_locks else {
            return Ok(None);
        };
        let reads = matches!(locks, TableLocks::Read);
        match class {
            Class::Definition | Class::Administration if reads => {
                Ok(Some(Answer::refusal(errno::LOCKED_TABLES, LOCKED)))
            }
            Class::Commit(said) | Class::Rollback(said)
                if reads && said == Completion::default() =>
            {
                Ok(Some(done(session).await?))
            }
            Class::UnlockTables if self.transactions.is_open() => {
                let answer = self.commit(session).await?;
                self.unlock_tables(session).await?;
                Ok(answer.is_error().then_some(answer))
            }
            // These begin another transaction, or end the session.
            Class::Commit(_) | Class::Rollback(_) if !reads => Ok(None),
            Class::Commit(_) | Class::Rollback(_) | Class::Begin { .. } | Class::UnlockTables => {
                self.unlock_tables(session).await?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}

impl Locks {
    /// Waits until nobody has any of these locks; tells whether it is so by the deadline.
    async fn are_free(&self, names: &[String], deadline: Instant) -> Result<bool, ConnectionError> {
        let mut seen = self.seen.subscribe();
        loop {
            let table = self.table.all().await?;
            if table.iter().all(|lock| !names.contains(&lock.name)) {
                return Ok(true);
            }
            self.look.notify_one();
            if timeout_at(deadline, seen.changed()).await.is_err() {
                return Ok(false);
            }
        }
    }
}

/// Takes locks, one after the other.
async fn take(
    shared: &Shared,
    names: Vec<String>,
    patience: Patience,
    connection: u32,
) -> Result<Vec<Held>, Answer> {
    patience.level(shared).await?;
    let mut held = Vec::new();
    for name in names {
        let taken = patience.acquire(shared, name, connection).await?;
        held.push(taken.ok_or_else(Answer::timed_out)?);
    }
    Ok(held)
}

/// The answer to a statement that its node has done, and that has changed no rows.
async fn done(session: &mut Session) -> Result<Answer, SessionError> {
    let [answer] = session.run_own([NO_ROWS.to_owned()]).await?;
    Ok(answer)
}

/// The server's error if it does not let the session read these tables.
async fn check(
    session: &mut Session,
    tables: &[TableLock<'_>],
) -> Result<Option<Answer>, SessionError> {
    let mut error = None;
    for table in tables {
        let read = [b"SELECT 1 FROM ", table.written, b" LIMIT 0"].concat();
        let packets = session.record(&read, 0).await?;
        if packets.len() == 1 {
            error = Some(packets);
            break;
        }
    }
    // With autocommit off that has begun a transaction.
    session.run_own([COMMIT.to_owned()]).await?;
    Ok(error.map(|packets| session.replay(packets)))
}

/// The name of the lock that stands for a table.
fn name(table: &TableLock<'_>, default_schema: &str) -> String {
    let schema = table.schema.unwrap_or(default_schema.as_bytes());
    let hash = xxh3_128(&[schema, b"\0", table.table].concat());
    format!("LOCK TABLES {hash:032x}")
}
