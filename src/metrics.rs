//! What a node counts and times while it runs, in Prometheus' terms.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// What tells the series of a family apart: a name and a value.
type Label = [(&'static str, &'static str); 1];

/// The counts of one node since its process started. Whoever does something counts it; `/metrics` and
/// the answers to monitors show it.
#[derive(Debug)]
pub struct Metrics {
    commits: Family<Label, Counter>,
    commit_phases: Family<Label, Histogram, Buckets>,
    /// Transactions of this node that lost certification.
    pub certification_failures: Counter,
    /// Transactions of this node that lost their locks to the applier.
    pub overtaken: Counter,
    /// Of those, the ones that had been ordered and were committed by the applier.
    pub replayed: Counter,
    /// How often a statement that is a transaction by itself was run again because another one had kept it from committing.
    pub retried: Counter,
    /// How often a transaction of several statements was run again for that.
    pub transactions_retried: Counter,
    /// What the last of them were about.
    pub conflicts: Conflicts,
    /// Its transactions that are proposed and not ordered yet.
    pub ordering: Queue,
    /// Log entries that its server does not have yet.
    pub applying: Queue,
    /// Write sets of this node.
    pub sent: Flow,
    /// Write sets of other nodes.
    pub received: Flow,
    /// How many write sets were applied together.
    pub batch_write_sets: Histogram,
    /// How long that took, in seconds.
    pub batch_seconds: Histogram,
    /// How long a write to the log took until it was durable, in seconds.
    pub log_append_seconds: Histogram,
}

/// Write sets that go one way.
#[derive(Debug, Default)]
pub struct Flow {
    pub write_sets: Counter,
    /// Of their rows.
    pub bytes: Counter,
    pub keys: Counter,
}

/// What transactions have lost about lately.
#[derive(Debug, Default)]
pub struct Conflicts(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    /// The oldest first.
    names: VecDeque<String>,
    /// When one was to be named last.
    asked: Option<Instant>,
}

impl Conflicts {
    /// So many are remembered.
    const ROOM: usize = 500;
    /// Between two that are named: to find a name costs as much as the transaction's keys did.
    const PAUSE: Duration = Duration::from_millis(10);

    /// Whether the one that has just been is to be named.
    pub fn wants_name(&self) -> bool {
        let mut recent = self.recent();
        let is_due = recent
            .asked
            .is_none_or(|asked| asked.elapsed() >= Self::PAUSE);
        if is_due {
            recent.asked = Some(Instant::now());
        }
        is_due
    }

    /// One was about this.
    pub fn add(&self, name: String) {
        let mut recent = self.recent();
        if recent.names.len() == Self::ROOM {
            recent.names.pop_front();
        }
        recent.names.push_back(name);
    }

    /// What most of the last ones were about, and how many: the hottest first, no more than `count`.
    pub fn hottest(&self, count: usize) -> Vec<(String, u64)> {
        let mut counts = HashMap::new();
        for name in &self.recent().names {
            *counts.entry(name.clone()).or_default() += 1;
        }
        let mut hottest: Vec<(String, u64)> = counts.into_iter().collect();
        hottest.sort_by(|(a, some), (b, others)| others.cmp(some).then_with(|| a.cmp(b)));
        hottest.truncate(count);
        hottest
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a queue was, at samples of it.
#[derive(Debug, Default)]
pub struct Queue(Mutex<Samples>);

#[derive(Debug, Default, Clone, Copy)]
struct Samples {
    count: u64,
    sum: u64,
    max: u64,
}

impl Queue {
    /// It is so long now.
    pub fn sample(&self, length: u64) {
        let mut samples = self.samples();
        samples.count += 1;
        samples.sum += length;
        samples.max = samples.max.max(length);
    }

    pub fn max(&self) -> u64 {
        self.samples().max
    }

    pub fn average(&self) -> f64 {
        let Samples { count, sum, .. } = *self.samples();
        sum as f64 / count.max(1) as f64
    }

    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flow {
    /// A write set goes this way.
    pub fn count(&self, keys: usize, bytes: usize) {
        self.write_sets.inc();
        self.bytes.inc_by(bytes as u64);
        self.keys.inc_by(keys as u64);
    }
}

/// What became of a transaction that wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    Committed,
    /// Another one committed first: the client got 1213.
    Conflict,
    /// It got another error.
    Failed,
}

/// A part of a COMMIT, as the client waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitPhase {
    /// From COMMIT until the transaction is prepared and its row changes are known.
    Capture,
    /// Until it is ordered, has passed certification, and those before it are done.
    Order,
    /// Until the server has committed it.
    Commit,
}

impl CommitOutcome {
    const ALL: [Self; 3] = [Self::Committed, Self::Conflict, Self::Failed];

    fn label(self) -> Label {
        let value = match self {
            Self::Committed => "committed",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        };
        [("outcome", value)]
    }
}

impl CommitPhase {
    const ALL: [Self; 3] = [Self::Capture, Self::Order, Self::Commit];

    fn label(self) -> Label {
        let value = match self {
            Self::Capture => "capture",
            Self::Order => "order",
            Self::Commit => "commit",
        };
        [("phase", value)]
    }
}

/// Makes histograms of seconds.
#[derive(Debug, Clone, Default)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        // From 0.1 ms to 13 s.
        Histogram::new(exponential_buckets(0.0001, 2.0, 18))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        // A series that is not there before its first event hides that one from whoever looks at its rate.
        let commits = Family::<Label, Counter>::default();
        for outcome in CommitOutcome::ALL {
            drop(commits.get_or_create(&outcome.label()));
        }
        let commit_phases = Family::<Label, Histogram, _>::new_with_constructor(Buckets);
        for phase in CommitPhase::ALL {
            drop(commit_phases.get_or_create(&phase.label()));
        }
        Self {
            commits,
            commit_phases,
            certification_failures: Counter::default(),
            overtaken: Counter::default(),
            retried: Counter::default(),
            transactions_retried: Counter::default(),
            replayed: Counter::default(),
            conflicts: Conflicts::default(),
            ordering: Queue::default(),
            applying: Queue::default(),
            sent: Flow::default(),
            received: Flow::default(),
            batch_write_sets: Histogram::new(exponential_buckets(1.0, 2.0, 7)),
            batch_seconds: Buckets.new_metric(),
            log_append_seconds: Buckets.new_metric(),
        }
    }
}

impl Metrics {
    /// A transaction that wrote has ended in a COMMIT, or in a statement that was one.
    pub fn count_commit(&self, outcome: CommitOutcome) {
        self.commits.get_or_create(&outcome.label()).inc();
    }

    /// How many ended so.
    pub fn commits(&self, outcome: CommitOutcome) -> u64 {
        self.commits.get_or_create(&outcome.label()).get()
    }

    /// Part of a COMMIT has taken so long.
    pub fn time_commit(&self, phase: CommitPhase, took: Duration) {
        self.commit_phases
            .get_or_create(&phase.label())
            .observe(took.as_secs_f64());
    }

    /// What becomes of transactions that lose.
    fn lost(&self) -> [(&str, &str, &Counter); 5] {
        [
            (
                "certification_failures",
                "Transactions of this node that lost to one that was ordered before them",
                &self.certification_failures,
            ),
            (
                "overtaken",
                "Transactions of this node that lost their locks to the applier",
                &self.overtaken,
            ),
            (
                "replayed",
                "Of those, the ones that were committed by the applier",
                &self.replayed,
            ),
            (
                "retried",
                "How often a statement that is a transaction by itself was run again, since it had lost to another one",
                &self.retried,
            ),
            (
                "transactions_retried",
                "How often a transaction was run again with all of its statements, since it had lost to another one",
                &self.transactions_retried,
            ),
        ]
    }

    /// Makes all of them part of what `registry` shows.
    pub fn register(&self, registry: &mut Registry) {
        use Unit::{Bytes, Seconds};
        registry.register(
            "commits",
            "Transactions of this node's clients that wrote, by what their COMMIT came to",
            self.commits.clone(),
        );
        registry.register_with_unit(
            "commit_phase",
            "How long a COMMIT waited: for its row changes (capture), for its turn (order), for its server (commit)",
            Seconds,
            self.commit_phases.clone(),
        );
        for (name, help, counter) in self.lost() {
            registry.register(name, help, counter.clone());
        }
        let (write_sets, bytes, keys) = (Family::default(), Family::default(), Family::default());
        for (direction, flow) in [("sent", &self.sent), ("received", &self.received)] {
            for (family, counter) in [
                (&write_sets, &flow.write_sets),
                (&bytes, &flow.bytes),
                (&keys, &flow.keys),
            ] {
                let shown: &Family<Label, Counter> = family;
                shown
                    .get_or_create(&[("direction", direction)])
                    .inc_by(counter.get());
            }
        }
        registry.register("write_sets", "Write sets, by direction", write_sets);
        registry.register_with_unit(
            "write_set",
            "Row changes in write sets, by direction",
            Bytes,
            bytes,
        );
        registry.register("write_set_keys", "Keys in write sets, by direction", keys);
        registry.register(
            "apply_batch_write_sets",
            "Write sets that were applied together",
            self.batch_write_sets.clone(),
        );
        registry.register_with_unit(
            "apply_batch",
            "How long the server took to apply a batch and commit it",
            Seconds,
            self.batch_seconds.clone(),
        );
        registry.register_with_unit(
            "log_append",
            "How long a write to the log took until it was durable",
            Seconds,
            self.log_append_seconds.clone(),
        );
    }
}

/// Tells the time since the last lap.
#[derive(Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the last lap, or since the start.
    pub fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.0, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_conflicts_are_those_of_the_last_ones() {
        let conflicts = Conflicts::default();
        for _ in 0..Conflicts::ROOM {
            conflicts.add("forgotten".to_owned());
        }
        for at in 0..Conflicts::ROOM {
            conflicts.add(["a", "b", "b", "c", "c"][at % 5].to_owned());
        }
        let hottest = conflicts.hottest(2);
        assert_eq!(hottest, [("b".to_owned(), 200), ("c".to_owned(), 200)]);
        assert!(conflicts.wants_name());
        assert!(!conflicts.wants_name());
    }

    #[test]
    fn queues_have_an_average_and_a_maximum() {
        let queue = Queue::default();
        assert_eq!((queue.average(), queue.max()), (0.0, 0));
        for length in [3, 0, 6, 1] {
            queue.sample(length);
        }
        assert_eq!((queue.average(), queue.max()), (2.5, 6));
    }
}
