//! HAProxy on the sandbox's own port, as it stands before a cluster: it gives its clients to healthy
//! nodes, and takes them away from one that is not.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::{
    Pair,
    process::{Daemon, find},
};

/// Clients may be idle for as long as the server allows, which is 8 hours by default.
const CONFIGURATION: &str = "\
global
    maxconn 2000

defaults
    mode tcp
    option redispatch 1
    timeout connect 3s
    timeout client 8h
    timeout server 8h
    timeout check 3s

listen trireme
    balance roundrobin
    option httpchk GET /health
    http-check disable-on-404
    default-server check inter 1s fastinter 200ms fall 2 rise 1 on-marked-down shutdown-sessions send-proxy-v2
";

/// The balancer of the sandbox in `directory`.
pub(super) fn daemon(directory: &Path) -> Daemon {
    Daemon {
        pid_file: directory.join("haproxy.pid"),
        argument: directory.join("haproxy.cfg"),
        log: directory.join("haproxy.log"),
    }
}

/// Where HAProxy is, if it is installed.
pub(super) fn installed() -> Option<PathBuf> {
    find(["haproxy"])
}

/// A balancer on `port`, before these nodes.
pub(super) fn run(
    program: &OsStr,
    daemon: &Daemon,
    port: u16,
    pairs: &[Pair],
) -> io::Result<Command> {
    let mut configuration = format!("{CONFIGURATION}    bind 127.0.0.1:{port}\n");
    for pair in pairs {
        let Pair { number, .. } = pair;
        let (clients, http) = (pair.clients(), pair.http());
        configuration += &format!("    server node{number} 127.0.0.1:{clients} port {http}\n");
    }
    fs::write(&daemon.argument, configuration)?;
    let mut command = Command::new(program);
    command.arg("-W").arg("-f").arg(&daemon.argument);
    command.arg("-p").arg(&daemon.pid_file);
    Ok(command)
}
