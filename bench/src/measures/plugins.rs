//! Whole processes, as runtimes call them: the Nth container of a network comes and goes, without ports, with one and with many.
//!
//! Nobody is let off for being slow: all lanes are filled to the same number of containers, which is the longest part.

use anyhow::Result;

use super::crowd::fill_up;
use super::ports::FIRST;
use super::{Effort, Lanes, Turns, ms};
use crate::guard::guard;
use crate::lanes::{Join, Lane, Ports};
use crate::measure::Measure;
use crate::results::Results;

/// What is measured with how many ports.
const WAYS: [(u16, [Measure; 2]); 3] = [
    (0, [Measure::PluginAdd, Measure::PluginDel]),
    (1, [Measure::PluginAddPort, Measure::PluginDelPort]),
    (100, [Measure::PluginAddPorts, Measure::PluginDelPorts]),
];

/// Measures ADD and DEL at each number of containers. The containers stay.
pub fn run(lanes: &mut Lanes, effort: &Effort, results: &mut Results) {
    let mut filled = vec![0; lanes.len()];
    let mut failed = vec![false; lanes.len()];
    for size in effort.plugins {
        for (place, lane) in lanes.iter_mut().enumerate() {
            let lane = lane.as_mut();
            if failed[place] {
                continue;
            }
            if let Err(error) = guard(|| fill_up(lane, &mut filled[place], *size)) {
                failed[place] = true;
                for (_, measures) in WAYS {
                    absent(lane, (measures, *size, &error), results);
                }
            }
        }
        for (ports, measures) in WAYS {
            let mut turns = Turns::new(lanes.len());
            (0..lanes.len())
                .filter(|place| failed[*place])
                .for_each(|place| turns.leave(place));
            // The first turn of all finds caches empty; nobody's counts.
            // Namespaces are made before, since the kernel is busy with a new one for a while.
            for (lane, _) in lanes
                .iter_mut()
                .zip(&failed)
                .filter(|(_, failed)| !**failed)
            {
                let _ = guard(|| {
                    lane.ground().prepare(effort.few + 1);
                    turn(lane.as_mut(), ports)
                });
            }
            turns.run((lanes, effort), effort.few, |_, lane| {
                let done = guard(|| turn(lane, ports));
                match &done {
                    Ok(took) => {
                        for (measure, took) in measures.into_iter().zip(*took) {
                            results.record((measure, *size as u64), lane.name(), took);
                        }
                    }
                    Err(error) => absent(lane, (measures, *size, error), results),
                }
                done.is_ok()
            });
        }
    }
}

fn absent(
    lane: &dyn Lane,
    (measures, size, error): ([Measure; 2], usize, &anyhow::Error),
    results: &mut Results,
) {
    for measure in measures {
        let why = format!("{error:#}");
        results.absent((measure, size as u64), lane.name(), &why);
    }
}

/// Milliseconds of ADD and of DEL.
fn turn(lane: &mut dyn Lane, count: u16) -> Result<[f64; 2]> {
    let links = lane.ground().links();
    let container = lane.ground().take();
    let ports = Ports {
        first: FIRST,
        count,
    };
    let join = Join { container, ports };
    let took = [lane.attach(&join)?, lane.detach(&join)?];
    lane.settle(links)?;
    Ok(took.map(ms))
}
