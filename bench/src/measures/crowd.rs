//! The Nth container joins a network and leaves it.

use anyhow::{Result, ensure};

use super::{Effort, Lanes, Turns, ms};
use crate::guard::guard;
use crate::lanes::{Join, Lane};
use crate::measure::Measure;
use crate::results::Results;

/// Measures attach and detach at each size of the crowd. The containers stay.
pub fn run(lanes: &mut Lanes, effort: &Effort, results: &mut Results) {
    let mut filled = vec![0; lanes.len()];
    for size in effort.crowd {
        let mut turns = Turns::new(lanes.len());
        for (place, lane) in lanes.iter_mut().enumerate() {
            let lane = lane.as_mut();
            if let Err(error) = guard(|| fill(lane, &mut filled[place], *size)) {
                absent(lane, (*size, &error), results);
                turns.leave(place);
            }
        }
        turns.run((lanes, effort), effort.few, |_, lane| {
            let done = guard(|| turn(lane, *size, results));
            if let Err(error) = &done {
                absent(lane, (*size, error), results);
            }
            done.is_ok()
        });
    }
}

fn absent(lane: &dyn Lane, (size, error): (usize, &anyhow::Error), results: &mut Results) {
    let why = format!("{error:#}");
    results.absent((Measure::AttachNth, size as u64), lane.name(), &why);
    results.absent((Measure::DetachNth, size as u64), lane.name(), &why);
}

/// Connects containers until one less than `size` are on the network.
fn fill(lane: &mut dyn Lane, filled: &mut usize, size: usize) -> Result<()> {
    ensure!(
        size <= lane.room(),
        "not tried: setting up more than {} containers takes too long",
        lane.room()
    );
    fill_up(lane, filled, size)
}

/// The same whatever the lane has room for.
pub(super) fn fill_up(lane: &mut dyn Lane, filled: &mut usize, size: usize) -> Result<()> {
    let missing = (size - 1).saturating_sub(*filled);
    lane.ground().prepare(missing + 1);
    for _ in 0..missing {
        let container = lane.ground().take();
        lane.attach(&Join::without_ports(container))?;
        *filled += 1;
    }
    Ok(())
}

fn turn(lane: &mut dyn Lane, size: usize, results: &mut Results) -> Result<()> {
    let links = lane.ground().links();
    let join = Join::without_ports(lane.ground().take());
    let attach = lane.attach(&join)?;
    let detach = lane.detach(&join)?;
    lane.settle(links)?;
    results.record((Measure::AttachNth, size as u64), lane.name(), ms(attach));
    results.record((Measure::DetachNth, size as u64), lane.name(), ms(detach));
    Ok(())
}
