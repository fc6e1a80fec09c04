//! What the figures shall be, and whether they are. Pure.

mod plugins;

use crate::lanes::netd::Backend;
use crate::measure::{Better, Measure};
use crate::results::Results;
use crate::table::number;

/// How a figure is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// One figure.
struct Row {
    what: String,
    bound: Bound,
    unit: &'static str,
    value: Option<f64>,
    trust: Trust,
}

/// Whether a figure can be judged.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trust {
    Good,
    /// The lane of bare netlink was itself disturbed.
    LimitDisturbed,
}

/// A limit whose 90th percentile is more than this many times its median was disturbed by something.
const STEADY: f64 = 2.0;

/// Figures of one lane, and how they compare.
struct Of<'a> {
    results: &'a Results,
    lane: &'a str,
}

impl Of<'_> {
    fn own(&self, measure: Measure, at: u64) -> Option<f64> {
        self.results.median((measure, at), self.lane)
    }

    fn other(&self, measure: Measure, at: u64, lane: &str) -> Option<f64> {
        self.results.median((measure, at), lane)
    }

    /// How many times as much as `lane` has.
    fn times(&self, measure: Measure, at: u64, lane: &str) -> Option<f64> {
        ratio(self.own(measure, at), self.other(measure, at, lane))
    }

    /// Bare netlink was disturbed if it was unsteady, had a single turn, or was beaten: nobody can do its work faster.
    fn trust(&self, measure: Measure, at: u64) -> Trust {
        let limit = self.results.summary((measure, at), "limit");
        let Some((limit, own)) = limit.zip(self.own(measure, at)) else {
            return Trust::Good;
        };
        let beaten = match measure.words().better {
            Better::Small => own < limit.median,
            Better::Large => own > limit.median,
        };
        match limit.count < 2 || limit.high > STEADY * limit.median || beaten {
            true => Trust::LimitDisturbed,
            false => Trust::Good,
        }
    }

    /// How a place compares with bare netlink, judged only if that was undisturbed.
    fn against_limit(&self, (what, bound): (&str, Bound), (measure, at): (Measure, u64)) -> Row {
        Row {
            trust: self.trust(measure, at),
            ..row(what, (bound, " ×"), self.times(measure, at, "limit"))
        }
    }

    /// How many times as fast as `lane` is.
    fn faster(&self, measure: Measure, lane: &str) -> Option<f64> {
        ratio(self.other(measure, 1, lane), self.own(measure, 1))
    }

    /// How the place `at` compares with the place `with`.
    fn along(&self, measure: Measure, at: u64, with: u64) -> Option<f64> {
        ratio(self.own(measure, at), self.own(measure, with))
    }

    fn steps(&self) -> Option<[f64; 4]> {
        Some([
            self.own(Measure::Attach, 1)?,
            self.own(Measure::Detach, 1)?,
            self.own(Measure::Create, 1)?,
            self.own(Measure::Remove, 1)?,
        ])
    }
}

fn ratio(value: Option<f64>, with: Option<f64>) -> Option<f64> {
    let (value, with) = (value?, with?);
    (with > 0.0).then(|| value / with)
}

/// The table of what shall be reached.
#[must_use]
pub fn render(results: &Results) -> String {
    let mut text =
        "| what shall be | with | wanted | measured | reached |\n|---|---|---|---|---|\n"
            .to_owned();
    for backend in [Backend::Nftables, Backend::Iptables] {
        let lane = format!("netd-{}", backend.name());
        let of = Of {
            results,
            lane: &lane,
        };
        for row in rows(&of, backend) {
            let (word, bound) = match row.bound {
                Bound::AtMost(bound) => ("≤", bound),
                Bound::AtLeast(bound) => ("≥", bound),
            };
            let measured = row.value.map_or_else(|| "n/a".to_owned(), number);
            let reached = match (row.bound, row.value) {
                (_, None) => "not measured",
                _ if row.trust == Trust::LimitDisturbed => {
                    "cannot be told: bare netlink was disturbed"
                }
                (Bound::AtMost(bound), Some(value)) if value <= bound => "yes",
                (Bound::AtLeast(bound), Some(value)) if value >= bound => "yes",
                _ => "**no**",
            };
            text.push_str(&format!(
                "| {} | {} | {word} {bound}{} | {measured} | {reached} |\n",
                row.what,
                backend.name(),
                row.unit,
            ));
        }
    }
    text
}

fn rows(of: &Of<'_>, backend: Backend) -> Vec<Row> {
    let mut rows = steps(of);
    rows.extend(scale(of, backend));
    rows.extend(plugins::rows(of, backend));
    rows.extend(daemon(of));
    if backend == Backend::Nftables {
        rows.extend(names(of));
    }
    rows
}

fn row(what: &str, (bound, unit): (Bound, &'static str), value: Option<f64>) -> Row {
    Row {
        what: what.to_owned(),
        bound,
        unit,
        value,
        trust: Trust::Good,
    }
}

use Bound::{AtLeast, AtMost};

fn steps(of: &Of<'_>) -> Vec<Row> {
    let part = |over: usize| {
        of.steps()
            .and_then(|all| ratio(Some(all[over]), Some(all[0])))
    };
    vec![
        of.against_limit(
            ("attach, compared with bare netlink", AtMost(2.0)),
            (Measure::Attach, 1),
        ),
        of.against_limit(
            (
                "attach of the 1,000th container, compared with bare netlink",
                AtMost(2.5),
            ),
            (Measure::AttachNth, 1000),
        ),
        row(
            "attach, faster than the Docker engine's connect",
            (AtLeast(15.0), " ×"),
            of.faster(Measure::Attach, "docker"),
        ),
        row(
            "attach, faster than netavark's setup",
            (AtLeast(20.0), " ×"),
            of.faster(Measure::Attach, "netavark"),
        ),
        row("detach, compared with attach", (AtMost(1.5), " ×"), part(1)),
        row(
            "detach, faster than the Docker engine's disconnect",
            (AtLeast(30.0), " ×"),
            of.faster(Measure::Detach, "docker"),
        ),
        row(
            "create a network, compared with attach",
            (AtMost(3.0), " ×"),
            part(2),
        ),
        row(
            "remove a network, compared with attach",
            (AtMost(3.0), " ×"),
            part(3),
        ),
        row(
            "remove a network, faster than the Docker engine",
            (AtLeast(20.0), " ×"),
            of.faster(Measure::Remove, "docker"),
        ),
    ]
}

fn scale(of: &Of<'_>, backend: Backend) -> Vec<Row> {
    let nftables = backend == Backend::Nftables;
    let ports = if nftables { 1.2 } else { 10.0 };
    let mut rows = vec![
        row(
            "attach with 100 ports, compared with none",
            (AtMost(ports), " ×"),
            of.along(Measure::AttachPorts, 100, 0),
        ),
        row(
            "attach beside 10,000 published ports, compared with 1",
            (AtMost(1.1), " ×"),
            of.along(Measure::AttachBeside, 10_000, 1),
        ),
        of.against_limit(
            ("8 callers, of what bare netlink does with 8", AtLeast(0.8)),
            (Measure::Parallel, 8),
        ),
    ];
    if nftables {
        let rate = of.along(Measure::Connections, 10_000, 1);
        rows.push(row(
            "new connections with 10,000 published ports, compared with 1",
            (AtLeast(0.95), " ×"),
            rate,
        ));
    }
    rows
}

fn daemon(of: &Of<'_>) -> Vec<Row> {
    vec![
        row(
            "restart with 1,000 containers",
            (AtMost(500.0), " ms"),
            of.own(Measure::Restart, 1000),
        ),
        row(
            "packets lost over it",
            (AtMost(0.0), ""),
            of.own(Measure::RestartLost, 1000),
        ),
        row(
            "steps that it makes",
            (AtMost(0.0), ""),
            of.own(Measure::RestartSteps, 1000),
        ),
        row(
            "memory, idle",
            (AtMost(15.0), " MiB"),
            of.own(Measure::Memory, 0),
        ),
        row(
            "memory with 1,000 containers and 10,000 ports",
            (AtMost(60.0), " MiB"),
            of.own(Measure::Memory, 1000),
        ),
    ]
}

fn names(of: &Of<'_>) -> Vec<Row> {
    vec![
        row(
            "names, 32 outstanding, compared with dnsmasq",
            (AtLeast(1.3), " ×"),
            of.times(Measure::DnsRate, 32, "dnsmasq"),
        ),
        row(
            "names, 32 outstanding, compared with the Docker engine",
            (AtLeast(1.6), " ×"),
            of.times(Measure::DnsRate, 32, "docker"),
        ),
        row(
            "processor time of an answer",
            (AtMost(6.5), " us"),
            of.own(Measure::DnsCpu, 32),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_reached_missed_or_not_measured() {
        let mut results = Results::default();
        for value in [0.9, 1.0, 1.1] {
            results.record((Measure::Attach, 1), "limit", value);
        }
        results.record((Measure::Parallel, 8), "limit", 400.0);
        results.record((Measure::Parallel, 8), "netd-nftables", 380.0);
        for value in [10.0, 10.0, 11.0] {
            results.record((Measure::AttachNth, 1000), "limit", value);
        }
        results.record((Measure::AttachNth, 1000), "netd-nftables", 7.0);
        results.record((Measure::Attach, 1), "netd-nftables", 2.5);
        results.record((Measure::Attach, 1), "docker", 50.0);
        results.absent((Measure::Attach, 1), "netavark", "not here");
        results.record((Measure::Memory, 0), "netd-nftables", 14.0);
        let text = render(&results);
        for line in [
            "| attach, compared with bare netlink | nftables | ≤ 2 × | 2.50 | **no** |",
            "| attach, faster than the Docker engine's connect | nftables | ≥ 15 × | 20.0 | yes |",
            "| attach, faster than netavark's setup | nftables | ≥ 20 × | n/a | not measured |",
            "| 8 callers, of what bare netlink does with 8 | nftables | ≥ 0.8 × | 0.95 | cannot be told",
            "| attach of the 1,000th container, compared with bare netlink | nftables | ≤ 2.5 × | 0.70 | cannot be told",
            "| memory, idle | nftables | ≤ 15 MiB | 14.0 | yes |",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
