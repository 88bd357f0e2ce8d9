//! What the system's signals tell a node: SIGTERM and SIGINT to stop, SIGHUP to read its configuration again.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use anyhow::Context;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::{info, warn};

use crate::config::Config;

/// What signals have told the node.
#[derive(Debug, Clone)]
pub struct Signals {
    /// How often it has been told to stop.
    pub stop: watch::Receiver<usize>,
    /// Its configuration as it counts now; marked as changed each time it was read.
    pub config: watch::Receiver<Arc<Config>>,
}

impl Signals {
    /// Listens to signals in a thread of its own, which outlives all else. The configuration was read from `path`.
    ///
    /// # Errors
    /// The system does not let it.
    pub fn listen(path: PathBuf, config: Config) -> anyhow::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let context = runtime.enter();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        drop(context);
        let (stop, stopped) = watch::channel(0);
        let (config, configured) = watch::channel(Arc::new(config));
        let hear = async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => stop.send_modify(|told| *told += 1),
                    _ = interrupt.recv() => stop.send_modify(|told| *told += 1),
                    _ = hang_up.recv() => reload(&path, &config),
                }
            }
        };
        let thread = thread::Builder::new().name("signals".to_owned());
        let thread = thread.spawn(move || runtime.block_on(hear));
        thread.context("cannot start a thread")?;
        Ok(Self {
            stop: stopped,
            config: configured,
        })
    }
}

/// Reads the configuration again. One that cannot be used changes nothing.
fn reload(path: &Path, config: &watch::Sender<Arc<Config>>) {
    let other = match Config::load(path) {
        Ok(other) => other,
        Err(error) => {
            warn!(
                %error,
                "the configuration was not read again: the node goes on with what it has"
            );
            return;
        }
    };
    let (reloaded, unchanged) = config.borrow().reloaded(other);
    config.send_replace(Arc::new(reloaded));
    if unchanged.is_empty() {
        info!("read the configuration again");
    } else {
        let sections = unchanged.join(", ");
        warn!(
            sections,
            "read the configuration again; some of what has changed in these sections counts from the next start"
        );
    }
}
