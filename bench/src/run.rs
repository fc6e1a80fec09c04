//! One run from the beginning to the end.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::facts::Facts;
use crate::guard::guard;
use crate::lanes::Lane;
use crate::lanes::cli::Cli;
use crate::lanes::cni::Cni;
use crate::lanes::docker::Docker;
use crate::lanes::limit::Limit;
use crate::lanes::netavark::Netavark;
use crate::lanes::netd::{Backend, Netd};
use crate::lanes::netd_cni::NetdCni;
use crate::measure::Measure;
use crate::measures::{
    Effort, beside, crowd, daemon, flows, names, parallel, plugins, ports, scale, steps,
};
use crate::options::Options;
use crate::peers::Peers;
use crate::results::Results;

/// What takes part, made anew for each group of measurements: what one leaves behind shall not weigh on the next.
struct Field<'a> {
    peers: Option<&'a Peers>,
    /// Why a peer does not take part, by its name.
    missing: Vec<(&'static str, String)>,
}

/// Measures everything. After each group of measurements `save` is given what there is so far: a run that is ended early
/// has not been for nothing.
///
/// # Errors
/// When not even bare netlink and netd can be set up, the peers that were asked for cannot be fetched, or `save` fails.
pub fn run(options: &Options, mut save: impl FnMut(&Facts, &Results) -> Result<()>) -> Result<()> {
    let effort = options.effort();
    let found = Peers::find(options)?;
    let mut facts = Facts::look();
    let mut field = Field {
        peers: options.with_peers().then_some(&found),
        missing: Vec::new(),
    };
    if options.with_peers() {
        facts.versions.extend(found.versions());
    }
    let start = Instant::now();
    let mut results = Results::default();
    for group in Group::ALL
        .into_iter()
        .filter(|group| options.has(group.word()))
    {
        say(&format!(
            "{:>4} s: {}",
            start.elapsed().as_secs(),
            group.title()
        ));
        match group {
            Group::Names => names::run((&found, field.peers), &effort, &mut results),
            Group::Daemon => daemon::run(&effort, &mut results),
            Group::Scale => scale::run(&effort, &mut results),
            other => other.on_lanes(&mut field, (&effort, &mut results))?,
        }
        for (name, why) in &field.missing {
            results.absent((Measure::Attach, 1), name, why);
        }
        save(&facts, &results)?;
    }
    Ok(())
}

/// Measurements that share their lanes.
#[derive(Clone, Copy)]
enum Group {
    Steps,
    Parallel,
    Crowd,
    Plugins,
    Flows,
    Beside,
    Names,
    Daemon,
    Scale,
}

impl Group {
    const ALL: [Self; 9] = [
        Self::Steps,
        Self::Parallel,
        Self::Crowd,
        Self::Plugins,
        Self::Flows,
        Self::Beside,
        Self::Names,
        Self::Daemon,
        Self::Scale,
    ];

    /// What it is called on the command line.
    fn word(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Parallel => "parallel",
            Self::Crowd => "crowd",
            Self::Plugins => "plugins",
            Self::Flows => "flows",
            Self::Beside => "beside",
            Self::Names => "names",
            Self::Daemon => "daemon",
            Self::Scale => "scale",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Steps => "attach, detach, create, remove, ports",
            Self::Parallel => "several callers",
            Self::Crowd => "many containers",
            Self::Plugins => "plugins as processes",
            Self::Flows => "established connections",
            Self::Beside => "many published ports",
            Self::Names => "names",
            Self::Daemon => "memory and restarts",
            Self::Scale => "many networks",
        }
    }

    fn on_lanes(
        self,
        field: &mut Field<'_>,
        (effort, results): (&Effort, &mut Results),
    ) -> Result<()> {
        let mut lanes = match self {
            Self::Plugins => field.plugins()?,
            _ => field.lanes()?,
        };
        match self {
            Self::Steps => {
                let own = lanes.len().min(OWN);
                lanes.insert(own, Box::new(Cli::new()?));
                lanes.insert(own + 1, Box::new(NetdCni::new(Backend::Nftables)?));
                steps::run(&mut lanes, effort, results);
                ports::run(&mut lanes, effort, results);
            }
            Self::Parallel => parallel::run(&mut lanes, effort, results),
            Self::Crowd => crowd::run(&mut lanes, effort, results),
            Self::Plugins => plugins::run(&mut lanes, effort, results),
            Self::Flows => flows::run(&mut lanes, effort, results),
            Self::Beside => beside::run(&mut lanes, effort, results),
            // These have daemons of their own.
            Self::Names | Self::Daemon | Self::Scale => {}
        }
        Ok(())
    }
}

/// Number of lanes that need no peer.
const OWN: usize = 3;

impl Field<'_> {
    fn lanes(&mut self) -> Result<Vec<Box<dyn Lane>>> {
        let mut lanes: Vec<Box<dyn Lane>> = vec![
            Box::new(Limit::new().context("set up the lane limit")?),
            Box::new(Netd::new(Backend::Nftables)?),
            Box::new(Netd::new(Backend::Iptables)?),
        ];
        lanes.extend(self.of_peers(&["docker", "netavark", "cni"]));
        Ok(lanes)
    }

    /// Those who are a process for each step.
    fn plugins(&mut self) -> Result<Vec<Box<dyn Lane>>> {
        let mut lanes: Vec<Box<dyn Lane>> = vec![
            Box::new(NetdCni::new(Backend::Nftables)?),
            Box::new(NetdCni::new(Backend::Iptables)?),
        ];
        lanes.extend(self.of_peers(&["netavark", "cni"]));
        Ok(lanes)
    }

    /// The lanes of these peers, as far as they can be set up.
    fn of_peers(&mut self, wanted: &[&str]) -> Vec<Box<dyn Lane>> {
        let mut lanes = Vec::new();
        let Some(peers) = self.peers else {
            return lanes;
        };
        type Made = Result<Box<dyn Lane>>;
        let made: [(&'static str, &dyn Fn() -> Made); 3] = [
            ("docker", &|| {
                let program = peers
                    .dockerd
                    .as_deref()
                    .context("there is no dockerd here")?;
                Ok(Box::new(Docker::new(&peers.engine(program))?))
            }),
            ("netavark", &|| {
                let program = peers
                    .netavark
                    .as_deref()
                    .context("there is no netavark here")?;
                Ok(Box::new(Netavark::new(peers.engine(program))?))
            }),
            ("cni", &|| {
                let folder = peers
                    .cni
                    .as_deref()
                    .context("there are no CNI plugins here")?;
                Ok(Box::new(Cni::new(peers.engine(folder))?))
            }),
        ];
        for (name, make) in made.into_iter().filter(|(name, _)| wanted.contains(name)) {
            match guard(make) {
                Ok(lane) => lanes.push(lane),
                Err(error) if !self.missing.iter().any(|(known, _)| *known == name) => {
                    self.missing.push((name, format!("{error:#}")));
                }
                Err(_) => {}
            }
        }
        lanes
    }
}

/// Tells whoever waits what is done now.
fn say(what: &str) {
    eprintln!("{what}");
}
