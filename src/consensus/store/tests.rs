//! The store against the engine's own suite, across restarts, and across power cuts.

use bytes::Bytes;
use openraft::{
    EntryPayload, RaftSnapshotBuilder, StorageError,
    storage::{RaftLogStorageExt, RaftStateMachine},
    testing::{
        common::{blank_ent, log_id},
        log::{StoreBuilder, Suite},
    },
};
use proptest::prelude::*;
use raft_log::codeq::{Decode, Encode};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::{
    consensus::{
        state_machine::{Own, Retention, StateMachine},
        types::{Proposal, Snapshot},
    },
    id::ProposalId,
};

const CHUNK_BYTES: usize = 1 << 20;
const RETENTION: Retention = Retention {
    bytes: 1000,
    step: 100,
};

struct InScratch;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for InScratch {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let directory = tempfile::tempdir().unwrap();
        let (store, identity) = open(directory.path()).await;
        let (delivered, _) = mpsc::unbounded_channel();
        let own = Own {
            identity,
            delivered,
        };
        let state_machine = StateMachine::new(own, store.clone(), RETENTION);
        Ok((directory, store, state_machine))
    }
}

async fn open(directory: &Path) -> (LogStore, Identity) {
    LogStore::open(directory, 7.into(), CHUNK_BYTES, &Metrics::default())
        .await
        .unwrap()
}

fn entry(index: u64, body: &'static [u8]) -> Entry {
    let id = ProposalId {
        node: 7.into(),
        incarnation: 1,
        sequence: index,
    };
    let proposal = Proposal {
        id,
        settled: index,
        body: Bytes::from_static(body),
    };
    Entry::new(
        log_id::<TypeConfig>(1, 7.into(), index),
        EntryPayload::Normal(proposal),
    )
}

#[tokio::test]
async fn the_engines_suite_passes() {
    Suite::test_all(InScratch).await.unwrap();
}

#[tokio::test]
async fn a_start_keeps_the_node_and_counts() {
    let directory = tempfile::tempdir().unwrap();
    for incarnation in 1..=3 {
        let (_store, identity) = open(directory.path()).await;
        assert_eq!(u64::from(identity.node), 7);
        assert_eq!(identity.incarnation, incarnation);
    }
}

#[tokio::test]
async fn a_log_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path()).await;
    let second = LogStore::open(directory.path(), 8.into(), CHUNK_BYTES, &Metrics::default()).await;
    assert!(second.unwrap_err().to_string().contains("lock"));
}

#[tokio::test]
async fn reads_that_may_be_cut_short_are() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path()).await;
    let body: &[u8] = vec![b'x'; READ_BYTES / 4].leak();
    let entries = std::iter::once(blank_ent::<TypeConfig>(1, 7.into(), 0));
    let entries: Vec<_> = entries.chain((1..=9).map(|i| entry(i, body))).collect();
    store.blocking_append(entries.clone()).await.unwrap();
    let limited = store.limited_get_log_entries(0, 10).await.unwrap();
    assert_eq!(limited, entries[..5]);
    let all: Vec<_> = store.entries_stream(0..10).await.collect().await;
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(all, entries);
}

/// A proposal of one sequence again.
fn again(index: u64, of: u64) -> Entry {
    let Entry { payload, .. } = entry(of, &[b'x'; 100]);
    Entry::new(log_id::<TypeConfig>(1, 7.into(), index), payload)
}

/// What was removed from the log is still known where it matters: who its members are, and what has been
/// delivered.
#[tokio::test]
async fn the_log_is_shortened_to_what_is_kept_and_needed() {
    let directory = tempfile::tempdir().unwrap();
    let machine = |store: &LogStore, identity| {
        let (delivered, _) = mpsc::unbounded_channel();
        let own = Own {
            identity,
            delivered,
        };
        StateMachine::new(own, store.clone(), RETENTION)
    };
    let (mut store, identity) = open(directory.path()).await;
    let mut state = machine(&store, identity);
    let member = openraft::Membership::new_with_defaults(vec![[7.into()].into()], []);
    let member = EntryPayload::Membership(member);
    let mut entries = vec![Entry::new(log_id::<TypeConfig>(1, 7.into(), 0), member)];
    entries.extend((1..=20).map(|index| entry(index, &[b'x'; 100])));
    store.blocking_append(entries.clone()).await.unwrap();
    assert!(!state.release(21));
    let applied = entries.into_iter().map(|entry| Ok((entry, None)));
    state.apply(stream::iter(applied)).await.unwrap();

    let mut built = None;
    // Who reads from 5 on needs that; and as many as are kept for others come after 10.
    for (release, last) in [(5, 4), (21, 10)] {
        assert!(state.release(release));
        assert!(!state.release(release));
        let mut builder = state.try_create_snapshot_builder(false).await.unwrap();
        // Who asks again would otherwise get one of all there is.
        assert!(state.try_create_snapshot_builder(false).await.is_none());
        let snapshot = builder.build_snapshot().await.unwrap();
        assert_eq!(snapshot.meta.last_log_id.unwrap().index, last);
        built = Some(snapshot);
    }
    let built = built.unwrap();
    store.purge(built.meta.last_log_id.unwrap()).await.unwrap();
    assert_eq!(store.extent().first, 11);
    drop((store, state));

    let (store, identity) = open(directory.path()).await;
    let mut state = machine(&store, identity);
    let Snapshot { meta, snapshot } = state.get_current_snapshot().await.unwrap().unwrap();
    assert_eq!(meta, built.meta);
    state.install_snapshot(&meta, snapshot).await.unwrap();
    assert_eq!(state.members().len(), 1);
    let entries = [again(11, 10), again(12, 11), again(13, 11)];
    let applied = entries.map(|entry| Ok((entry, None)));
    state.apply(stream::iter(applied)).await.unwrap();
    let duplicates = [11, 12, 13].map(|index| state.is_duplicate(index));
    assert_eq!(duplicates, [true, false, true]);
}

/// A power cut keeps what was synced. Of what was written after that it keeps each sector or
/// leaves zeros there, up to the written length or a shorter one.
#[tokio::test]
async fn a_power_cut_loses_nothing_that_was_reported_durable() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path()).await;
    let acknowledged = [blank_ent::<TypeConfig>(1, 7.into(), 0), entry(1, b"kept")];
    store.blocking_append(acknowledged.clone()).await.unwrap();
    let vote = Vote::new_committed(4, 7.into());
    store.save_vote(&vote).await.unwrap();
    let (chunk, durable) = only_chunk(directory.path());
    let body: &[u8] = &[b'x'; 1500];
    let written_later = [entry(2, body), entry(3, body)];
    store.blocking_append(written_later.clone()).await.unwrap();
    drop(store);
    let written = std::fs::read(&chunk).unwrap();
    assert!(written.starts_with(&durable));
    let sectors = written.len().div_ceil(512);

    let mut survivors: Vec<Vec<u8>> = (durable.len()..written.len())
        .step_by(13)
        .map(|cut| written[..cut].to_vec())
        .collect();
    survivors.extend((0_u32..1 << sectors).map(|lost| {
        let mut bytes = written.clone();
        for (at, byte) in bytes.iter_mut().enumerate().skip(durable.len()) {
            if lost & (1 << (at / 512)) != 0 {
                *byte = 0;
            }
        }
        bytes
    }));
    for survivor in survivors {
        let after = tempfile::tempdir().unwrap();
        std::fs::write(after.path().join(chunk.file_name().unwrap()), survivor).unwrap();
        let (mut store, identity) = open(after.path()).await;
        assert_eq!(identity.incarnation, 2);
        assert_eq!(store.read_vote().await.unwrap(), Some(vote));
        let entries = store.try_get_log_entries(..).await.unwrap();
        assert_eq!(entries[..2], acknowledged);
        assert_eq!(entries[2..], written_later[..entries.len() - 2]);
    }
}

#[tokio::test]
async fn damage_that_no_power_cut_leaves_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path()).await;
    store
        .blocking_append([blank_ent::<TypeConfig>(1, 7.into(), 0), entry(1, b"body")])
        .await
        .unwrap();
    drop(store);
    let (chunk, mut bytes) = only_chunk(directory.path());
    let at = bytes
        .windows(4)
        .position(|window| window == b"body")
        .unwrap();
    bytes[at] ^= 1;
    std::fs::write(&chunk, bytes).unwrap();
    let error = LogStore::open(directory.path(), 7.into(), CHUNK_BYTES, &Metrics::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("hecksum"), "{error}");
}

fn only_chunk(directory: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let mut chunks = std::fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "wal"));
    let chunk = chunks.next().unwrap();
    assert_eq!(chunks.next(), None);
    let bytes = std::fs::read(&chunk).unwrap();
    (chunk, bytes)
}

proptest! {
    #[test]
    fn payloads_survive_the_disk(node: u64, incarnation: u64, sequence: u64, settled: u64, body: Vec<u8>) {
        let id = ProposalId { node: node.into(), incarnation, sequence };
        let payload = StoredPayload(EntryPayload::Normal(Proposal { id, settled, body: body.into() }));
        let mut bytes = Vec::new();
        let length = payload.encode(&mut bytes).unwrap();
        prop_assert_eq!(length, bytes.len());
        prop_assert_eq!(StoredPayload::decode(&bytes[..]).unwrap(), payload);
        for cut in 0..bytes.len() {
            prop_assert!(StoredPayload::decode(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn garbage_is_an_error_or_a_payload(bytes: Vec<u8>) {
        let _ = StoredPayload::decode(&bytes[..]);
    }
}
