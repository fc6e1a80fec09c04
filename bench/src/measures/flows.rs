//! Established connections: how much goes through, and how long a byte needs there and back.

use std::net::SocketAddr;

use anyhow::Result;

use super::{Effort, Lanes};
use crate::ground::load;
use crate::guard::guard;
use crate::lanes::{INSIDE, Join, Lane, Ports};
use crate::measure::Measure;
use crate::results::Results;
use crate::turns::order;

/// The ports of the host that lead to the two servers.
const SINK: u16 = 31_000;
const ECHO: u16 = 31_001;

/// Two servers and a client in containers.
struct Site {
    sink: usize,
    echo: usize,
    client: usize,
}

/// Measures both, between containers and from outside.
pub fn run(lanes: &mut Lanes, effort: &Effort, results: &mut Results) {
    let sites: Vec<Result<Site>> = lanes
        .iter_mut()
        .map(|lane| guard(|| begin(lane.as_mut())))
        .collect();
    for round in 0..effort.loads {
        for place in order(lanes.len(), round) {
            let lane = lanes[place].as_mut();
            let done = match &sites[place] {
                Ok(site) => guard(|| turn(lane, site, effort)),
                Err(error) => Err(anyhow::anyhow!("{error:#}")),
            };
            note(lane.name(), done, results);
        }
    }
}

/// The measures of a turn's figures.
const MEASURES: [[Measure; 2]; 2] = [
    [Measure::ThroughputInside, Measure::ThroughputOutside],
    [Measure::RoundTripInside, Measure::RoundTripOutside],
];

fn note(lane: &str, done: Result<[[f64; 2]; 2]>, results: &mut Results) {
    for (kind, ways) in MEASURES.into_iter().enumerate() {
        for (way, measure) in ways.into_iter().enumerate() {
            match &done {
                Ok(figures) => results.record((measure, 1), lane, figures[kind][way]),
                Err(error) => results.absent((measure, 1), lane, &format!("{error:#}")),
            }
        }
    }
}

fn begin(lane: &mut dyn Lane) -> Result<Site> {
    let count = u16::from(lane.port_room() > 0);
    let mut join = |ports: Ports| -> Result<usize> {
        let container = lane.ground().take();
        lane.attach(&Join { container, ports })?;
        Ok(container)
    };
    let site = Site {
        sink: join(Ports { first: SINK, count })?,
        echo: join(Ports { first: ECHO, count })?,
        client: join(Ports { first: 1, count: 0 })?,
    };
    // Both end with the laboratory.
    for (server, kind) in [(site.sink, "sink"), (site.echo, "echo")] {
        let netns = lane.netns(server)?;
        let _ = lane.ground().serve(&netns, kind, INSIDE);
    }
    Ok(site)
}

fn turn(lane: &mut dyn Lane, site: &Site, effort: &Effort) -> Result<[[f64; 2]; 2]> {
    let mut both = |kind: &str, server: usize, port: u16| -> Result<[f64; 2]> {
        let near = SocketAddr::new(lane.address(server)?.into(), INSIDE);
        let far = lane.way_in(server, port)?;
        let inside = lane.netns(site.client)?;
        let ground = lane.ground();
        Ok([
            load(&ground.lab.h1, Some(&inside), (kind, near), effort.load / 2)?,
            load(&ground.lab.outside, None, (kind, far), effort.load / 2)?,
        ])
    };
    Ok([
        both("stream", site.sink, SINK)?,
        both("pingpong", site.echo, ECHO)?,
    ])
}
