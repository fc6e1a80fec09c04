//! Single steps, one after the other: a network is made, a container joins and leaves, the network goes.

use std::time::Duration;

use anyhow::Result;

use super::Effort;
use crate::lanes::Lane;
use crate::measure::Measure;
use crate::results::Results;
use crate::turns::order;

/// The networks that are made and removed have numbers up to this; those of earlier rounds are gone by then.
const NETWORKS: usize = 50;

/// Milliseconds, for tables.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Measures attach, detach, create and remove.
pub fn run(lanes: &mut [Box<dyn Lane>], effort: &Effort, results: &mut Results) {
    for lane in lanes.iter_mut() {
        lane.ground().prepare(effort.rounds + 1);
        // The first turn of all finds caches empty and files unread; nobody's counts.
        let _ = turn(lane.as_mut(), 0);
    }
    for round in 0..effort.rounds {
        for place in order(lanes.len(), round) {
            let lane = lanes[place].as_mut();
            let name = lane.name().to_owned();
            for (measure, took) in turn(lane, round + 1) {
                match took {
                    Ok(took) => results.record((measure, 1), &name, ms(took)),
                    Err(error) => results.absent((measure, 1), &name, &format!("{error:#}")),
                }
            }
        }
    }
}

fn turn(lane: &mut dyn Lane, round: usize) -> Vec<(Measure, Result<Duration>)> {
    let links = lane.ground().links();
    let container = lane.ground().take();
    let mut took = vec![(Measure::Attach, lane.attach(container))];
    if took[0].1.is_ok() {
        took.push((Measure::Detach, lane.detach(container)));
        settled(lane, links, &mut took);
    }
    let network = u8::try_from(1 + round % NETWORKS).unwrap_or(1);
    took.push((Measure::Create, lane.create(network)));
    if took.last().is_some_and(|(_, result)| result.is_ok()) {
        took.push((Measure::Remove, lane.remove(network)));
        settled(lane, links, &mut took);
    }
    took
}

/// A step whose work never ends was none.
fn settled(lane: &mut dyn Lane, links: usize, took: &mut [(Measure, Result<Duration>)]) {
    if let (Err(error), Some(last)) = (lane.settle(links), took.last_mut()) {
        last.1 = Err(error);
    }
}
