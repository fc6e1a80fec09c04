//! A container that publishes ports joins and leaves, by the number of its ports.

use anyhow::{Result, ensure};

use super::{Effort, Lanes, Turns, ms};
use crate::guard::guard;
use crate::lanes::{Join, Lane, Ports};
use crate::measure::Measure;
use crate::results::Results;

/// The first port of the host that is published.
pub(super) const FIRST: u16 = 10_000;

/// Measures attach and detach.
pub fn run(lanes: &mut Lanes, effort: &Effort, results: &mut Results) {
    for count in effort.ports {
        let mut turns = Turns::new(lanes.len());
        turns.run((lanes, effort), effort.few, |_, lane| {
            let done = guard(|| turn(lane, *count, results));
            if let Err(error) = &done {
                let why = format!("{error:#}");
                let at = u64::from(*count);
                results.absent((Measure::AttachPorts, at), lane.name(), &why);
                results.absent((Measure::DetachPorts, at), lane.name(), &why);
            }
            done.is_ok()
        });
    }
}

fn turn(lane: &mut dyn Lane, count: u16, results: &mut Results) -> Result<()> {
    ensure!(
        lane.port_room() == 0 || u32::from(count) <= lane.port_room(),
        "not tried: more than {} ports take too long",
        lane.port_room()
    );
    let links = lane.ground().links();
    let join = Join {
        container: lane.ground().take(),
        ports: Ports {
            first: FIRST,
            count,
        },
    };
    let attach = lane.attach(&join)?;
    let detach = lane.detach(&join)?;
    lane.settle(links)?;
    let at = u64::from(count);
    results.record((Measure::AttachPorts, at), lane.name(), ms(attach));
    results.record((Measure::DetachPorts, at), lane.name(), ms(detach));
    Ok(())
}
