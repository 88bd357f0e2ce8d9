//! The command line: what `trireme --help` shows, and the way from it to a running node.

use std::{
    env,
    io::{ErrorKind, IsTerminal, Write, stdout},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tracing_subscriber::{
    Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::{
    certificates, check,
    config::Config,
    duty::Duty,
    node, sandbox,
    status::{self, LastError, Status},
};

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
        /// How the log is written, to standard error.
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        log_format: LogFormat,
    },
    /// Look whether the server, its settings and the other members are as a node with this configuration needs them, and name
    /// the line that mends what is not. Changes nothing. Fails if the node could not run.
    Check {
        /// The node's configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Show what a node knows of itself and its cluster. Fails if it should get no clients.
    Status {
        /// The node's http.listen.
        #[arg(default_value = "127.0.0.1:9200", value_name = "HOST:PORT")]
        address: String,
        /// Print the document that the node sends.
        #[arg(long)]
        json: bool,
    },
    /// Send a node's clients elsewhere: nobody is let in any more, each session ends when it is in no transaction, and balancers
    /// are told. Waits for the last one. The node goes on as a member of its cluster.
    Drain {
        /// The configuration of the node, which runs on this machine; its http.token is needed.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Tell balancers to send a node no new clients, and let it be behind, for a backup of its server, say. Clients that are
    /// there stay (SET GLOBAL wsrep_desync = ON does the same).
    Desync {
        /// The configuration of the node, which runs on this machine; its http.token is needed.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// End what drain or desync has begun.
    Resume {
        /// The configuration of the node, which runs on this machine; its http.token is needed.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Make certificates with which the nodes of a cluster know each other: an authority, unless DIR has one, and a certificate
    /// and a key for each host. The authority's key, ca.key, is needed to make more; keep it where no node is.
    Cert {
        /// Hosts, or addresses, of the nodes, as they stand in cluster.members.
        #[arg(required = true, value_name = "HOST")]
        hosts: Vec<String>,
        #[arg(long, value_name = "DIR", default_value = "trireme-certificates")]
        dir: PathBuf,
        /// How long they are good.
        #[arg(long, default_value_t = 3650)]
        days: u32,
    },
    /// Run a cluster on this machine to try things on: servers, and a node beside each.
    #[command(args_conflicts_with_subcommands = true)]
    Sandbox {
        #[command(flatten)]
        options: sandbox::Options,
        #[command(subcommand)]
        action: Option<SandboxAction>,
    },
    /// Print what completes this command's arguments in a shell.
    Completions { shell: Shell },
    /// Write this command's manual pages.
    Man {
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// An object a line, for programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum SandboxAction {
    /// Stop a sandbox that was left running.
    Stop {
        #[arg(long, value_name = "DIR", default_value = "trireme-sandbox")]
        dir: PathBuf,
    },
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let outcome = match command {
        Command::Run { config, log_format } => run(&config, log_format).map(|()| ExitCode::SUCCESS),
        Command::Drain { config } => drain(&config).map(|()| ExitCode::SUCCESS),
        Command::Desync { config } => order(&config, Duty::Desynced).map(|_| ExitCode::SUCCESS),
        Command::Resume { config } => order(&config, Duty::Active).map(|_| ExitCode::SUCCESS),
        Command::Check { config } => check(&config),
        Command::Status { address, json } => show_status(&address, json),
        Command::Cert { hosts, dir, days } => cert(&hosts, &dir, days).map(|()| ExitCode::SUCCESS),
        Command::Sandbox { options, action } => sandbox(options, action),
        Command::Completions { shell } => print(&completions(shell)).map(|()| ExitCode::SUCCESS),
        Command::Man { directory } => man(&directory).map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("trireme: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &Path, format: LogFormat) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let logged: Targets = LOGGED.parse()?;
    let filter = match env::var("TRIREME_LOG") {
        Ok(written) => written.parse().with_context(|| {
            format!("TRIREME_LOG={written:?}, expected levels such as {LOGGED:?}")
        })?,
        Err(_) => logged.clone(),
    };
    let last_error = LastError::default();
    let printed = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let printed = match format {
        LogFormat::Text => printed.boxed(),
        LogFormat::Json => printed.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(printed.with_filter(filter))
        .with(last_error.clone().with_filter(logged))
        .init();
    node::run(path, config, &last_error)
}

fn check(path: &Path) -> anyhow::Result<ExitCode> {
    let config = Config::load(path)?;
    let verdict = node::new_runtime()?.block_on(check::check(&config))?;
    for finding in &verdict.findings {
        print(format!("{finding}\n").as_bytes())?;
    }
    if verdict.is_ready {
        print(b"ready: the node can run\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    print(b"not ready: the node cannot run before that is mended\n")?;
    Ok(ExitCode::FAILURE)
}

fn sandbox(options: sandbox::Options, action: Option<SandboxAction>) -> anyhow::Result<ExitCode> {
    let done = match action {
        None => node::new_runtime()?.block_on(sandbox::start(options)),
        Some(SandboxAction::Stop { dir }) => node::new_runtime()?.block_on(sandbox::stop(&dir)),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn cert(hosts: &[String], directory: &Path, days: u32) -> anyhow::Result<()> {
    for path in certificates::make(directory, hosts, days)? {
        print(format!("{}\n", path.display()).as_bytes())?;
    }
    Ok(())
}

fn order(path: &Path, duty: Duty) -> anyhow::Result<Config> {
    let config = Config::load(path)?;
    status::order(&config, duty)?;
    Ok(config)
}

fn drain(path: &Path) -> anyhow::Result<()> {
    let config = order(path, Duty::Drained)?;
    let mut told = None;
    status::wait_until_drained(&config, |sessions| {
        if told.replace(sessions) != Some(sessions) {
            eprintln!("{sessions} sessions left");
        }
    })
}

fn show_status(address: &str, json: bool) -> anyhow::Result<ExitCode> {
    let status = Status::fetch(address)?;
    let shown = if json {
        serde_json::to_string_pretty(&status)?
    } else {
        status.to_string()
    };
    print(format!("{shown}\n").as_bytes())?;
    Ok(match status.report.problem {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "trireme", &mut script);
    script
}

fn man(directory: &Path) -> anyhow::Result<()> {
    let command = Cli::command().disable_help_subcommand(true);
    let written = clap_mangen::generate_to(command, directory);
    written.with_context(|| format!("cannot write manual pages into {}", directory.display()))
}

/// Writes to standard output. Who reads it may have seen enough.
fn print(shown: &[u8]) -> anyhow::Result<()> {
    match stdout().write_all(shown) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}
