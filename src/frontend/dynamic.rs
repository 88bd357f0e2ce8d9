//! Statements that a client prepares from a text and runs by a name: they are what their texts are.

use std::collections::HashMap;

use super::{
    answer::Answer,
    calls::IN_PREPARED_TEXT,
    known::Known,
    replicated::Replicated,
    session::{Session, SessionError},
    statement::Source,
};
use crate::{
    protocol::errno,
    sql::{self, Class, Dynamic, Text, galera::Question},
};

/// Others are known as something that may do anything: they run, unless they commit or define something.
const MOST_NAMES: usize = 256;
/// In bytes, of a text.
const LONGEST: usize = 1 << 16;

/// The texts of a session's prepared statements, by their names in lower case.
#[derive(Debug, Default)]
pub(super) struct Texts(HashMap<String, Vec<u8>>);

impl Texts {
    /// A program may have prepared other statements under the same names.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    fn set(&mut self, name: String, text: Option<Vec<u8>>) {
        self.0.remove(&name);
        if let Some(text) = text
            && text.len() <= LONGEST
            && self.0.len() < MOST_NAMES
        {
            self.0.insert(name, text);
        }
    }
}

impl Replicated {
    /// Runs a statement with this text.
    pub(super) async fn statement_of(
        &mut self,
        session: &mut Session,
        text: &[u8],
    ) -> Result<Answer, SessionError> {
        let known = self.known(text);
        let source = Source::Text(text);
        match Dynamic::of(text, self.dialect) {
            // In a box, as it is rare and its future large.
            Some(dynamic) => Box::pin(self.dynamic(session, known, dynamic, source)).await,
            None => self.statement(session, known, source).await,
        }
    }

    /// Runs a statement that prepares another one from a text, or runs or forgets such a one.
    async fn dynamic(
        &mut self,
        session: &mut Session,
        known: Known,
        dynamic: Dynamic,
        source: Source<'_>,
    ) -> Result<Answer, SessionError> {
        let prepared = match dynamic {
            Dynamic::Prepare { name, text } => {
                let text = match text {
                    Some(text) => self.told(session, text).await?,
                    None => None,
                };
                let answer = self.statement(session, known, source).await?;
                self.texts.set(name, text.filter(|_| !answer.is_error()));
                return Ok(answer);
            }
            Dynamic::Deallocate(name) => {
                self.texts.set(name, None);
                None
            }
            Dynamic::Execute(name) => self.texts.0.get(&name).cloned(),
            Dynamic::ExecuteImmediate(text) => self.told(session, text).await?,
        };
        let Some(text) = prepared else {
            return self.statement(session, known, source).await;
        };
        let inner = self.known(&text);
        if inner.may_call && !sql::calls(&text, self.dialect).is_empty() {
            return Ok(Answer::refusal(errno::NOT_SUPPORTED_YET, IN_PREPARED_TEXT));
        }
        if let Some(refusal) = self.unreplicable(session, inner.class, &text).await? {
            return Ok(refusal);
        }
        // These are the node's own to do.
        let question = inner.question(&text, self.dialect);
        if inner.class == Class::LockTables || matches!(question, Some(Question::Set(_))) {
            return self.statement(session, inner, Source::Text(&text)).await;
        }
        let may_call = known.may_call;
        let known = match inner.class {
            // Its name is in the text, and this is not sent.
            Class::Savepoint => known,
            _ => Known { may_call, ..inner },
        };
        self.statement(session, known, source).await
    }

    /// The text itself; none if it is NULL.
    async fn told(
        &self,
        session: &mut Session,
        text: Text,
    ) -> Result<Option<Vec<u8>>, SessionError> {
        match text {
            Text::Literal(text) => Ok(Some(text)),
            Text::Variable(variable) => {
                let value = session.value(&[b"SELECT ", &variable[..]].concat()).await?;
                Ok(value.map(String::into_bytes))
            }
        }
    }
}
