//! One order on all nodes, nothing lost, nothing twice.

use bytes::Bytes;
use futures::future::join_all;
use trireme::consensus::{Delivered, MAX_BODY_BYTES, ProposeError, ReplicatedLog};

use crate::cluster::Cluster;

fn bodies(delivered: &[Delivered]) -> Vec<Bytes> {
    let mut bodies: Vec<_> = delivered.iter().map(|entry| entry.body.clone()).collect();
    bodies.sort();
    bodies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_deliver_the_same_entries_in_the_same_order() {
    let cluster = Cluster::started(3).await;
    let proposing = (0..300).map(|i| cluster.node(i % 3).propose(Bytes::from(format!("{i:03}"))));
    let places: Vec<u64> = join_all(proposing)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();

    let mut delivered = cluster.delivered(0, 301).await;
    assert_eq!(cluster.delivered(1, 301).await, delivered);
    assert_eq!(cluster.delivered(2, 301).await, delivered);
    assert!(delivered.is_sorted_by(|a, b| a.index < b.index));
    for (i, place) in places.iter().enumerate() {
        let entry = delivered
            .iter()
            .find(|entry| entry.index == *place)
            .unwrap();
        assert_eq!(entry.body, format!("{i:03}"));
    }
    delivered.remove(0);
    let expected: Vec<_> = (0..300).map(|i| Bytes::from(format!("{i:03}"))).collect();
    assert_eq!(bodies(&delivered), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_start_in_any_order_and_come_back() {
    let mut cluster = Cluster::new(3);
    for node in [2, 0, 1] {
        cluster.start(node).await;
    }
    for node in 0..3 {
        cluster.wait_for_majority(node).await;
    }
    let mut expected = Vec::new();
    for (round, stopped) in [0, 1, 2].into_iter().enumerate() {
        cluster.stop(stopped).await;
        let other = (stopped + 1) % 3;
        let body = Bytes::from(format!("without {stopped}"));
        while cluster.node(other).propose(body.clone()).await == Err(ProposeError::NoQuorum) {}
        expected.push(body);
        cluster.start(stopped).await;
        let delivered = cluster.delivered(stopped, round + 1).await;
        let delivered: Vec<_> = delivered.into_iter().map(|entry| entry.body).collect();
        assert_eq!(delivered, expected);
        cluster.wait_for_majority(stopped).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_stopped_at_once_come_back_with_everything() {
    let mut cluster = Cluster::started(3).await;
    cluster.node(1).propose(Bytes::from("kept")).await.unwrap();
    for node in 0..3 {
        cluster.stop(node).await;
    }
    for node in 0..3 {
        cluster.start(node).await;
    }
    for node in 0..3 {
        assert_eq!(cluster.delivered(node, 2).await[1].body, "kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_every_permitted_size_pass() {
    let cluster = Cluster::started(3).await;
    for bytes in [0, 1, MAX_BODY_BYTES - 1, MAX_BODY_BYTES] {
        let index = cluster
            .node(2)
            .propose(vec![7; bytes].into())
            .await
            .unwrap();
        let entry = cluster.node(1).deliveries(index - 1).next().await.unwrap();
        assert_eq!((entry.index, entry.body.len()), (index, bytes));
    }
    let too_large = cluster.node(0).propose(vec![7; MAX_BODY_BYTES + 1].into());
    assert_eq!(
        too_large.await,
        Err(ProposeError::TooLarge(MAX_BODY_BYTES + 1))
    );
}
