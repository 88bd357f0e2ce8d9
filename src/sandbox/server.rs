//! A stock server's command, and how to make a data directory for it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail};
use tokio::process::Command;

use super::process::{append, find};
use crate::id::Family;

/// The servers that are looked for when none is named.
const NAMES: [&str; 2] = ["mariadbd", "mysqld"];

/// On MySQL, root may otherwise log in over TCP only where 127.0.0.1 resolves to localhost.
const MYSQL_ACCOUNTS: &str = "CREATE USER root@'127.0.0.1';\n\
    GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n";

/// How to run a server.
#[derive(Debug)]
pub(super) struct Program {
    /// The executable, behind the loader that it may need.
    words: Vec<String>,
    /// Options that come first or nowhere.
    defaults: Vec<String>,
    /// What the caller wants beside what the sandbox needs; it has the last word.
    options: Vec<String>,
    pub(super) family: Family,
}

/// One server's place.
pub(super) struct Place<'a> {
    pub(super) directory: &'a Path,
    pub(super) id: u16,
    pub(super) port: u16,
    pub(super) durable: bool,
}

impl Place<'_> {
    pub(super) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Where the data directory is made; nothing is there.
    fn unfinished(&self) -> io::Result<PathBuf> {
        let path = self.directory.join("data.unfinished");
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        Ok(path)
    }

    /// Not shared with another server: MariaDB removes at its start what it takes for its own
    /// left-over temporary tables, and breaks a server that is using them.
    fn temporary(&self) -> io::Result<String> {
        let directory = self.directory.join("tmp");
        fs::create_dir_all(&directory)?;
        Ok(format!("--tmpdir={}", directory.display()))
    }
}

impl Program {
    /// Reads a command as a shell would split it, or finds a server if none is given.
    pub(super) async fn find(command: Option<&str>) -> anyhow::Result<Self> {
        let words = match command {
            Some(command) => shlex::split(command).context("--server has an open quote")?,
            None => vec![installed()?.display().to_string()],
        };
        let (words, options) = split(words)?;
        let (defaults, options): (Vec<_>, _) =
            options.into_iter().partition(|word| is_for_defaults(word));
        let mut program = Self {
            words,
            defaults,
            options,
            family: Family::MySql,
        };
        if program.defaults.is_empty() {
            program.defaults.push("--no-defaults".to_owned());
        }
        let shown = program.command().arg("--version").output().await;
        let shown = shown.with_context(|| format!("cannot run {:?}", program.words))?;
        let version = String::from_utf8_lossy(&shown.stdout);
        if !shown.status.success() || !version.contains("Ver ") {
            bail!(
                "{:?} is not a server: --version says {version:?}",
                program.words
            );
        }
        program.family = Family::of(&version);
        Ok(program)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).args(&self.defaults);
        command
    }

    /// Makes data directories in which root has no password, where there are none: one, and copies of it.
    pub(super) async fn initialise(&self, places: &[Place<'_>]) -> anyhow::Result<()> {
        let mut lacking = places.iter().filter(|place| !place.data().exists());
        let Some(first) = lacking.next() else {
            return Ok(());
        };
        // Until they are complete they have another name: a directory that was left half-made is not used.
        let made = first.unfinished()?;
        self.make(first, &made).await?;
        for place in lacking {
            let copy = place.unfinished()?;
            copy_directory(&made, &copy)
                .with_context(|| format!("cannot make {}", copy.display()))?;
            fs::rename(copy, place.data())?;
        }
        Ok(fs::rename(made, first.data())?)
    }

    /// Makes a data directory.
    async fn make(&self, place: &Place<'_>, data: &Path) -> anyhow::Result<()> {
        let mut command = match self.family {
            Family::MariaDb => self.install_db(),
            Family::MySql => {
                let accounts = place.directory.join("accounts.sql");
                fs::write(&accounts, MYSQL_ACCOUNTS)?;
                let mut command = self.command();
                command.arg("--initialize-insecure");
                command.arg(format!("--init-file={}", accounts.display()));
                command.args(&self.options);
                command
            }
        };
        let path = place.directory.join("server.log");
        let log = append(&path)?;
        let ended = command
            .arg(format!("--datadir={}", data.display()))
            .arg(place.temporary()?)
            .args(user())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .status();
        let ended = ended.await;
        let ended = ended.with_context(|| format!("cannot run {command:?}"))?;
        if !ended.success() {
            bail!(
                "no data directory was made; the reason is in {}",
                path.display()
            );
        }
        // A server's identity, which it draws when it starts without.
        match fs::remove_file(data.join("auto.cnf")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// MariaDB's script, from beside the server if it is there.
    fn install_db(&self) -> Command {
        let name = "mariadb-install-db";
        let program = Path::new(self.words.last().expect("a program has a word"));
        let base = program.parent().and_then(Path::parent);
        let beside = ["bin", "scripts"].map(|folder| base.map(|b| b.join(folder).join(name)));
        let found = beside.into_iter().flatten().find(|path| path.is_file());
        let mut command = Command::new(found.unwrap_or_else(|| name.into()));
        command.args(&self.defaults);
        command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        let basedir = |word: &&String| word.starts_with("--basedir=");
        command.args(self.options.iter().filter(basedir));
        command
    }

    /// The server, small, with what Trireme needs of it. None may be running in its place.
    pub(super) fn run(&self, place: &Place<'_>) -> io::Result<Command> {
        let mut command = self.command();
        let file = |name: &str| place.directory.join(name).display().to_string();
        // A killed MySQL leaves its number here, which may be another process's by now.
        match fs::remove_file(file("server.sock.lock")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        command.args([
            format!("--datadir={}", place.data().display()),
            format!("--socket={}", file("server.sock")),
            format!("--pid-file={}", file("server.pid")),
            format!("--port={}", place.port),
            format!("--server-id={}", place.id),
            place.temporary()?,
        ]);
        command.args([
            "--bind-address=127.0.0.1",
            "--log-bin=binlog",
            "--binlog-row-metadata=FULL",
            "--innodb-buffer-pool-size=64M",
        ]);
        command.arg(match self.family {
            Family::MariaDb => "--binlog-format=ROW",
            // Its second protocol would want a port of its own.
            Family::MySql => "--mysqlx=OFF",
        });
        // A commit is durable in the replicated log before its client hears of it.
        let (flush, sync) = if place.durable { (1, 1) } else { (2, 0) };
        command.arg(format!("--innodb-flush-log-at-trx-commit={flush}"));
        command.arg(format!("--sync-binlog={sync}"));
        command.args(user()).args(&self.options);
        Ok(command)
    }
}

fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &copy)?;
        } else {
            fs::copy(entry.path(), copy)?;
        }
    }
    Ok(())
}

/// Servers refuse to run as root unless they are told to.
fn user() -> Option<&'static str> {
    rustix::process::geteuid()
        .is_root()
        .then_some("--user=root")
}

fn is_for_defaults(word: &str) -> bool {
    word == "--no-defaults" || word.starts_with("--defaults-")
}

/// The words up to the server's executable, and its options.
fn split(mut words: Vec<String>) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let is_server = |word: &String| {
        let name = Path::new(word).file_name().and_then(|name| name.to_str());
        !word.starts_with('-') && name.is_some_and(|name| NAMES.iter().any(|n| name.starts_with(n)))
    };
    let Some(at) = words.iter().position(is_server) else {
        bail!("--server names no program called mysqld or mariadbd");
    };
    let options = words.split_off(at + 1);
    Ok((words, options))
}

fn installed() -> anyhow::Result<PathBuf> {
    find(NAMES).context(
        "there is neither mariadbd nor mysqld here: install mariadb-server, or name one with --server",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_at_the_server() {
        for (command, program, options) in [
            ("mysqld", "mysqld", ""),
            (
                "/usr/sbin/mariadbd --max-connections=9",
                "/usr/sbin/mariadbd",
                "--max-connections=9",
            ),
            (
                "ld.so --library-path /x/mysql /x/mysqld --basedir=/x --plugin-dir=/y/mysqld",
                "ld.so --library-path /x/mysql /x/mysqld",
                "--basedir=/x --plugin-dir=/y/mysqld",
            ),
            ("mysqld-debug --gdb", "mysqld-debug", "--gdb"),
        ] {
            let (words, rest) = split(shlex::split(command).unwrap()).unwrap();
            assert_eq!(
                (words.join(" "), rest.join(" ")),
                (program.into(), options.into())
            );
        }
        assert!(split(vec!["postgres".to_owned()]).is_err());
        assert!(split(Vec::new()).is_err());
    }
}
