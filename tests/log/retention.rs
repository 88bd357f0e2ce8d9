//! The log gets no longer than is kept and needed.

use std::{io, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;
use trireme::consensus::{Engine, ReplicatedLog, View};

use crate::cluster::{Cluster, LIMIT, RETENTION};

/// More than is kept, so that entries go.
const ENTRIES: u64 = 60;
const BODY_BYTES: usize = 64 << 10;

/// Waits until a node's log begins after its first entries, and is about as long as is kept.
async fn shortened(engine: &Engine) -> View {
    let waiting = async {
        loop {
            engine.release(engine.view().committed + 1).await;
            let view = engine.view();
            if view.extent.first > ENTRIES / 2 && view.extent.bytes < RETENTION * 3 / 2 {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let shortened = timeout(LIMIT, waiting).await;
    shortened.unwrap_or_else(|_| panic!("{:?}", engine.view()))
}

async fn fill(cluster: &Cluster, node: usize) -> u64 {
    let mut last = 0;
    for number in 0..ENTRIES {
        let body = vec![number as u8; BODY_BYTES];
        last = cluster.node(node).propose(body.into()).await.unwrap();
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_start_from_a_log_that_has_lost_its_beginning() {
    let mut cluster = Cluster::started(3).await;
    let last = fill(&cluster, 1).await;
    for node in 0..3 {
        cluster.node(node).committed(last).await;
        let view = shortened(cluster.node(node)).await;
        let kept = (view.committed - view.extent.first) * BODY_BYTES as u64;
        assert!(kept > RETENTION * 3 / 4, "{view:?}");
    }
    for node in 0..3 {
        cluster.stop(node).await;
    }
    for node in 0..3 {
        cluster.start(node).await;
    }
    for node in 0..3 {
        cluster.wait_for_majority(node).await;
        let engine = cluster.node(node);
        assert_eq!(engine.view().members.len(), 3);
        let place = engine.propose(Bytes::from("after")).await.unwrap();
        let mut deliveries = engine.deliveries(last - 1);
        assert_eq!(deliveries.next().await.unwrap().index, last);
        while deliveries.next().await.unwrap().index < place {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_for_longer_takes_part_again_and_is_told_what_it_lacks() {
    let mut cluster = Cluster::started(3).await;
    let seen = fill(&cluster, 2).await;
    cluster.node(2).committed(seen).await;
    cluster.stop(2).await;
    fill(&cluster, 0).await;
    for node in 0..2 {
        shortened(cluster.node(node)).await;
    }
    let last = fill(&cluster, 0).await;
    for node in 0..2 {
        let waiting = async {
            while cluster.node(node).view().extent.first <= seen + 1 {
                shortened(cluster.node(node)).await;
            }
        };
        timeout(LIMIT, waiting).await.unwrap();
    }
    cluster.start(2).await;
    let engine = cluster.node(2);
    timeout(LIMIT, engine.committed(last)).await.unwrap();
    let error = engine.deliveries(seen).next().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);

    // With one of the others it is a majority.
    cluster.stop(0).await;
    cluster.wait_for_majority(2).await;
    let place = cluster.node(2).propose(Bytes::from("again")).await.unwrap();
    let delivered = cluster.node(2).deliveries(place - 1).next().await.unwrap();
    assert_eq!(delivered.body, "again");
}
