//! One run from the beginning to the end.

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
use crate::measure::Measure;
use crate::measures::{beside, crowd, daemon, flows, names, parallel, ports, steps};
use crate::options::Options;
use crate::peers::Peers;
use crate::results::Results;

/// What takes part, made anew for each group of measurements: what one leaves behind shall not weigh on the next.
struct Field<'a> {
    peers: Option<&'a Peers>,
    /// Why a peer does not take part, by its name.
    missing: Vec<(&'static str, String)>,
}

/// Measures everything.
///
/// # Errors
/// When not even bare netlink and netd can be set up, or the peers that were asked for cannot be fetched.
pub fn run(options: &Options) -> Result<(Facts, Results)> {
    let effort = options.effort();
    let found = Peers::find(options)?;
    let mut facts = Facts::look();
    let mut results = Results::default();
    let mut field = Field {
        peers: options.with_peers().then_some(&found),
        missing: Vec::new(),
    };
    if options.with_peers() {
        facts.versions.extend(found.versions());
    }
    say("attach, detach, create, remove, ports");
    let mut lanes = field.lanes()?;
    let own = lanes.len().min(OWN);
    lanes.insert(own, Box::new(Cli::new()?));
    steps::run(&mut lanes, &effort, &mut results);
    ports::run(&mut lanes, &effort, &mut results);
    lanes.remove(own);
    say("several callers, many containers");
    parallel::run(&mut lanes, &effort, &mut results);
    drop(lanes);
    let mut lanes = field.lanes()?;
    crowd::run(&mut lanes, &effort, &mut results);
    drop(lanes);
    say("connections");
    let mut lanes = field.lanes()?;
    flows::run(&mut lanes, &effort, &mut results);
    drop(lanes);
    let mut lanes = field.lanes()?;
    beside::run(&mut lanes, &effort, &mut results);
    drop(lanes);
    say("names");
    names::run((&found, field.peers), &effort, &mut results);
    say("the daemon");
    daemon::run(&effort, &mut results);
    for (name, why) in &field.missing {
        results.absent((Measure::Attach, 1), name, why);
    }
    Ok((facts, results))
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
        let Some(peers) = self.peers else {
            return Ok(lanes);
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
        for (name, make) in made {
            match guard(make) {
                Ok(lane) => lanes.push(lane),
                Err(error) if !self.missing.iter().any(|(known, _)| *known == name) => {
                    self.missing.push((name, format!("{error:#}")));
                }
                Err(_) => {}
            }
        }
        Ok(lanes)
    }
}

/// Tells whoever waits what is done now.
fn say(what: &str) {
    eprintln!("measuring: {what}");
}
