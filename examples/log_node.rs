//! One node of the replicated log in a process of its own, without a server: what
//! `integration/log` starts, drives and kills.
//!
//!     log_node DIRECTORY ADDRESS MEMBER…
//!
//! Everything that the node delivers goes to `DIRECTORY/delivered`, written anew at each start: a
//! line `INDEX TAG` for each entry. Commands come on stdin, answers go to stdout:
//!
//! - `propose COUNT BYTES WINDOW PREFIX` proposes COUNT entries with the tags PREFIX0, PREFIX1 …,
//!   up to WINDOW of them at once; a line `ok INDEX TAG` or `failed TAG REASON` for each, then
//!   `done`.
//! - `level` answers `level INDEX` once the node has delivered all that the cluster had at the
//!   time of the question.
//! - `leader` answers `leader yes` or `leader no`.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    sync::watch,
};
use trireme::{
    config::{BackdoorPolicy, Cluster, Isolation},
    consensus::{Delivered, Engine, ReplicatedLog},
    metrics::Metrics,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::ERROR)
        .with_writer(std::io::stderr)
        .init();
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().context("DIRECTORY is missing")?);
    let address = arguments.next().context("ADDRESS is missing")?;
    let settings = Cluster {
        isolation: Isolation::Server,
        retry_transactions: 0,
        backdoor_commits: BackdoorPolicy::Fatal,
        auto_increment_by_node: true,
        run_events: true,
        name: "log".to_owned(),
        listen: address.parse()?,
        address,
        members: arguments.collect(),
        directory: directory.join("log"),
        log_retention: 1 << 30,
        reads_without_majority: false,
        allow_from: Vec::new(),
        tls: None,
    };
    let fresh = u64::from(std::process::id()) | 1 << 40;
    let engine = Engine::start(settings, fresh.into(), &Metrics::default()).await?;
    let (progress, delivered) = watch::channel(0);
    let deliveries = engine.deliveries(0);
    let file = BufWriter::new(File::create(directory.join("delivered"))?);
    tokio::spawn(record(deliveries, file, progress));

    let mut commands = BufReader::new(stdin()).lines();
    println!("ready");
    while let Some(line) = commands.next_line().await? {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["propose", count, bytes, window, prefix] => {
                propose(
                    &engine,
                    count.parse()?,
                    bytes.parse()?,
                    window.parse()?,
                    prefix,
                )
                .await;
            }
            ["level"] => println!("level {}", level(&engine, delivered.clone()).await?),
            ["leader"] => {
                let view = engine.view();
                let leads = view.leader == Some(view.node);
                println!("leader {}", if leads { "yes" } else { "no" });
            }
            _ => bail!("unknown command {line:?}"),
        }
    }
    engine.stop().await;
    Ok(())
}

async fn propose(engine: &Engine, count: usize, bytes: usize, window: usize, prefix: &str) {
    let answers = stream::iter(0..count).map(|i| async move {
        let tag = format!("{prefix}{i}");
        let mut body = tag.clone().into_bytes();
        body.resize(bytes.max(body.len()), b' ');
        (tag, engine.propose(Bytes::from(body)).await)
    });
    let mut answers = answers.buffer_unordered(window);
    let mut text = String::new();
    while let Some((tag, answer)) = answers.next().await {
        match answer {
            Ok(index) => text.push_str(&format!("ok {index} {tag}\n")),
            Err(reason) => text.push_str(&format!("failed {tag} {reason}\n")),
        }
        if text.len() > 1 << 12 {
            print!("{}", std::mem::take(&mut text));
        }
    }
    println!("{text}done");
}

async fn level(engine: &Engine, mut delivered: watch::Receiver<u64>) -> anyhow::Result<u64> {
    let index = loop {
        match engine.read_index().await {
            Some(index) => break index,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    // The last entries may be ones that the log keeps for itself and does not deliver.
    engine.propose(Bytes::from("level")).await?;
    Ok(*delivered.wait_for(|delivered| *delivered >= index).await?)
}

async fn record(
    mut deliveries: trireme::consensus::Deliveries,
    mut file: BufWriter<File>,
    progress: watch::Sender<u64>,
) -> anyhow::Result<()> {
    loop {
        let Delivered { index, body, .. } = deliveries.next().await?;
        writeln!(
            file,
            "{index} {}",
            String::from_utf8_lossy(&body).trim_end()
        )?;
        file.flush()?;
        progress.send_replace(index);
    }
}
