//! Where the time of a request goes, read from the daemon's log: at level debug each part of it is a span.

use netns_tests::{HostOptions, Lab};
use serde_json::Value;

fn lab_at(level: &str) -> Lab {
    let flags = ["--log-format", "json", "--log-level", level];
    Lab::with(HostOptions {
        config: String::new(),
        flags: flags.map(str::to_owned).to_vec(),
    })
}

/// The log, line by line.
fn lines(lab: &Lab) -> Vec<Value> {
    let log = lab.h1.log_tail(usize::MAX);
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

/// The spans that were closed inside one named `outer`: their names in order, and the spans around each.
fn closed_in<'a>(lines: &'a [Value], outer: &str) -> Vec<(&'a str, &'a [Value])> {
    let closed = lines
        .iter()
        .filter(|line| line["fields"]["message"] == "close");
    closed
        .filter_map(|line| {
            let times = ["time.busy", "time.idle"].map(|key| line["fields"][key].as_str());
            assert!(times.iter().all(Option::is_some), "{line}");
            let around = line["spans"].as_array()?;
            let name = line["span"]["name"].as_str()?;
            let inside = around.iter().any(|span| span["name"] == outer);
            (inside && name != outer).then_some((name, &around[..]))
        })
        .collect()
}

#[test]
fn the_log_shows_the_parts_of_an_attach_as_spans() {
    let lab = lab_at("debug");
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.idle("web", "app", &["-p", "8080:80"]);
    let _ = lab.h1.net(&["disconnect", "app", "web"]).ok();
    let lines = lines(&lab);

    let attach = closed_in(&lines, "attach");
    let parts: Vec<&str> = attach.iter().map(|(name, _)| *name).collect();
    // What lets packets in and the interface are made side by side.
    let only = |of: &[&str]| {
        let mut parts = parts.clone();
        parts.retain(|part| of.contains(part));
        parts
    };
    assert_eq!(parts.len(), 10, "{parts:?}");
    for in_order in [
        "wait register intent ports firewall flows outcome",
        "wait register intent resolver kernel carrier flows outcome",
    ] {
        let in_order: Vec<&str> = in_order.split(' ').collect();
        assert_eq!(only(&in_order), in_order);
    }
    for (part, around) in &attach {
        let [request, attach] = around else {
            panic!("{part} is in {around:?}");
        };
        assert_eq!(request["name"], "request", "{part}");
        assert_eq!(request["method"], "POST", "{part}");
        assert!(request["id"].as_u64() > Some(0), "{part}: {request}");
        assert_eq!(attach["container"], "web", "{part}");
        assert_eq!(attach["network"], "app", "{part}");
        let endpoint = attach["endpoint"].as_str().map(str::len);
        assert_eq!(endpoint, Some(12), "{part}: {attach}");
    }

    let of = |operation| {
        let parts = closed_in(&lines, operation).into_iter();
        parts.map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(of("detach"), ["intent", "kernel", "outcome"]);
    assert_eq!(
        of("create"),
        ["wait", "intent", "firewall", "kernel", "outcome"]
    );
    // The same parts that `net status --timings` tells of.
    let status = lab.h1.status();
    let timed = status["timings"].as_array().into_iter().flatten();
    let timed = timed.filter(|row| row["operation"] == "attach" && row["phase"] != "whole");
    let mut timed: Vec<&str> = timed.filter_map(|row| row["phase"].as_str()).collect();
    let mut spans = parts.clone();
    timed.sort_unstable();
    spans.sort_unstable();
    assert_eq!(timed, spans);
}

#[test]
fn below_debug_the_log_has_no_spans() {
    let lab = lab_at("info");
    lab.h1.idle("web", "bridge", &[]);
    let lines = lines(&lab);
    assert!(!lines.is_empty());
    for line in lines {
        assert!(line.get("span").is_none(), "{line}");
        assert_ne!(line["fields"]["message"], "close", "{line}");
    }
}
