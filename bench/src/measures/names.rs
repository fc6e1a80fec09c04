//! Names of containers: how many questions a resolver answers, how fast, and with how much of the processor.
//!
//! Each resolver knows the same number of names and is asked from beside it, over its own loopback, by dnsperf.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use netns_tests::{HostOptions, Machine, eventually};

use super::Effort;
use crate::ground::Ground;
use crate::guard::guard;
use crate::lanes::docker::Docker;
use crate::lanes::netd::{Backend, Netd, container_name};
use crate::lanes::{Join, Lane};
use crate::measure::Measure;
use crate::peers::Peers;
use crate::results::Results;
use crate::turns::order;

/// Numbers of questions that are outstanding at a time.
const OUTSTANDING: [u64; 2] = [1, 32];

/// Containers with names.
const NAMES: usize = 10;

/// Questions, one a line.
const QUESTIONS: &str = "/run/lab/questions";

/// Address of a resolver inside a container, as Docker has it.
const EMBEDDED: &str = "127.0.0.11";

/// Processor time in /proc/PID/stat is counted in hundredths of a second (proc(5), `USER_HZ`).
const TICK_US: f64 = 10_000.0;

/// Somebody who answers.
struct Resolver {
    name: &'static str,
    on: On,
    /// Where the asker is: a namespace of the host, or the host itself.
    netns: Option<String>,
    server: &'static str,
    /// Process that answers, inside the host.
    pid: u32,
}

enum On {
    Netd(Netd),
    Docker(Docker),
    Alone(Ground),
}

impl Resolver {
    fn host(&mut self) -> &Machine {
        let ground = match &mut self.on {
            On::Netd(lane) => lane.ground(),
            On::Docker(lane) => lane.ground(),
            On::Alone(ground) => ground,
        };
        &ground.lab.h1
    }
}

/// Measures rate, latency and processor time; peers take part if they are given.
pub fn run((found, peers): (&Peers, Option<&Peers>), effort: &Effort, results: &mut Results) {
    let mut resolvers = Vec::new();
    type Made<'a> = Box<dyn Fn() -> Result<Resolver> + 'a>;
    let mut made: Vec<(&'static str, Made<'_>)> = vec![("netd-nftables", Box::new(netd))];
    if let Some(peers) = peers {
        made.push(("dnsmasq", Box::new(|| dnsmasq(peers))));
        made.push(("docker", Box::new(|| docker(peers))));
        made.push(("aardvark-dns", Box::new(|| aardvark(peers))));
    }
    let dnsperf = found.dnsperf.as_deref();
    for (name, make) in made {
        let ready = dnsperf
            .context("dnsperf is not here; --peers fetches it")
            .and_then(|_| guard(&make));
        match ready {
            Ok(resolver) => resolvers.push(resolver),
            Err(error) => absent(name, &error, results),
        }
    }
    let Some(dnsperf) = dnsperf else { return };
    for round in 0..effort.loads {
        for outstanding in OUTSTANDING {
            for place in order(resolvers.len(), round) {
                let resolver = &mut resolvers[place];
                let asked = guard(|| ask(resolver, (found, dnsperf), (outstanding, effort)));
                match asked {
                    Ok(answers) => note(resolver.name, outstanding, &answers, results),
                    Err(error) => absent(resolver.name, &error, results),
                }
            }
        }
    }
}

fn absent(name: &str, error: &anyhow::Error, results: &mut Results) {
    for measure in [Measure::DnsRate, Measure::DnsLatency, Measure::DnsCpu] {
        for outstanding in OUTSTANDING {
            results.absent((measure, outstanding), name, &format!("{error:#}"));
        }
    }
}

fn note(name: &str, outstanding: u64, answers: &Answers, results: &mut Results) {
    results.record((Measure::DnsRate, outstanding), name, answers.rate);
    results.record((Measure::DnsLatency, outstanding), name, answers.latency_us);
    results.record((Measure::DnsCpu, outstanding), name, answers.cpu_us);
}

fn netd() -> Result<Resolver> {
    let mut lane = Netd::new(Backend::Nftables)?;
    let mut asker = 0;
    let mut names = Vec::new();
    for _ in 0..=NAMES {
        asker = lane.ground().take();
        lane.attach(&Join::without_ports(asker))?;
        names.push(container_name(asker));
    }
    let host = &lane.ground().lab.h1;
    host.write(QUESTIONS, &questions(&names));
    Ok(Resolver {
        name: "netd-nftables",
        pid: host.daemon_pid(),
        netns: Some(Ground::netns(asker)),
        server: EMBEDDED,
        on: On::Netd(lane),
    })
}

fn docker(peers: &Peers) -> Result<Resolver> {
    let program = peers
        .dockerd
        .as_deref()
        .context("there is no dockerd here")?;
    let mut lane = Docker::new(&peers.engine(program))?;
    let mut names = Vec::new();
    for container in 0..=NAMES {
        lane.attach(&Join::without_ports(container))?;
        names.push(lane.container_name(container)?);
    }
    let netns = lane.netns(NAMES)?;
    lane.ground().lab.h1.write(QUESTIONS, &questions(&names));
    Ok(Resolver {
        name: "docker",
        pid: lane.pid(),
        netns: Some(netns),
        server: EMBEDDED,
        on: On::Docker(lane),
    })
}

fn names_of_nobody() -> Vec<String> {
    (0..=NAMES).map(|number| format!("c{number}")).collect()
}

fn dnsmasq(peers: &Peers) -> Result<Resolver> {
    let program = peers
        .dnsmasq
        .as_deref()
        .context("there is no dnsmasq here")?;
    let ground = Ground::new(HostOptions::default());
    let names = names_of_nobody();
    let hosts: Vec<String> = (1..)
        .zip(&names)
        .map(|(number, name)| format!("10.1.0.{number} {name}\n"))
        .collect();
    let host = &ground.lab.h1;
    host.write("/run/lab/names", &hosts.concat());
    host.write(QUESTIONS, &questions(&names));
    let engine = peers.engine(program);
    let program = program.display().to_string();
    let line = [
        program.as_str(),
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--addn-hosts=/run/lab/names",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--user=root",
        "--pid-file=/run/lab/dnsmasq.pid",
    ];
    let server = host.spawn(&line, &engine.variables(), "/run/lab/dnsmasq.log");
    listening(host);
    Ok(Resolver {
        name: "dnsmasq",
        pid: server.pid,
        netns: None,
        server: "127.0.0.1",
        on: On::Alone(ground),
    })
}

fn aardvark(peers: &Peers) -> Result<Resolver> {
    let program = peers
        .aardvark
        .as_deref()
        .context("there is no aardvark-dns here")?;
    let ground = Ground::new(HostOptions::default());
    let names = names_of_nobody();
    // The first line is where it listens; it answers only those whose address is a container's.
    let mut text = "127.0.0.1\n".to_owned();
    text.push_str(&format!("{:064x} 127.0.0.1  asker\n", 0));
    for (number, name) in (1..).zip(&names) {
        text.push_str(&format!("{number:064x} 10.1.0.{number}  {name}\n"));
    }
    let full: Vec<String> = names
        .iter()
        .map(|name| format!("{name}.dns.podman"))
        .collect();
    let host = &ground.lab.h1;
    host.write("/run/aardvark/n0", &text);
    host.write(QUESTIONS, &questions(&full));
    let engine = peers.engine(program);
    let program = program.display().to_string();
    let line = [
        program.as_str(),
        "--config",
        "/run/aardvark",
        "--port",
        "53",
        "run",
    ];
    // It puts itself into the background; the file names the process that stays.
    let _ = host.spawn(&line, &engine.variables(), "/run/lab/aardvark.log");
    let pid = eventually("the process id of aardvark-dns", || {
        host.read("/run/aardvark/aardvark.pid").trim().parse().ok()
    });
    listening(host);
    Ok(Resolver {
        name: "aardvark-dns",
        pid,
        netns: None,
        server: "127.0.0.1",
        on: On::Alone(ground),
    })
}

fn listening(host: &Machine) {
    eventually("a resolver that listens", || {
        let ran = host.exec(&["ss", "-Hlun", "sport", "=", "53"]);
        (!ran.text().is_empty()).then_some(())
    });
}

fn questions(names: &[String]) -> String {
    names.iter().map(|name| format!("{name} A\n")).collect()
}

/// What became of a load of questions.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Answers {
    /// A second.
    rate: f64,
    /// Mean.
    latency_us: f64,
    /// User and system time for each.
    cpu_us: f64,
}

fn ask(
    resolver: &mut Resolver,
    (found, dnsperf): (&Peers, &Path),
    (outstanding, effort): (u64, &Effort),
) -> Result<Answers> {
    let engine = found.engine(dnsperf);
    let program = dnsperf.display().to_string();
    let (seconds, count) = (
        effort.load.as_secs().max(1).to_string(),
        outstanding.to_string(),
    );
    let inside = resolver.netns.as_ref().map(|path| format!("--net={path}"));
    let mut line = match &inside {
        Some(inside) => vec!["nsenter", inside.as_str(), "--"],
        None => vec![],
    };
    let server = resolver.server;
    line.extend([
        program.as_str(),
        "-s",
        server,
        "-d",
        QUESTIONS,
        "-c",
        "1",
        "-T",
        "1",
    ]);
    line.extend(["-l", &seconds, "-q", &count]);
    let stat = format!("/proc/{}/stat", resolver.pid);
    let host = resolver.host();
    let before = cpu_us(&host.read(&stat))?;
    let ran = host.exec_with(&line, &engine.variables(), b"");
    let after = cpu_us(&host.read(&stat))?;
    ensure!(ran.is_ok(), "{ran}");
    read(&ran.stdout, after - before)
}

/// Reads dnsperf's report; `cpu_us` is what the resolver needed meanwhile.
fn read(report: &str, cpu_us: f64) -> Result<Answers> {
    let after = |key: &str| -> Result<f64> {
        let line = report
            .lines()
            .find_map(|line| line.trim().strip_prefix(key));
        let word = line.and_then(|rest| rest.split_whitespace().next());
        let word = word.with_context(|| format!("no {key:?} in {report}"))?;
        Ok(word.trim_end_matches(',').parse()?)
    };
    let codes = report.lines().find(|line| line.contains("Response codes:"));
    ensure!(
        codes.is_some_and(|line| line.contains("NOERROR") && line.contains("(100.00%)")),
        "not every question was answered with an address: {}",
        codes.unwrap_or(report)
    );
    Ok(Answers {
        rate: after("Queries per second:")?,
        latency_us: after("Average Latency (s):")? * 1e6,
        cpu_us: cpu_us / after("Queries completed:")?,
    })
}

/// User and system time of a /proc/PID/stat.
fn cpu_us(stat: &str) -> Result<f64> {
    // The name in parentheses may contain anything; behind it the fields have numbers from 3 on.
    let (_, rest) = stat.rsplit_once(')').context("the resolver has ended")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| -> Result<f64> {
        let text = fields.get(number - 3).context("a short stat")?;
        Ok(text.parse()?)
    };
    Ok((field(14)? + field(15)?) * TICK_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
Statistics:

  Queries sent:         200000
  Queries completed:    200000 (100.00%)
  Queries lost:         0 (0.00%)

  Response codes:       NOERROR 200000 (100.00%)
  Average packet size:  request 20, response 36
  Run time (s):         2.000000
  Queries per second:   100000.000000

  Average Latency (s):  0.000250 (min 0.000010, max 0.004000)
";

    #[test]
    fn the_report_of_dnsperf_is_read() {
        let answers = read(REPORT, 1_000_000.0).unwrap();
        assert_eq!(answers.rate, 100_000.0);
        assert!((answers.latency_us - 250.0).abs() < 1e-6);
        assert!((answers.cpu_us - 5.0).abs() < 1e-9);
        let refused = REPORT.replace("NOERROR 200000 (100.00%)", "NXDOMAIN 200000 (100.00%)");
        assert!(read(&refused, 1.0).is_err());
        assert!(read("nothing", 1.0).is_err());
    }

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "17 (a) b) S 1 17 17 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu_us(stat).unwrap(), 2_000_000.0);
        assert!(cpu_us("").is_err());
    }
}
