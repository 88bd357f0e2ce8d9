//! Processes that outlive whoever has started them, known by their pid files.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::bail;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

/// Lines of a log that tell why its process has ended; a server says it before it shuts down.
const LAST_WORDS: usize = 20;

/// How long a process may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Where servers are besides in PATH, which is not everybody's.
const SYSTEM_DIRECTORIES: [&str; 3] = ["/usr/sbin", "/usr/libexec", "/usr/local/sbin"];
const POLL: Duration = Duration::from_millis(50);

/// A process that writes its id into a file, and has the path of something of its own among its
/// arguments. The latter tells it from another process that has the id of one that crashed.
pub(super) struct Daemon {
    pub(super) pid_file: PathBuf,
    pub(super) argument: PathBuf,
    /// Where its standard output and standard error go.
    pub(super) log: PathBuf,
}

impl Daemon {
    /// Its id, if it runs.
    pub(super) fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(&self.pid_file).ok()?;
        let pid = text.trim().parse().ok().and_then(Pid::from_raw)?;
        self.is(pid).then_some(pid)
    }

    /// Whether it runs, and with this id.
    fn is(&self, pid: Pid) -> bool {
        let directory = Path::new("/proc").join(pid.to_string());
        let (Ok(started_in), Ok(arguments), Ok(own)) = (
            fs::read_link(directory.join("cwd")),
            fs::read(directory.join("cmdline")),
            fs::canonicalize(&self.argument),
        ) else {
            return false;
        };
        arguments.split(|byte| *byte == 0).any(|argument| {
            let value = argument.rsplit(|byte| *byte == b'=').next();
            let path = started_in.join(OsStr::from_bytes(value.unwrap_or_default()));
            fs::canonicalize(path).is_ok_and(|path| path == own)
        })
    }

    /// Starts it in a process group of its own, so that a Ctrl-C here does not reach it.
    pub(super) fn start(&self, mut command: Command) -> io::Result<Started<'_>> {
        match fs::remove_file(&self.pid_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let log = append(&self.log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        Ok(Started {
            daemon: self,
            child,
        })
    }

    /// Ends it, by force if it does not stop; says whether it has stopped by itself.
    pub(super) async fn stop(&self) -> io::Result<bool> {
        let Some(pid) = self.pid() else {
            return Ok(true);
        };
        signal(pid, Signal::TERM)?;
        if timeout(STOP_LIMIT, self.gone(pid)).await.is_ok() {
            return Ok(true);
        }
        signal(pid, Signal::KILL)?;
        self.gone(pid).await;
        Ok(false)
    }

    /// The end of its log, for an error message.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }

    /// Waits for its end, which may come after that of its pid file.
    async fn gone(&self, pid: Pid) {
        while self.is(pid) {
            sleep(POLL).await;
        }
    }
}

/// A daemon that this process has started.
pub(super) struct Started<'a> {
    daemon: &'a Daemon,
    child: Child,
}

impl Started<'_> {
    /// Makes sure that it has not ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = self.daemon.log.display();
            let last_words = self.daemon.last_words();
            bail!("a process has ended ({status}); its log, {log}, ends with:\n{last_words}");
        }
        Ok(())
    }

    /// Ends it, also when it has not written its pid file yet.
    pub(super) async fn stop(&mut self) -> io::Result<()> {
        let pid = self.child.id().and_then(|id| id.try_into().ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            signal(pid, Signal::TERM)?;
            if timeout(STOP_LIMIT, self.child.wait()).await.is_err() {
                self.child.kill().await?;
            }
        }
        Ok(())
    }
}

/// The first of these programs that is installed.
pub(super) fn find<const N: usize>(names: [&str; N]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = env::split_paths(&path)
        .chain(SYSTEM_DIRECTORIES.map(PathBuf::from))
        .collect();
    let places = names
        .iter()
        .flat_map(|name| directories.iter().map(move |d| d.join(name)));
    places.into_iter().find(|path| path.is_file())
}

/// Opens a file to write on at its end.
pub(super) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn signal(pid: Pid, signal: Signal) -> io::Result<()> {
    match kill_process(pid, signal) {
        // It has just ended.
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => other.map_err(Into::into),
    }
}
