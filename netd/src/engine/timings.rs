//! Where the time of requests goes: how long each part of an attach and of its likes took, always on.
//!
//! Each part has a histogram of fixed size, whose cells are an eighth of a doubling wide: to note a duration is one
//! atomic addition, and what is read is at most an eighth too long. At log level debug each part is a span, too
//! ([`spans`]).

mod spans;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netd_api::status::Timing;
use tracing::{Instrument, Span};

pub(super) use spans::About;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    /// A container joins a network.
    Attach,
    /// A container leaves networks.
    Detach,
    /// A network is made.
    Create,
    /// A network is removed.
    Remove,
}

/// The parts, in the order of an attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// From the request to the reply; the others are parts of it.
    Whole,
    /// Until nobody else is at the same container or network, and what the sandbox has is known.
    Wait,
    /// The namespace of a new container is pinned, and its record written.
    Register,
    /// The choice of addresses and ports, and the intent on disk.
    Intent,
    /// The sockets on host ports.
    Ports,
    /// The resolver's sockets inside the sandbox.
    Resolver,
    /// The firewall, together with what others change meanwhile.
    Firewall,
    /// The kernel's links, addresses and routes, and beside them the container's files.
    Kernel,
    /// Until packets pass; while the outcome is written down, or host ports and firewall are waited for.
    Carrier,
    /// The flows that are forgotten.
    Flows,
    /// The outcome on disk, and in the names.
    Outcome,
}

const OPERATIONS: [(Operation, &str); 4] = [
    (Operation::Attach, "attach"),
    (Operation::Detach, "detach"),
    (Operation::Create, "create"),
    (Operation::Remove, "remove"),
];
const PHASES: [(Phase, &str); 11] = [
    (Phase::Whole, "whole"),
    (Phase::Wait, "wait"),
    (Phase::Register, "register"),
    (Phase::Intent, "intent"),
    (Phase::Ports, "ports"),
    (Phase::Resolver, "resolver"),
    (Phase::Firewall, "firewall"),
    (Phase::Kernel, "kernel"),
    (Phase::Carrier, "carrier"),
    (Phase::Flows, "flows"),
    (Phase::Outcome, "outcome"),
];

/// Cells per doubling, and cells in all: from 1 microsecond to 2^27, two minutes.
const PER_DOUBLING: usize = 8;
const CELLS: usize = 27 * PER_DOUBLING;

/// How long the parts took so far.
#[derive(Debug)]
pub(super) struct Timings {
    histograms: BTreeMap<(Operation, Phase), Histogram>,
}

impl Default for Timings {
    fn default() -> Self {
        let pairs = OPERATIONS
            .iter()
            .flat_map(|(operation, _)| PHASES.iter().map(|(phase, _)| (*operation, *phase)));
        Self {
            histograms: pairs.map(|pair| (pair, Histogram::default())).collect(),
        }
    }
}

impl Timings {
    /// Begins to time an operation.
    pub(super) fn start(self: &Arc<Self>, operation: Operation) -> Stopwatch {
        let now = Instant::now();
        Stopwatch {
            timings: Arc::clone(self),
            operation,
            span: spans::of_operation(operation),
            began: now,
            lap: now,
        }
    }

    fn note(&self, operation: Operation, phase: Phase, took: Duration) {
        if let Some(histogram) = self.histograms.get(&(operation, phase)) {
            histogram.add(took);
        }
    }

    /// What was measured, of the parts that ever happened.
    pub(super) fn report(&self) -> Vec<Timing> {
        let pairs = OPERATIONS.iter().flat_map(|(operation, title)| {
            let phases = PHASES.iter();
            phases.map(move |(phase, part)| ((*operation, *phase), (*title, *part)))
        });
        pairs
            .filter_map(|(key, (operation, phase))| {
                let histogram = self.histograms.get(&key)?;
                let count = histogram.count();
                (count > 0).then(|| Timing {
                    operation: operation.to_owned(),
                    phase: phase.to_owned(),
                    count,
                    median_us: histogram.quantile(count, 0.5),
                    p99_us: histogram.quantile(count, 0.99),
                })
            })
            .collect()
    }
}

/// Times one operation, part by part, on whatever threads it goes.
pub(super) struct Stopwatch {
    timings: Arc<Timings>,
    operation: Operation,
    span: Span,
    began: Instant,
    lap: Instant,
}

impl Stopwatch {
    /// The operation's span in the log.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Does one part. Its time begins where that of the part before it ended, so no wait in between is lost.
    pub(super) fn part<R>(&mut self, phase: Phase, work: impl FnOnce() -> R) -> R {
        let span = spans::of_phase(&self.span, phase);
        // Closed inside the operation's span, so that the log shows it there.
        let result = self.span.in_scope(move || span.in_scope(work));
        self.lap(phase);
        result
    }

    /// As [`Stopwatch::part`], for one that is waited for.
    pub(super) async fn part_async<F: Future>(&mut self, phase: Phase, work: F) -> F::Output {
        let span = spans::of_phase(&self.span, phase);
        let result = work.instrument(span).instrument(self.span.clone()).await;
        self.lap(phase);
        result
    }

    /// A second hand, for parts that are done beside those of the first.
    pub(super) fn fork(&self) -> Self {
        Self {
            timings: Arc::clone(&self.timings),
            operation: self.operation,
            span: self.span.clone(),
            began: self.began,
            lap: Instant::now(),
        }
    }

    /// What was done beside has ended, too: the next part begins now.
    pub(super) fn join(&mut self) {
        self.lap = Instant::now();
    }

    fn lap(&mut self, phase: Phase) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.lap);
        self.timings.note(self.operation, phase, took);
        self.lap = now;
    }

    /// The operation is done. One that fails is not counted as a whole.
    pub(super) fn end(self) {
        let took = self.began.elapsed();
        self.timings.note(self.operation, Phase::Whole, took);
    }
}

#[derive(Debug)]
struct Histogram {
    cells: Box<[AtomicU64]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            cells: (0..CELLS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Histogram {
    fn add(&self, took: Duration) {
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        if let Some(cell) = self.cells.get(cell_of(microseconds).min(CELLS - 1)) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count(&self) -> u64 {
        self.cells
            .iter()
            .map(|cell| cell.load(Ordering::Relaxed))
            .sum()
    }

    /// The duration in microseconds that this share of `count` did not exceed.
    fn quantile(&self, count: u64, share: f64) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among counts is far below 2^52"
        )]
        let rank = ((count as f64) * share).ceil() as u64;
        let mut seen = 0;
        for (number, cell) in self.cells.iter().enumerate() {
            seen += cell.load(Ordering::Relaxed);
            if seen >= rank {
                return upper_end(number);
            }
        }
        upper_end(CELLS - 1)
    }
}

/// The cell of a duration: which doubling, and which eighth of it.
fn cell_of(microseconds: u64) -> usize {
    let doubling = microseconds.ilog2();
    let eighth = (microseconds << 3 >> doubling) & 7;
    doubling as usize * PER_DOUBLING + usize::try_from(eighth).unwrap_or(0)
}

/// The longest duration in a cell, in microseconds.
fn upper_end(cell: usize) -> u64 {
    let (doubling, eighth) = (cell / PER_DOUBLING, cell % PER_DOUBLING);
    let next = (u64::try_from(eighth).unwrap_or(0) + 9) << doubling;
    next.div_ceil(8) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_an_eighth_of_a_doubling_and_holds_what_is_put_there() {
        for microseconds in (1..5000).chain([70_000, 1_000_000, 120_000_000]) {
            let end = upper_end(cell_of(microseconds));
            assert!(end >= microseconds, "{microseconds} in a cell up to {end}");
            assert!(end * 8 <= microseconds * 9 + 8, "{microseconds}: {end}");
        }
    }

    #[test]
    fn median_and_tail_are_told_apart() {
        let timings = Timings::default();
        let note = |ms| timings.note(Operation::Attach, Phase::Kernel, Duration::from_millis(ms));
        (0..98).for_each(|_| note(1));
        (0..2).for_each(|_| note(40));
        let report = timings.report();
        let [only] = &report[..] else {
            panic!("{report:?}");
        };
        assert_eq!(
            (&*only.operation, &*only.phase, only.count),
            ("attach", "kernel", 100)
        );
        assert!((1000..1130).contains(&only.median_us), "{only:?}");
        assert!((40_000..45_000).contains(&only.p99_us), "{only:?}");
    }

    #[test]
    fn what_takes_too_long_for_the_scale_counts_as_its_end() {
        let histogram = Histogram::default();
        histogram.add(Duration::from_secs(1 << 40));
        histogram.add(Duration::ZERO);
        assert_eq!(histogram.count(), 2);
        assert_eq!(histogram.quantile(2, 0.5), 1);
        assert_eq!(histogram.quantile(2, 1.0), upper_end(CELLS - 1));
    }
}
