//! Strangers on the peer port.

use std::time::Duration;

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use trireme::{
    certificates,
    config::{Identity, Tls},
    consensus::{Engine, ReplicatedLog},
    metrics::Metrics,
};

use crate::cluster::{Cluster, LIMIT};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_survived() {
    let cluster = Cluster::started(3).await;
    let mut oversize = 0x7fff_ffff_u32.to_be_bytes().to_vec();
    oversize.extend([0; 64]);
    let mut nonsense = 64_u32.to_be_bytes().to_vec();
    nonsense.extend([0xee; 64]);
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &oversize,
        &nonsense,
        b"\0",
        b"",
    ] {
        let mut stranger = TcpStream::connect(cluster.addresses[0]).await.unwrap();
        stranger.write_all(bytes).await.unwrap();
        stranger.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let closed = timeout(LIMIT, stranger.read_to_end(&mut answer)).await;
        // Refused without a word, by an orderly end or by a reset.
        drop(closed.expect("the node closes the connection"));
        assert_eq!(answer, b"");
    }
    cluster
        .node(0)
        .propose(Bytes::from("still here"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_that_says_nothing_is_let_go() {
    let cluster = Cluster::started(3).await;
    let mut stranger = TcpStream::connect(cluster.addresses[0]).await.unwrap();
    let mut answer = Vec::new();
    let closed = timeout(Duration::from_secs(5), stranger.read_to_end(&mut answer)).await;
    closed.expect("the node closes the connection").unwrap();
}

/// A node of another cluster that was given this one's addresses takes no part in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_cluster_stays_outside() {
    let cluster = Cluster::started(3).await;
    let elsewhere = Cluster::new(1);
    let mut settings = elsewhere.settings(0);
    settings.name = "another".to_owned();
    settings
        .members
        .extend(cluster.addresses.iter().map(ToString::to_string));
    let stranger = Engine::start(settings, 999.into(), &Metrics::default())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stranger.view().members, []);
    assert_eq!(stranger.view().leader, None);
    assert_eq!(cluster.node(0).view().members.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_certificates_talk_to_nobody_without() {
    let directory = tempfile::tempdir().unwrap();
    let made = certificates::make(directory.path(), &["127.0.0.1".to_owned()], 1).unwrap();
    let [ca, _, certificate, key] = made.try_into().unwrap();
    let mut cluster = Cluster::new(3);
    let own = Identity { certificate, key };
    cluster.tls = Some(Tls { ca, own });
    let cluster = cluster.and_start().await;
    let entry = Bytes::from("encrypted");
    cluster.node(1).propose(entry.clone()).await.unwrap();
    for node in 0..3 {
        let delivered = cluster.delivered(node, 1).await;
        assert!(
            delivered
                .iter()
                .all(|one| one.body.is_empty() || one.body == entry)
        );
    }
    let answer = ask(&cluster, 0).await;
    // A TLS alert, or nothing.
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_comes_from_an_allowed_address_is_answered() {
    for (allowed, is_answered) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let mut cluster = Cluster::new(1);
        cluster.allow_from = vec![allowed.parse().unwrap()];
        let cluster = cluster.and_start().await;
        assert_eq!(!ask(&cluster, 0).await.is_empty(), is_answered, "{allowed}");
    }
}

/// What a node answers to the greeting of one that is in no cluster yet.
async fn ask(cluster: &Cluster, node: usize) -> Vec<u8> {
    let hello = b"\0\0\0\x10trireme1\x04test\x07\0\0";
    let mut stranger = TcpStream::connect(cluster.addresses[node]).await.unwrap();
    stranger.write_all(hello).await.unwrap();
    let mut answer = vec![0; 64];
    let read = timeout(LIMIT, stranger.read(&mut answer)).await.unwrap();
    answer.truncate(read.unwrap_or(0));
    answer
}
