//! Remembers the last warning or error that was logged.

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    fmt::{
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::Context,
};

/// A message of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// RFC 3339, UTC.
    pub at: String,
    pub text: String,
}

/// A layer of the log's subscriber; clones share what was logged last.
#[derive(Debug, Clone, Default)]
pub struct LastError(Arc<Mutex<Option<Logged>>>);

impl LastError {
    /// The last message of level WARN or ERROR.
    pub fn get(&self) -> Option<Logged> {
        self.0
            .lock()
            .expect("nothing panics under this lock")
            .clone()
    }
}

impl<S: Subscriber> Layer<S> for LastError {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() > Level::WARN {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let mut at = String::new();
        // Writing to a string does not fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut at));
        let logged = Logged {
            at,
            text: text.message + &text.fields,
        };
        *self.0.lock().expect("nothing panics under this lock") = Some(logged);
    }
}

/// An event as one line: its message, then its fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn the_last_warning_or_error_is_kept() {
        let last = LastError::default();
        let subscriber = tracing_subscriber::registry().with(last.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("all is well");
            assert_eq!(last.get(), None);
            tracing::error!(port = 1, reason = "in use", "cannot listen");
            tracing::warn!(from = %"10.0.0.1", "refused");
            tracing::info!("all is well again");
        });
        let logged = last.get().unwrap();
        assert_eq!(logged.text, "refused from=10.0.0.1");
        assert!(
            logged.at.starts_with("20") && logged.at.ends_with('Z'),
            "{logged:?}"
        );
    }
}
