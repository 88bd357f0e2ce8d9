//! Prints what a node captures from a server's binlog: what `integration/capture` compares with the
//! server's own tool.
//!
//!     capture HOST:PORT USER [PASSWORD]
//!
//! It starts at the binlog's end and prints `from FILE POSITION`, then a line for each group:
//!
//! - `prepared NAME EVENT…`: the transaction's name (the global part of its XA id) and its row
//!   events in hexadecimal,
//! - `refused NAME REASON`: a prepared transaction that cannot be replicated,
//! - `decided`, `direct`.

use std::{env, io::Write, time::Duration};

use anyhow::{Context, bail};
use trireme::{
    backend::{AtTheEnd, Connection, Dump, Sent, end_of_binlog},
    binlog::{Event, Group, Groups},
    config::{Password, Server},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (address, user, password) = match &arguments[..] {
        [address, user] => (address, user, ""),
        [address, user, password] => (address, user, password.as_str()),
        _ => bail!("usage: capture HOST:PORT USER [PASSWORD]"),
    };
    let server = Server {
        address: address.clone(),
        connect_timeout: Duration::from_secs(3),
        user: user.clone(),
        password: Password(password.to_owned()),
    };
    let mut connection = Connection::open(&server).await.context("connecting")?;
    let place = end_of_binlog(&mut connection).await?;
    let mut dump = Dump::start(connection, &place, rand::random(), AtTheEnd::Wait).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "from {} {}", place.file, place.position)?;
    let mut groups = Groups::from(place);
    loop {
        let Sent::Event(event) = dump.next().await? else {
            continue;
        };
        match groups.take(event)? {
            None => {}
            Some(Group::Decided) => writeln!(out, "decided")?,
            Some(Group::Direct(_)) => writeln!(out, "direct")?,
            Some(Group::Prepared { xid, rows }) => {
                let name = String::from_utf8_lossy(&xid.global);
                match rows {
                    Ok(rows) => {
                        let rows: Vec<_> = rows.iter().map(hexadecimal).collect();
                        writeln!(out, "prepared {name} {}", rows.join(" "))?;
                    }
                    Err(refusal) => writeln!(out, "refused {name} {refusal}")?,
                }
            }
        }
    }
}

fn hexadecimal(event: &Event) -> String {
    event.bytes().iter().map(|b| format!("{b:02x}")).collect()
}
