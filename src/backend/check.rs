//! What of a server is not as a node needs it, told before the node runs.

use std::fmt;

use super::{
    Connection, ConnectionError,
    prepare::{Wrong, has_binlog, wrong},
};
use crate::config::AutoIncrement;

/// Rights that come with `ALL PRIVILEGES ON *.*`; MySQL shows them by their names.
const RIGHTS: [&str; 2] = ["SUPER", "REPLICATION SLAVE"];

/// Something that is not as a node needs it.
#[derive(Debug)]
pub struct Finding(Kind);

#[derive(Debug)]
enum Kind {
    NoBinlog,
    /// The node sets it at each start.
    Setting(Wrong),
    /// There is something that this account, the node's, may not do.
    Rights {
        account: String,
    },
}

impl Finding {
    /// Whether a node cannot run until this is mended.
    pub fn is_fatal(&self) -> bool {
        !matches!(self.0, Kind::Setting(_))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::NoBinlog => f.write_str(
                "the server writes no binlog; put this into its configuration ([mysqld]) and restart it:\n  \
                log_bin=binlog",
            ),
            Kind::Setting(Wrong {
                name,
                value,
                wanted,
            }) => write!(
                f,
                "{name} is {value:?}; the node sets it at each start, and this line does for good:\n  {name}={wanted}"
            ),
            Kind::Rights { account } => write!(
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
    let mut found = Vec::new();
    if !has_rights(connection).await? {
        let rows = connection.query("SELECT CURRENT_USER()").await?;
        let account = rows.first().and_then(|row| row.text(0));
        found.push(Kind::Rights {
            account: quoted(account.unwrap_or_default()),
        });
    }
    if !has_binlog(connection).await? {
        found.push(Kind::NoBinlog);
    }
    let wrong = wrong(connection, auto_increment).await?;
    found.extend(wrong.into_iter().map(Kind::Setting));
    Ok(found.into_iter().map(Finding).collect())
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
        let binlog = Finding(Kind::NoBinlog);
        assert!(binlog.is_fatal() && binlog.to_string().ends_with("\n  log_bin=binlog"));
        let format = Finding(Kind::Setting(Wrong {
            name: "binlog_format",
            value: "MIXED".to_owned(),
            wanted: "ROW".to_owned(),
        }));
        assert!(!format.is_fatal() && format.to_string().ends_with("\n  binlog_format=ROW"));
        let rights = Finding(Kind::Rights {
            account: quoted("node@%"),
        });
        assert!(rights.is_fatal() && rights.to_string().contains("TO 'node'@'%' WITH"));
    }
}
