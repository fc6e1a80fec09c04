//! The daemon itself: its memory, and a restart while containers and their packets go on.

use anyhow::{Context, Result, ensure};
use netns_tests::flow::{Flow, Transport, some_packets};
use netns_tests::lab::HOST;

use super::ports::FIRST;
use super::{Effort, ms};
use crate::guard::guard;
use crate::lanes::netd::{Backend, Netd, network_name};
use crate::lanes::{HOME, Join, Lane, Ports};
use crate::measure::Measure;
use crate::results::Results;

/// Ports that each container publishes.
const EACH: u16 = 10;

/// The port through which packets flow during a restart.
const FLOW: u16 = 4000;

/// Measures memory and restarts of netd with both firewalls.
pub fn run(effort: &Effort, results: &mut Results) {
    for backend in [Backend::Nftables, Backend::Iptables] {
        let mut filled = 0;
        let lane = guard(|| Netd::new(backend));
        let name = format!("netd-{}", backend.name());
        match lane {
            Ok(mut lane) => {
                for count in effort.restart {
                    let done =
                        guard(|| at_place(&mut lane, (&mut filled, *count, effort.loads), results));
                    if let Err(error) = done {
                        absent(&name, (*count, &error), results);
                    }
                }
            }
            Err(error) => {
                for count in effort.restart {
                    absent(&name, (*count, &error), results);
                }
            }
        }
    }
}

fn absent(lane: &str, (count, error): (usize, &anyhow::Error), results: &mut Results) {
    let measures = [
        Measure::Memory,
        Measure::Restart,
        Measure::RestartLost,
        Measure::RestartSteps,
    ];
    for measure in measures {
        results.absent((measure, count as u64), lane, &format!("{error:#}"));
    }
}

fn at_place(
    lane: &mut Netd,
    (filled, count, rounds): (&mut usize, usize, usize),
    results: &mut Results,
) -> Result<()> {
    lane.ground().prepare(count - *filled);
    while *filled < count {
        let first = usize::from(FIRST) + *filled * usize::from(EACH);
        let join = Join {
            container: lane.ground().take(),
            ports: Ports {
                first: u16::try_from(first)?,
                count: EACH,
            },
        };
        lane.attach(&join)?;
        *filled += 1;
    }
    let at = |measure| (measure, count as u64);
    let name = lane.name().to_owned();
    results.record(at(Measure::Memory), &name, resident_mib(lane)?);
    let port = format!("{FLOW}:{FLOW}/udp");
    let flags = ["--network", &network_name(HOME), "-p", &port];
    let host = &lane.ground().lab.h1;
    host.answering("answering", FLOW, &flags);
    for _ in 0..rounds {
        let lab = &lane.ground().lab;
        let flow = lab.outside.flow(Transport::Udp, &format!("{HOST}:{FLOW}"));
        some_packets(&lab.outside, HOST);
        lab.h1.kill();
        let took = lab.h1.start();
        some_packets(&lab.outside, HOST);
        let report = Flow::stop(flow);
        ensure!(report.seen > 0, "no packet came through: {report:?}");
        let lost = report.sent - report.seen.min(report.answered);
        let steps = lane.client().status()?.reconciles.repairs;
        results.record(at(Measure::Restart), &name, ms(took));
        results.record(at(Measure::RestartLost), &name, count_of(lost));
        results.record(at(Measure::RestartSteps), &name, count_of(steps));
    }
    let _ = lane
        .ground()
        .lab
        .h1
        .net(&["stop", "-t", "1", "answering"])
        .ok();
    // A container with a name is remembered after its end.
    lane.client()
        .forget("answering")
        .context("forget a container")
}

fn count_of(value: u64) -> f64 {
    f64::from(u32::try_from(value).unwrap_or(u32::MAX))
}

/// Resident memory of the daemon, in MiB.
pub(super) fn resident_mib(lane: &mut Netd) -> Result<f64> {
    let host = &lane.ground().lab.h1;
    resident(&host.read(&format!("/proc/{}/status", host.daemon_pid())))
}

/// `VmRSS` of a /proc/PID/status, in MiB.
pub(super) fn resident(status: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next());
    let kib: f64 = kib.context("a process without VmRSS")?.parse()?;
    Ok(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_status() {
        let status = "Name:\tnetd\nVmHWM:\t 9000 kB\nVmRSS:\t    8192 kB\nThreads:\t4\n";
        assert_eq!(resident(status).unwrap(), 8.0);
        assert!(resident("Name:\tnetd\n").is_err());
    }
}
