//! What many published ports cost those who do not use them: an attach beside them, and a new connection through the last.

use anyhow::{Context, Result, ensure};
use netns_tests::Background;

use super::ports::FIRST;
use super::{Effort, Lanes, Turns, ms};
use crate::ground::load;
use crate::guard::guard;
use crate::lanes::{Join, Lane, Ports};
use crate::measure::Measure;
use crate::results::Results;

/// Ports of one container of those that fill the host.
const EACH: u32 = 1000;

/// The port whose connections are counted, behind all others, and one that comes and goes.
const LAST: u16 = 30_000;
const PASSING: u16 = 30_001;

/// What a lane has to do at a place.
#[derive(Default)]
struct Site {
    /// Ports that others have published.
    filled: u32,
    /// The container that accepts connections, while the lane takes part.
    server: Option<(Join, Background)>,
}

/// Measures both at each number of ports.
pub fn run(lanes: &mut Lanes, effort: &Effort, results: &mut Results) {
    let mut sites: Vec<Site> = lanes.iter().map(|_| Site::default()).collect();
    for ports in effort.beside {
        let (mut attaching, mut connecting) = (Turns::new(lanes.len()), Turns::new(lanes.len()));
        for (place, (lane, site)) in lanes.iter_mut().zip(&mut sites).enumerate() {
            if let Err(error) = guard(|| begin(lane.as_mut(), site, *ports)) {
                for measure in [Measure::AttachBeside, Measure::Connections] {
                    note(
                        (measure, *ports),
                        lane.as_ref(),
                        &Err(error.to_string()),
                        results,
                    );
                }
                attaching.leave(place);
                connecting.leave(place);
            }
        }
        attaching.run((lanes, effort), effort.few, |_, lane| {
            let done = guard(|| turn(lane)).map_err(|error| format!("{error:#}"));
            note((Measure::AttachBeside, *ports), lane, &done, results)
        });
        connecting.run((lanes, effort), effort.loads, |place, lane| {
            let done = guard(|| connections(lane, &sites[place], effort));
            let done = done.map_err(|error| format!("{error:#}"));
            note((Measure::Connections, *ports), lane, &done, results)
        });
        for (lane, site) in lanes.iter_mut().zip(&mut sites) {
            end(lane.as_mut(), site);
        }
    }
}

/// Notes a value, or why there is none; true if there is one.
fn note(
    (measure, ports): (Measure, u32),
    lane: &dyn Lane,
    done: &Result<f64, String>,
    results: &mut Results,
) -> bool {
    let at = (measure, u64::from(ports));
    match done {
        Ok(value) => results.record(at, lane.name(), *value),
        Err(why) => results.absent(at, lane.name(), why),
    }
    done.is_ok()
}

/// Publishes ports until all but one are there, then the one whose connections are counted.
fn begin(lane: &mut dyn Lane, site: &mut Site, ports: u32) -> Result<()> {
    // Who has no ports is routed to, whatever the number.
    let has_ports = lane.port_room() > 0;
    ensure!(
        !has_ports || ports <= lane.port_room(),
        "not tried: publishing more than {} ports takes too long",
        lane.port_room()
    );
    while has_ports && site.filled + 1 < ports {
        let count = EACH.min(ports - 1 - site.filled);
        let join = Join {
            container: lane.ground().take(),
            ports: Ports {
                first: u16::try_from(u32::from(FIRST) + site.filled)?,
                count: u16::try_from(count)?,
            },
        };
        lane.attach(&join)?;
        site.filled += count;
    }
    let join = Join {
        container: lane.ground().take(),
        ports: Ports {
            first: LAST,
            count: u16::from(has_ports),
        },
    };
    lane.attach(&join)?;
    let netns = lane.netns(join.container)?;
    let server = lane.ground().serve(&netns, "accept", crate::lanes::INSIDE);
    site.server = Some((join, server));
    Ok(())
}

fn end(lane: &mut dyn Lane, site: &mut Site) {
    if let Some((join, server)) = site.server.take() {
        lane.ground().lab.h1.signal("KILL", server.pid);
        // What cannot be detached stays published; the next place would say so.
        let _ = lane.detach(&join);
    }
}

fn turn(lane: &mut dyn Lane) -> Result<f64> {
    let links = lane.ground().links();
    let join = Join {
        container: lane.ground().take(),
        ports: Ports {
            first: PASSING,
            count: 1,
        },
    };
    let took = lane.attach(&join)?;
    lane.detach(&join)?;
    lane.settle(links)?;
    Ok(ms(took))
}

fn connections(lane: &mut dyn Lane, site: &Site, effort: &Effort) -> Result<f64> {
    let (join, _) = site.server.as_ref().context("nobody accepts connections")?;
    let target = lane.way_in(join.container, join.ports.first)?;
    load(
        &lane.ground().lab.outside,
        None,
        ("connect", target),
        effort.load,
    )
}
