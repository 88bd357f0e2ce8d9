//! A simulation of the cluster's core: claims, certification, the order of commits and recovery, as the
//! product has them, over models of the replicated log and of servers, driven by chance.
//!
//! Whatever happens comes from one seed: which client does what, which message arrives, what comes to
//! which disk, and what fails. After each step, and when all has come to rest, the
//! [`invariants`] hold.

mod clients;
mod cluster;
mod delivery;
mod invariants;
mod log;
mod node;
mod server;

use std::{
    env,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use cluster::{Cluster, Summary};

const NODES: usize = 3;
/// The clients of each node.
const CLIENTS: usize = 3;
const TABLES: usize = 2;
const KEYS_OF_A_TABLE: u8 = 5;

/// So many seeds are tried, if `SEEDS` does not say otherwise.
const SEEDS: u64 = 2000;

/// Tells how to see a failure again.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("see it again: SEED={} cargo test --lib simulation", self.0);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} must be a number")))
}

#[test]
fn nothing_that_happens_breaks_a_promise() {
    let (first, count) = match number("SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("SEEDS").unwrap_or(SEEDS)),
    };
    let next = AtomicU64::new(first);
    let work = || {
        let mut all = Summary::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return all;
            }
            let seed = Seed(seed);
            all += Cluster::new(seed.0).run();
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut all = Summary::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            all += thread.join().expect("it says above why not");
        }
    });
    println!("{count} seeds: {all:?}");
}
