//! With and without a majority.

use std::time::Duration;

use bytes::Bytes;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep, timeout},
};
use trireme::consensus::{ProposeError, ReplicatedLog};

use crate::cluster::{Cluster, LIMIT};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_every_proposal_has_its_answer_within_a_second() {
    let mut cluster = Cluster::started(3).await;
    cluster.stop(0).await;
    cluster.stop(1).await;
    let alone = cluster.node(2);
    let start = Instant::now();
    let mut answers = Vec::new();
    while start.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        let answer = alone.propose(Bytes::from("nobody hears")).await;
        assert!(matches!(
            answer,
            Err(ProposeError::NoQuorum | ProposeError::Unknown)
        ));
        assert!(
            asked.elapsed() < Duration::from_millis(1100),
            "{answer:?} took {:?}",
            asked.elapsed()
        );
        answers.push(answer);
    }
    assert_eq!(answers.last(), Some(&Err(ProposeError::NoQuorum)));
    let asked = Instant::now();
    assert_eq!(alone.read_index().await, None);
    assert!(asked.elapsed() < Duration::from_millis(1100));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_cluster_yet_has_no_majority() {
    let mut cluster = Cluster::new(3);
    cluster.start(0).await;
    let alone = cluster.node(0);
    let answer = timeout(
        Duration::from_millis(1100),
        alone.propose(Bytes::from("nobody hears")),
    );
    assert_eq!(answer.await, Ok(Err(ProposeError::NoQuorum)));
    let told = async {
        while alone.has_majority() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(3), told)
        .await
        .expect("it is told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_away_is_looked_for_at_a_pace() {
    let mut cluster = Cluster::started(3).await;
    let leader = cluster.node(0).view().leader.unwrap();
    let away = (0..3).find(|node| cluster.node(*node).view().node != leader);
    let away = away.unwrap();
    cluster.stop(away).await;
    let present = cluster.node((away + 1) % 3);
    present.propose(Bytes::from("it misses")).await.unwrap();
    let listener = TcpListener::bind(cluster.addresses[away]).await.unwrap();
    let mut dialled = 0;
    let watched = timeout(Duration::from_secs(2), async {
        loop {
            drop(listener.accept().await);
            dialled += 1;
        }
    });
    assert!(watched.await.is_err());
    // Some look for it with every heartbeat, all others more rarely.
    assert!((1..200).contains(&dialled), "dialled {dialled} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_of_unknown_outcome_is_delivered_once_when_the_majority_is_back() {
    let mut cluster = Cluster::started(3).await;
    let leader = cluster.node(0).view().leader.unwrap();
    let leads = (0..3)
        .find(|node| cluster.node(*node).view().node == leader)
        .unwrap();
    let others: Vec<_> = (0..3).filter(|node| *node != leads).collect();
    for node in &others {
        cluster.stop(*node).await;
    }
    let answer = cluster.node(leads).propose(Bytes::from("perhaps")).await;
    assert_eq!(answer, Err(ProposeError::Unknown));
    for node in &others {
        cluster.start(*node).await;
    }
    let after = timeout(LIMIT, async {
        loop {
            if let Ok(index) = cluster.node(leads).propose(Bytes::from("after")).await {
                return index;
            }
        }
    });
    let after = after.await.unwrap();
    for node in 0..3 {
        let delivered = cluster.delivered(node, 3).await;
        let bodies: Vec<_> = delivered.iter().map(|entry| &entry.body[..]).collect();
        assert_eq!(bodies, [&b""[..], b"perhaps", b"after"]);
        assert_eq!(delivered[2].index, after);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_index_covers_what_was_acknowledged_anywhere() {
    let cluster = Cluster::started(3).await;
    for round in 0..30 {
        let index = cluster
            .node(round % 3)
            .propose(Bytes::from("x"))
            .await
            .unwrap();
        let read = cluster.node((round + 1) % 3).read_index().await.unwrap();
        assert!(read >= index, "{read} is before {index}");
    }
}

/// A new leader refuses proposals until a majority has answered it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_new_leader_refuses_is_soon_sent_again() {
    let mut cluster = Cluster::new(3);
    for node in 0..3 {
        cluster.start(node).await;
    }
    let asked = Instant::now();
    cluster.node(0).propose(Bytes::new()).await.unwrap();
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
}
