//! What is known of a statement before it runs.

use super::{
    answer::Answer,
    replicated::Replicated,
    session::{Session, SessionError},
};
use crate::{
    backend::{Verdict, literal},
    config::Isolation,
    protocol::errno,
    sql::{
        self, Class, Dialect, Effect, Named,
        galera::{Question, SyncWait},
    },
};

const NO_ORDER: &str = "the table has no primary key and keeps its rows in another order on each server, which would number \
    or choose others of them; make a table like it with the column or the key, copy the rows with INSERT … SELECT, and RENAME TABLE both";

/// What is known of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) class: Class,
    /// Known at [`Isolation::Snapshot`] alone.
    pub(super) effect: Effect,
    /// Which of these kinds it may be of.
    pub(super) kinds: SyncWait,
    /// Whether it may call functions that the node has a part in.
    pub(super) may_call: bool,
    /// The version of what was defined when this became known.
    pub(super) judged_by: u64,
}

impl Known {
    /// Of a statement whose text is not known.
    pub(super) const NOTHING: Self = Self {
        class: Class::Write,
        effect: Effect::Unknown,
        kinds: SyncWait::ALL,
        may_call: false,
        judged_by: 0,
    };

    /// Whether a statement may be one that MariaDB runs for many rows of parameters at once; it refuses all others.
    pub(super) fn may_be_bulk(self) -> bool {
        matches!(
            self.class,
            Class::Read | Class::Write | Class::Program | Class::Expressions { .. }
        )
    }

    /// What it asks of the node, if its text is this.
    pub(super) fn question(self, text: &[u8], dialect: Dialect) -> Option<Question> {
        let may_ask = matches!(
            self.class,
            Class::Read | Class::Expressions { .. } | Class::Session | Class::Autocommit
        );
        may_ask.then(|| Question::of(text, dialect)).flatten()
    }
}

impl Replicated {
    /// Finds out what a statement is.
    pub(super) fn known(&mut self, text: &[u8]) -> Known {
        let mut class = Class::of(text, self.dialect);
        self.sets_completion = self.sets_completion
            || matches!(class, Class::Session | Class::Autocommit)
                && sql::sets_completion(text, self.dialect);
        // A definition that comes meanwhile is noticed when the statement runs.
        let defined = self.transactions.defined();
        let looks_harmless = matches!(
            class,
            Class::Read | Class::Expressions { .. } | Class::Session
        );
        if looks_harmless && defined.functions().are_named(text, self.dialect) {
            class = Class::Write;
        }
        // It takes reading all of a text, and nobody else wants to know.
        let effect = match self.transactions.shared.cluster.isolation {
            Isolation::Server => Effect::Unknown,
            Isolation::Snapshot => Effect::of(text, self.dialect),
        };
        Known {
            class,
            effect,
            kinds: SyncWait::of(text, self.dialect),
            may_call: class.evaluates() && sql::names_calls(text),
            judged_by: defined.version,
        }
    }

    /// What is known of a prepared statement, which may do something else than when it was prepared: a view that it reads or a trigger of what it
    /// changes may be another one. The answer to its execution, if it must not run.
    pub(super) async fn known_again(
        &mut self,
        session: &mut Session,
        id: u32,
    ) -> Result<Result<Known, Answer>, SessionError> {
        let version = self.transactions.defined().version;
        let Some(prepared) = self.prepared.get(id) else {
            return Ok(Ok(Known::NOTHING));
        };
        let before = prepared.known;
        if before.judged_by == version {
            return Ok(Ok(before));
        }
        let text = prepared.text.clone();
        let known = Known {
            may_call: before.may_call,
            ..self.known(&text)
        };
        if let Some(refusal) = self.unreplicable(session, known.class, &text).await? {
            return Ok(Err(refusal));
        }
        let may_repeat = self.may_repeat(known.class, &text);
        if let Some(prepared) = self.prepared.get(id) {
            prepared.known = known;
            prepared.may_repeat = may_repeat;
        }
        Ok(Ok(known))
    }

    /// The answer to a statement that must not run, since what it changes cannot be replicated.
    pub(super) async fn unreplicable(
        &self,
        session: &mut Session,
        class: Class,
        text: &[u8],
    ) -> Result<Option<Answer>, SessionError> {
        if class == Class::Definition
            && let Some(table) = sql::orders_rows_of(text, self.dialect)
        {
            let lacks_order = session.value(lacks_order(&table).as_bytes()).await?;
            let refusal = || Answer::refusal(errno::NOT_SUPPORTED_YET, NO_ORDER);
            return Ok(lacks_order.filter(|lacks| lacks == "1").map(|_| refusal()));
        }
        let defined = self.transactions.defined();
        let unreplicated = &defined.unreplicated;
        if !class.evaluates() || unreplicated.is_empty() {
            return Ok(None);
        }
        let changed = sql::changed(text, self.dialect);
        let mut verdict = unreplicated.judge(&changed, None);
        if verdict == Verdict::AskSchema {
            let schema = session.default_schema().await?.unwrap_or_default();
            verdict = unreplicated.judge(&changed, Some(&schema));
        }
        Ok(match verdict {
            Verdict::Unreplicable(reason) => {
                Some(Answer::refusal(errno::NOT_SUPPORTED_YET, reason))
            }
            Verdict::Replicable | Verdict::AskSchema => None,
        })
    }

    /// What a statement is that runs now: it may have waited since it became known, and what it reads may have been defined anew.
    pub(super) fn class_now(&self, known: Known) -> Class {
        match known.class {
            Class::Read | Class::Expressions { .. }
                if known.judged_by != self.transactions.defined().version =>
            {
                Class::Write
            }
            class => class,
        }
    }
}

/// A query that says whether a table has no key by which it keeps its rows: of columns that are all there and whole.
fn lacks_order(table: &Named) -> String {
    let schema = match &table.schema {
        Some(schema) => literal(schema),
        None => "LOWER(DATABASE())".to_owned(),
    };
    let name = literal(&table.name);
    let is_table = format!("LOWER(table_schema) = {schema} AND LOWER(table_name) = {name}");
    format!(
        "SELECT EXISTS (SELECT 1 FROM information_schema.tables WHERE {is_table}) AND NOT EXISTS ( \
        SELECT 1 FROM information_schema.statistics WHERE {is_table} AND non_unique = 0 \
        GROUP BY index_name HAVING SUM(nullable = 'YES' OR sub_part IS NOT NULL) = 0)"
    )
}
