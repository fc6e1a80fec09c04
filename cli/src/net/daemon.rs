//! The verbs about the daemon: `status`, `events`, `version`.

use std::fmt::Write as _;

use jiff::Timestamp;
use netd_api::status::Timing;
use netd_api::{Client, Event, PREFIX, Status};
use serde_json::json;

use super::args::{EventsArgs, StatusArgs, VersionArgs};
use super::failure::Failure;
use super::networks::pretty;
use super::out::{Tone, paint, plain};
use super::table::{self, Room};
use super::{age, out};

/// `net status`: fails if the daemon has a problem, so that a script can ask.
pub(super) fn status(client: &Client, args: &StatusArgs) -> Result<(), Failure> {
    let status = client.status()?;
    if args.json {
        out::print(&pretty(&status)?)?;
    } else if args.timings {
        out::print(&timings(&status.timings))?;
    } else {
        out::print(&report(
            &status,
            &client.socket().display().to_string(),
            Timestamp::now(),
        ))?;
    }
    if status.problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::Partly)
    }
}

/// One line for each part of each operation, in milliseconds.
fn timings(timings: &[Timing]) -> String {
    let ms = |us: u64| format!("{}.{:03} ms", us / 1000, us % 1000);
    let rows: Vec<_> = timings
        .iter()
        .map(|timing| {
            let (operation, phase) = (timing.operation.clone(), timing.phase.clone());
            let (median, p99) = (ms(timing.median_us), ms(timing.p99_us));
            [operation, phase, timing.count.to_string(), median, p99]
        })
        .collect();
    let head = ["OPERATION", "PART", "COUNT", "MEDIAN", "P99"];
    table::layout(head, &rows, Room::default())
}

fn report(status: &Status, socket: &str, now: Timestamp) -> String {
    // In the midst of a sentence, so small: "less than a second", "about a minute".
    let up = age::words_since(&status.started, now)
        .map_or_else(|| status.started.clone(), |words| words.to_lowercase());
    let counts = format!(
        "{}, {} ({} remembered), {}, {}",
        count(status.networks, "network"),
        count(status.containers_running, "container"),
        status.containers_exited,
        count(status.endpoints, "endpoint"),
        count(status.ports, "published port"),
    );
    let runs = usize::try_from(status.reconciles.runs).unwrap_or(usize::MAX);
    let repairs = usize::try_from(status.reconciles.repairs).unwrap_or(usize::MAX);
    let names: Vec<String> = status
        .names
        .iter()
        .map(|(what, n)| format!("{n} {}", what.replace('_', " ")))
        .collect();
    let mut lines = vec![
        (
            "netd",
            format!("{}, pid {}, up {up}", status.version, status.pid),
        ),
        ("socket", socket.to_owned()),
        ("namespace", status.netns.clone()),
        ("data", status.data_root.display().to_string()),
        ("firewall", status.firewall.clone()),
        ("serves", counts),
        (
            "kernel",
            format!(
                "compared with the records {}, {} made",
                count(runs, "time"),
                count(repairs, "step")
            ),
        ),
    ];
    if !names.is_empty() {
        lines.push(("names", names.join(", ")));
    }
    if status.problems.is_empty() {
        lines.push(("problems", paint(Tone::Good, "none")));
    }
    let problems = status
        .problems
        .iter()
        .map(|problem| ("problem", paint(Tone::Bad, &plain(problem))));
    lines.extend(problems);
    let warnings = status.warnings.iter();
    lines.extend(warnings.map(|warning| ("warning", paint(Tone::Bad, &plain(warning)))));
    lines.iter().fold(String::new(), |mut text, (title, line)| {
        let _ = writeln!(text, "{title:<11}{line}");
        text
    })
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// `net events`: until the daemon ends, or nobody reads on.
pub(super) fn events(client: &Client, args: &EventsArgs) -> Result<(), Failure> {
    for event in client.events()? {
        let event = event?;
        let line = if args.json {
            serde_json::to_string(&event).map_err(std::io::Error::from)?
        } else {
            line(&event)
        };
        out::print(&(line + "\n"))?;
    }
    out::say("netd ended the stream");
    Ok(())
}

/// `TIME KIND ACTION NAME (ID, key=value, ...)`, as `docker events` has it.
fn line(event: &Event) -> String {
    let id = event.id.get(..12).unwrap_or(&event.id);
    let facts = event
        .attributes
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let facts: Vec<String> = Some(id.to_owned())
        .filter(|id| !id.is_empty())
        .into_iter()
        .chain(facts)
        .collect();
    let time = paint(Tone::Quiet, &event.time);
    let what = format!(
        "{time} {}",
        plain(&format!("{} {} {}", event.kind, event.action, event.name))
    );
    match facts.is_empty() {
        true => what.trim_end().to_owned(),
        false => format!("{} ({})", what.trim_end(), plain(&facts.join(", "))),
    }
}

/// `net version`: this program's even when there is no daemon.
pub(super) fn version(client: &Client, args: &VersionArgs) -> Result<(), Failure> {
    let own = env!("CARGO_PKG_VERSION");
    let server = client.version();
    let socket = client.socket().display();
    let text = match (&server, args.json) {
        (Ok(server), true) => pretty(&json!({"client": {"version": own}, "server": server}))?,
        (Err(_), true) => pretty(&json!({"client": {"version": own}, "server": null}))?,
        (Ok(server), false) => format!(
            "client  net {own}, speaks {PREFIX}\nserver  netd {}, speaks /netd/v{}, at {socket}\n",
            server.version, server.api
        ),
        (Err(_), false) => format!("client  net {own}, speaks {PREFIX}\n"),
    };
    out::print(&text)?;
    server.map(drop).map_err(Failure::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_as_sentences() {
        let status: Status = serde_json::from_value(json!({
            "version": "0.1.0", "pid": 42, "started": "2026-11-20T18:00:00Z", "netns": "net:[4026531840]",
            "data_root": "/var/lib/netd", "firewall": "iptables (nf_tables)", "networks": 3,
            "containers_running": 1, "containers_exited": 2, "endpoints": 1, "ports": 0,
            "reconciles": {"runs": 9, "repairs": 1}, "names": {"answered_locally": 5, "forwarded": 2},
            "problems": ["ip_forward is off"], "warnings": ["table ip filter drops"],
        }))
        .unwrap();
        let now = "2026-11-20T20:00:00Z".parse().unwrap();
        let golden = "\
netd       0.1.0, pid 42, up 2 hours
socket     /run/netd.sock
namespace  net:[4026531840]
data       /var/lib/netd
firewall   iptables (nf_tables)
serves     3 networks, 1 container (2 remembered), 1 endpoint, 0 published ports
kernel     compared with the records 9 times, 1 step made
names      5 answered locally, 2 forwarded
problem    ip_forward is off
warning    table ip filter drops
";
        assert_eq!(report(&status, "/run/netd.sock", now), golden);
    }

    #[test]
    fn timings_are_told_in_milliseconds() {
        let timing = |phase: &str, median_us, p99_us| Timing {
            operation: "attach".to_owned(),
            phase: phase.to_owned(),
            count: 120,
            median_us,
            p99_us,
        };
        let golden = "\
OPERATION   PART      COUNT     MEDIAN     P99
attach      whole     120       0.950 ms   12.007 ms
attach      kernel    120       0.512 ms   1.100 ms
";
        let both = [timing("whole", 950, 12_007), timing("kernel", 512, 1100)];
        assert_eq!(timings(&both), golden);
    }

    #[test]
    fn an_event_is_one_line() {
        let event: Event = serde_json::from_value(json!({
            "time": "2026-11-20T18:00:00.5Z", "kind": "container", "action": "connect", "id": "ab".repeat(32),
            "name": "web", "attributes": {"network": "lab", "address": "10.0.0.2"},
        }))
        .unwrap();
        assert_eq!(
            line(&event),
            "2026-11-20T18:00:00.5Z container connect web (abababababab, address=10.0.0.2, network=lab)"
        );
    }
}
