//! A cluster on one machine to try things on: stock servers, and a node process beside each.

mod balancer;
mod process;
mod server;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use futures::future::try_join_all;
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    process::Command,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep, timeout_at},
};

use self::{
    process::{Daemon, Started},
    server::{Place, Program},
};
use crate::{
    certificates,
    config::{BackdoorPolicy, Isolation},
    id::Family,
    status::Status,
};

/// How long the whole cluster may take to start.
const START_LIMIT: Duration = Duration::from_secs(120);
/// A server that runs greets within this, unless it is starting.
const GREETING_LIMIT: Duration = Duration::from_secs(5);
/// How long the certificates of its nodes are good.
const CERTIFICATE_DAYS: u32 = 3650;
const POLL: Duration = Duration::from_millis(100);
/// Paths of unix sockets are no longer than this.
const MAX_SOCKET_PATH_BYTES: usize = 107;

#[derive(Debug, Args)]
pub struct Options {
    /// How many servers, each with a node.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    nodes: u16,
    /// The server's command, with options or a loader before it if need be [default: mariadbd or
    /// mysqld, whichever is installed]
    #[arg(long, value_name = "CMD")]
    server: Option<String>,
    /// Where everything is kept; a sandbox that is there already is started again.
    #[arg(long, value_name = "DIR", default_value = "trireme-sandbox")]
    dir: PathBuf,
    /// HAProxy, if it is installed, takes clients for any node on PORT. Node i takes clients on PORT+i,
    /// HTTP on PORT+100+i, its peers on PORT+200+i; its server listens on PORT+300+i. Below 32768 no outgoing connection has taken one of them.
    #[arg(long, default_value_t = 23060, value_parser = clap::value_parser!(u16).range(1..=65000))]
    port: u16,
    /// Have the servers flush every commit to disk themselves, too.
    #[arg(long)]
    durable: bool,
    /// What the nodes do when somebody changes their servers directly.
    #[arg(long, value_name = "POLICY", default_value_t = BackdoorPolicy::Fatal, value_enum)]
    backdoor_commits: BackdoorPolicy,
    /// What keeps the transactions of the nodes' clients from committing.
    #[arg(long, value_name = "ISOLATION", default_value_t = Isolation::Server, value_enum)]
    isolation: Isolation,
    /// How often the nodes run their clients' transactions again that have lost to others.
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    retry_transactions: u16,
    /// How much of the log the nodes keep for others that are away.
    #[arg(long, value_name = "MB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    log_retention_mb: u32,
    /// Have the nodes know each other by certificates, and encrypt what they say.
    #[arg(long)]
    tls: bool,
    /// Return when all nodes are level, and leave them running.
    #[arg(long)]
    detach: bool,
}

/// A server, and the node beside it.
struct Pair {
    number: u16,
    directory: PathBuf,
    /// Of all nodes.
    certificates: PathBuf,
    port: u16,
    server: Daemon,
    node: Daemon,
}

/// Starts a sandbox. Unless it is to be left running it ends, its files kept, with SIGINT or
/// SIGTERM.
///
/// # Errors
/// Something does not start; what had started is stopped again.
pub async fn start(options: Options) -> anyhow::Result<()> {
    fs::create_dir_all(&options.dir)
        .with_context(|| format!("cannot make {}", options.dir.display()))?;
    let directory = fs::canonicalize(&options.dir)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stopping = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(stopping);
    let balancer = balancer::daemon(&directory);
    let pairs: Vec<_> = (1..=options.nodes)
        .map(|number| Pair::new(&directory, options.port, number))
        .collect();
    let mut started = Vec::new();
    let outcome = tokio::select! {
        outcome = run(&options, &pairs, &balancer, &mut started) => outcome,
        () = &mut stopping => Err(anyhow::anyhow!("stopped while it was starting")),
    };
    if let Err(error) = outcome {
        for process in started.iter_mut().rev() {
            process.stop().await?;
        }
        return Err(error);
    }
    if options.detach {
        println!(
            "stop with: trireme sandbox stop --dir {}",
            directory.display()
        );
        return Ok(());
    }
    println!(
        "Ctrl-C stops everything; the files stay in {}",
        directory.display()
    );
    stopping.await;
    stop(&directory).await
}

/// Stops the sandbox in `directory`.
///
/// # Errors
/// There is none, or something in it could not be stopped.
pub async fn stop(directory: &Path) -> anyhow::Result<()> {
    let missing = || format!("there is no sandbox in {}", directory.display());
    let directory = fs::canonicalize(directory).with_context(missing)?;
    let pairs: Vec<_> = (1..)
        .map(|number| Pair::new(&directory, 0, number))
        .take_while(|pair| pair.directory.exists())
        .collect();
    if pairs.is_empty() {
        bail!("{}", missing());
    }
    end(&balancer::daemon(&directory)).await?;
    // Servers last: a node that stops still needs its own.
    for pair in &pairs {
        end(&pair.node).await?;
    }
    try_join_all(pairs.iter().map(|pair| end(&pair.server))).await?;
    println!("stopped");
    Ok(())
}

async fn end(daemon: &Daemon) -> anyhow::Result<()> {
    let file = daemon.pid_file.display();
    let stopped = daemon.stop().await;
    if !stopped.with_context(|| format!("cannot stop the process of {file}"))? {
        println!("the process of {file} did not stop and was killed");
    }
    Ok(())
}

/// Starts what does not run yet, and waits until all nodes may serve clients.
async fn run<'a>(
    options: &Options,
    pairs: &'a [Pair],
    balancer: &'a Daemon,
    started: &mut Vec<Started<'a>>,
) -> anyhow::Result<()> {
    let program = Program::find(options.server.as_deref()).await?;
    for pair in pairs {
        pair.prepare(pairs, options)?;
    }
    if let Some(Pair { certificates, .. }) = pairs.first()
        && options.tls
        && !certificates.exists()
    {
        certificates::make(certificates, &["127.0.0.1".to_owned()], CERTIFICATE_DAYS)?;
    }
    println!("making data directories, where there are none");
    let places: Vec<_> = pairs.iter().map(|p| p.place(options.durable)).collect();
    program.initialise(&places).await?;

    let deadline = Instant::now() + START_LIMIT;
    println!("starting the servers");
    for (pair, place) in pairs.iter().zip(&places) {
        if !pair.has_server().await {
            started.push(pair.server.start(program.run(place)?)?);
        }
    }
    for pair in pairs {
        let ready = async || match pair.server.pid() {
            Some(_) => Ok(()),
            None => Err("it is starting".to_owned()),
        };
        wait_for(&pair.server, ready, started, deadline).await?;
    }
    println!("starting the nodes");
    for pair in pairs {
        if pair.node.pid().is_none() {
            let mut command = Command::new(env::current_exe()?);
            command.arg("run").arg("--config").arg(&pair.node.argument);
            started.push(pair.node.start(command)?);
        }
    }
    for pair in pairs {
        wait_for(&pair.node, async || pair.problem().await, started, deadline).await?;
    }
    let balanced = balance(options.port, pairs, balancer, started, deadline).await?;
    let client = match program.family {
        Family::MariaDb => "mariadb",
        Family::MySql => "mysql",
    };
    for pair in pairs {
        println!(
            "node {}: {client} -uroot -h127.0.0.1 -P{}   trireme status 127.0.0.1:{}",
            pair.number,
            pair.clients(),
            pair.http()
        );
    }
    if balanced {
        let port = options.port;
        println!("any node, through HAProxy: {client} -uroot -h127.0.0.1 -P{port}");
    }
    Ok(())
}

/// Starts a balancer before the nodes, if there is one; says so.
async fn balance<'a>(
    port: u16,
    pairs: &[Pair],
    balancer: &'a Daemon,
    started: &mut Vec<Started<'a>>,
    deadline: Instant,
) -> anyhow::Result<bool> {
    let Some(program) = balancer::installed() else {
        return Ok(false);
    };
    if balancer.pid().is_none() {
        let command = balancer::run(program.as_os_str(), balancer, port, pairs)?;
        started.push(balancer.start(command)?);
    }
    let listens = async || {
        let connected = TcpStream::connect(("127.0.0.1", port)).await;
        connected.map(|_| ()).map_err(|error| error.to_string())
    };
    wait_for(balancer, listens, started, deadline).await?;
    Ok(true)
}

/// Asks again and again for the daemon's problem, until it has none or cannot lose it.
async fn wait_for(
    daemon: &Daemon,
    problem: impl AsyncFn() -> Result<(), String>,
    started: &mut [Started<'_>],
    deadline: Instant,
) -> anyhow::Result<()> {
    while let Err(problem) = problem().await {
        for process in &mut *started {
            process.check()?;
        }
        if Instant::now() > deadline {
            let log = daemon.log.display();
            bail!("not ready within {START_LIMIT:?}: {problem}; its log is {log}");
        }
        sleep(POLL).await;
    }
    Ok(())
}

impl Pair {
    fn new(sandbox: &Path, port: u16, number: u16) -> Self {
        let directory = sandbox.join(format!("node{number}"));
        let file = |name: &str| directory.join(name);
        Self {
            number,
            port: port + number,
            server: Daemon {
                pid_file: file("server.pid"),
                argument: file("data"),
                log: file("server.log"),
            },
            node: Daemon {
                pid_file: file("trireme.pid"),
                argument: file("trireme.toml"),
                log: file("trireme.log"),
            },
            directory,
            certificates: sandbox.join("certificates"),
        }
    }

    /// Whether its server runs. One that has just been killed still has a process, but greets nobody.
    async fn has_server(&self) -> bool {
        let greeting = async || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port + 300)).await?;
            stream.read_u8().await
        };
        let deadline = Instant::now() + GREETING_LIMIT;
        while self.server.pid().is_some() {
            let greeted = timeout_at(deadline, greeting()).await;
            // It may be starting: whether it gets anywhere is seen later.
            if Instant::now() >= deadline || matches!(greeted, Ok(Ok(_))) {
                return true;
            }
            sleep(POLL).await;
        }
        false
    }

    fn clients(&self) -> u16 {
        self.port
    }

    fn http(&self) -> u16 {
        self.port + 100
    }

    fn peers(&self) -> String {
        format!("127.0.0.1:{}", self.port + 200)
    }

    fn place(&self, durable: bool) -> Place<'_> {
        Place {
            directory: &self.directory,
            id: self.number,
            port: self.port + 300,
            durable,
        }
    }

    /// Makes its directory, and the node's configuration in it.
    fn prepare(&self, pairs: &[Self], options: &Options) -> anyhow::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let socket = self.directory.join("server.sock");
        if socket.as_os_str().len() > MAX_SOCKET_PATH_BYTES {
            bail!(
                "{} is too long a path for a socket: use a shorter --dir",
                socket.display()
            );
        }
        let configuration = self.configuration(pairs, options)?;
        let path = &self.node.argument;
        match fs::read_to_string(path) {
            Ok(written) if written == configuration => Ok(()),
            Ok(_) => bail!(
                "{} is of a sandbox with other options: give the same, or another --dir",
                path.display()
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(fs::write(path, configuration)?)
            }
            Err(error) => Err(error).context(format!("cannot read {}", path.display())),
        }
    }

    fn configuration(&self, pairs: &[Self], options: &Options) -> anyhow::Result<String> {
        // What would stand for a variable of the environment stands for itself.
        let literally = |path: &str| path.replace('\\', "\\\\").replace('$', "\\$");
        let path = |path: &Path| path.to_str().map(literally).map(toml::Value::from);
        let own = |name| path(&self.directory.join(name));
        let paths = path(&self.node.pid_file)
            .zip(own("log"))
            .zip(own("node.sock"));
        let ((pid_file, log), socket) = paths.context("--dir is not valid UTF-8")?;
        let local = |port: u16| format!("127.0.0.1:{port}");
        let members: Vec<_> = pairs.iter().map(Self::peers).collect();
        let mut configuration = format!(
            "pid_file = {pid_file}\n\n\
             [client]\nlisten = {:?}\nsocket = {socket}\nproxy_protocol_from = [\"127.0.0.1\"]\n\n\
             [server]\naddress = {:?}\nuser = \"root\"\n\n\
             [http]\nlisten = {:?}\ntoken = \"sandbox\"\n\n\
             [cluster]\nname = \"sandbox\"\nmembers = {members:?}\naddress = {:?}\nlisten = {:?}\n\
             directory = {log}\nbackdoor_commits = {:?}\nisolation = {:?}\nretry_transactions = {}\nlog_retention_mb = {}\n",
            local(self.clients()),
            local(self.port + 300),
            local(self.http()),
            self.peers(),
            self.peers(),
            name(options.backdoor_commits),
            name(options.isolation),
            options.retry_transactions,
            options.log_retention_mb,
        );
        if options.tls {
            let files = ["ca.pem", "127.0.0.1.pem", "127.0.0.1.key"];
            let files = files.map(|name| path(&self.certificates.join(name)));
            let [Some(ca), Some(certificate), Some(key)] = files else {
                bail!("--dir is not valid UTF-8");
            };
            configuration.push_str(&format!(
                "\n[cluster.tls]\nca = {ca}\ncertificate = {certificate}\nkey = {key}\n"
            ));
        }
        Ok(configuration)
    }

    /// Why the node may serve no clients yet.
    async fn problem(&self) -> Result<(), String> {
        let address = format!("127.0.0.1:{}", self.http());
        let asked = tokio::task::spawn_blocking(move || Status::fetch(&address));
        let status = asked.await.map_err(|error| error.to_string())?;
        match status.map_err(|error| format!("{error:#}"))?.report.problem {
            None => Ok(()),
            Some(problem) => Err(problem),
        }
    }
}

/// What an option's value is called, on the command line and in a configuration.
fn name(value: impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.expect("no value is left out").get_name().to_owned()
}
