//! What of a server is not as a node needs it, told before the node runs.

use std::fmt;

use super::{
    Connection, ConnectionError,
    prepare::{SETTINGS, value_of},
};
use crate::config::AutoIncrement;

/// Rights that come with `ALL PRIVILEGES ON *.*`; MySQL shows them by their names.
const RIGHTS: [&str; 2] = ["SUPER", "REPLICATION SLAVE"];

/// Something that is not as a node needs it.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// A variable that only the configuration file sets.
    Restart {
        name: &'static str,
        value: String,
        line: &'static str,
    },
    /// A variable that the node sets at each start.
    Setting {
        name: &'static str,
        value: String,
        wanted: String,
    },
    /// What the node's account may not do.
    Rights { account: String },
}

impl Finding {
    /// Whether a node cannot run until this is mended.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Setting { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restart { name, value, line } => write!(
                f,
                "{name} is {value}; put this into the server's configuration ([mysqld]) and restart it:\n  {line}"
            ),
            Self::Setting {
                name,
                value,
                wanted,
            } => write!(
                f,
                "{name} is {value:?}; the node sets it at each start, and this line does for good:\n  {name}={wanted}"
            ),
            Self::Rights { account } => write!(
                f,
                "the node's account lacks rights; have an administrator run:\n  GRANT ALL PRIVILEGES ON *.* TO {account} WITH GRANT OPTION;"
            ),
        }
    }
}

/// Looks at a server, and changes nothing.
///
/// # Errors
/// The connection fails.
pub async fn check(
    connection: &mut Connection,
    auto_increment: Option<AutoIncrement>,
) -> Result<Vec<Finding>, ConnectionError> {
    let mut findings = Vec::new();
    if !has_rights(connection).await? {
        let rows = connection.query("SELECT CURRENT_USER()").await?;
        let account = rows.first().and_then(|row| row.text(0));
        findings.push(Finding::Rights {
            account: quoted(account.unwrap_or_default()),
        });
    }
    let binlog = value_of(connection, "log_bin").await?;
    if let Some(value) = binlog.filter(|value| value != "ON") {
        findings.push(Finding::Restart {
            name: "log_bin",
            value,
            line: "log_bin=binlog",
        });
    }
    let settings = SETTINGS.map(|(name, wanted)| (name, wanted.to_owned()));
    let increments = auto_increment.map(|AutoIncrement { increment, offset }| {
        [
            ("auto_increment_increment", increment.to_string()),
            ("auto_increment_offset", offset.to_string()),
        ]
    });
    for (name, wanted) in settings.into_iter().chain(increments.into_iter().flatten()) {
        let value = value_of(connection, name).await?;
        let is_right = |value: &String| value.eq_ignore_ascii_case(&wanted) || value == "DISABLED";
        if let Some(value) = value.filter(|value| !is_right(value)) {
            findings.push(Finding::Setting {
                name,
                value,
                wanted,
            });
        }
    }
    Ok(findings)
}

async fn has_rights(connection: &mut Connection) -> Result<bool, ConnectionError> {
    let grants = connection.query("SHOW GRANTS").await?;
    let all: Vec<_> = grants
        .iter()
        .filter_map(|row| row.text(0))
        .filter(|grant| grant.contains(" ON *.* TO "))
        .collect();
    let grants_on = all.iter().any(|grant| grant.contains("WITH GRANT OPTION"));
    let has = |right: &str| all.iter().any(|grant| grant.contains(right));
    Ok(grants_on && (has("ALL PRIVILEGES") || RIGHTS.iter().all(|right| has(right))))
}

/// An account as a statement names it.
fn quoted(account: &str) -> String {
    match account.rsplit_once('@') {
        Some((user, host)) => format!("'{user}'@'{host}'"),
        None => account.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_name_the_line_that_mends_them() {
        let binlog = Finding::Restart {
            name: "log_bin",
            value: "OFF".to_owned(),
            line: "log_bin=binlog",
        };
        assert!(binlog.is_fatal() && binlog.to_string().ends_with("\n  log_bin=binlog"));
        let format = Finding::Setting {
            name: "binlog_format",
            value: "MIXED".to_owned(),
            wanted: "ROW".to_owned(),
        };
        assert!(!format.is_fatal() && format.to_string().ends_with("\n  binlog_format=ROW"));
        let rights = Finding::Rights {
            account: quoted("node@%"),
        };
        assert!(rights.is_fatal() && rights.to_string().contains("TO 'node'@'%' WITH"));
    }
}
