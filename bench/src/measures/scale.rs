//! Many networks on one host, each with ten containers: what the next one costs, and a restart with all of them.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use netd_api::ConnectRequest;

use super::daemon::resident_mib;
use super::{Effort, ms};
use crate::guard::guard;
use crate::lanes::Lane;
use crate::lanes::netd::{Backend, Netd, container_name};
use crate::measure::Measure;
use crate::results::Results;

/// Containers of each network.
const EACH: usize = 10;

/// A pool with room for 65,536 networks: the built-in ones have room for thirty.
const POOLS: &str = "base=10.0.0.0/8,size=24";

/// Measures netd with both firewalls at each number of networks. What was made stays.
pub fn run(effort: &Effort, results: &mut Results) {
    if effort.networks.is_empty() {
        return;
    }
    for backend in [Backend::Nftables, Backend::Iptables] {
        let mut made = 0;
        let name = format!("netd-{}", backend.name());
        let lane = guard(|| Netd::with_flags(backend, &["--default-address-pools", POOLS]));
        let (mut lane, mut failed) = match lane {
            Ok(lane) => (Some(lane), None),
            Err(error) => (None, Some(error)),
        };
        for count in effort.networks {
            if let (Some(lane), None) = (&mut lane, &failed) {
                let place = (&mut made, *count, effort.loads);
                failed = guard(|| at_place(lane, place, results)).err();
            }
            // Smaller numbers that went well stay.
            if let Some(error) = &failed {
                absent(&name, (*count, error), results);
            }
        }
    }
}

fn absent(lane: &str, (count, error): (usize, &anyhow::Error), results: &mut Results) {
    for measure in [
        Measure::CreateAmong,
        Measure::AttachAmong,
        Measure::RestartAmong,
        Measure::MemoryAmong,
    ] {
        results.absent((measure, count as u64), lane, &format!("{error:#}"));
    }
}

fn at_place(
    lane: &mut Netd,
    (made, count, rounds): (&mut usize, usize, usize),
    results: &mut Results,
) -> Result<()> {
    let name = lane.name().to_owned();
    let place = count as u64;
    while *made < count {
        // The last ones before the place are what is measured.
        let measured = *made + rounds >= count;
        let (create, attach) = next_network(lane, *made)?;
        if measured {
            results.record((Measure::CreateAmong, place), &name, create);
            results.record((Measure::AttachAmong, place), &name, attach);
        }
        *made += 1;
    }
    results.record((Measure::MemoryAmong, place), &name, resident_mib(lane)?);
    for _ in 0..rounds {
        lane.ground().lab.h1.kill();
        let took = lane.ground().lab.h1.start();
        results.record((Measure::RestartAmong, place), &name, ms(took));
    }
    let repairs = lane.client().status()?.reconciles.repairs;
    ensure!(
        repairs == 0,
        "a restart with {count} networks made {repairs} steps"
    );
    Ok(())
}

/// Makes a network with its containers; gives the times to make it and to connect its first container.
fn next_network(lane: &mut Netd, number: usize) -> Result<(f64, f64)> {
    let network = format!("many{number}");
    lane.ground().prepare(EACH);
    let request = serde_json::from_value(serde_json::json!({ "name": network }))?;
    let start = Instant::now();
    lane.client().create_network(&request)?;
    let create = ms(start.elapsed());
    let mut first = None;
    for _ in 0..EACH {
        let container = lane.ground().take();
        lane.register(container)?;
        let request = ConnectRequest {
            container: Some(container_name(container)),
            ..ConnectRequest::default()
        };
        let start = Instant::now();
        lane.client().connect(&network, &request)?;
        let _ = first.get_or_insert(ms(start.elapsed()));
    }
    Ok((create, first.context("a network without containers")?))
}
