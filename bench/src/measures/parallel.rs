//! Several callers connect containers at once.

use anyhow::Result;

use super::{Effort, Lanes, Turns};
use crate::guard::guard;
use crate::lanes::{Join, Lane};
use crate::measure::Measure;
use crate::results::Results;

/// Numbers of callers.
const CALLERS: [usize; 4] = [1, 2, 4, 8];

/// Measures attaches a second.
pub fn run(lanes: &mut Lanes, effort: &Effort, results: &mut Results) {
    for callers in CALLERS {
        let mut turns = Turns::new(lanes.len());
        turns.run((lanes, effort), effort.loads, |_, lane| {
            let at = (Measure::Parallel, callers as u64);
            let done = guard(|| turn(lane, callers, effort.parallel));
            match &done {
                Ok(rate) => results.record(at, lane.name(), *rate),
                Err(error) => results.absent(at, lane.name(), &format!("{error:#}")),
            }
            done.is_ok()
        });
    }
}

fn turn(lane: &mut dyn Lane, callers: usize, wanted: usize) -> Result<f64> {
    // Each of them is connected and disconnected many times, so half a crowd is enough.
    let count = wanted.min(lane.room() / 2);
    let links = lane.ground().links();
    lane.ground().prepare(count);
    let containers: Vec<usize> = (0..count).map(|_| lane.ground().take()).collect();
    let took = lane.attach_all(&containers, callers);
    for container in containers {
        // One that was not connected, because a caller failed, cannot be disconnected either.
        let _ = lane.detach(&Join::without_ports(container));
    }
    let took = took?;
    lane.settle(links)?;
    let count = f64::from(u32::try_from(count)?);
    Ok(count / took.as_secs_f64())
}
