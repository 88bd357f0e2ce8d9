//! The command line: what `trireme --help` shows, and the way from it to a running node.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::{config::Config, node};

/// What is logged unless `TRIREME_LOG` says otherwise. The log's engine repeats itself for as long
/// as a peer is away; what matters of that is told once by `consensus`.
const LOGGED: &str = "info,openraft=error,raft_log=warn,chunked_wal=warn";

/// Synchronous multi-master for stock MySQL and MariaDB servers.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node in front of its server until SIGTERM or SIGINT.
    Run {
        /// The node's configuration; config.example.toml describes every key.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let outcome = match command {
        Command::Run { config } => run(&config),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trireme: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &std::path::Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let filter = EnvFilter::try_from_env("TRIREME_LOG").unwrap_or_else(|_| EnvFilter::new(LOGGED));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(node::run(config))
}
