//! Single steps, one after the other: a network is made, a container joins and leaves, the network goes.

use std::time::Duration;

use anyhow::Result;

use super::{Effort, Lanes, Turns, ms};
use crate::guard::guard;
use crate::lanes::{Join, Lane};
use crate::measure::Measure;
use crate::results::Results;

/// The networks that are made and removed have numbers up to this; those of earlier rounds are gone by then.
const NETWORKS: usize = 50;

/// Measures attach, detach, create and remove.
pub fn run(lanes: &mut Lanes, effort: &Effort, results: &mut Results) {
    for lane in lanes.iter_mut() {
        // The first turn of all finds caches empty and files unread; nobody's counts.
        let _ = guard(|| Ok(turn(lane.as_mut(), 0)));
    }
    let mut turns = Turns::new(lanes.len());
    let mut number = 0;
    turns.run((lanes, effort), effort.rounds, |_, lane| {
        number += 1;
        let done = guard(|| Ok(turn(lane, number)))
            .unwrap_or_else(|error| vec![(Measure::Attach, Err(error))]);
        for (measure, took) in done {
            match took {
                Ok(took) => results.record((measure, 1), lane.name(), ms(took)),
                Err(error) => results.absent((measure, 1), lane.name(), &format!("{error:#}")),
            }
        }
        true
    });
}

fn turn(lane: &mut dyn Lane, round: usize) -> Vec<(Measure, Result<Duration>)> {
    let links = lane.ground().links();
    let join = Join::without_ports(lane.ground().take());
    let mut took = vec![(Measure::Attach, lane.attach(&join))];
    if took[0].1.is_ok() {
        took.push((Measure::Detach, lane.detach(&join)));
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
