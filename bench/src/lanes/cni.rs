//! The lane of the CNI plugins, called one after the other as libcni does: bridge with host-local, portmap, firewall.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use netns_tests::HostOptions;
use serde_json::{Value, json};

use super::callers::together;
use super::{INSIDE, Join, Lane};
use crate::ground::{Entrance, Ground};
use crate::peers::Engine;

/// Version of the specification that all builds of the plugins speak.
const VERSION: &str = "0.4.0";

/// The plugins, called for each step.
#[derive(Debug)]
pub struct Cni {
    ground: Ground,
    plugins: Plugins,
    /// What the plugins said of each container, which they want back.
    results: BTreeMap<usize, Value>,
}

#[derive(Debug)]
struct Plugins {
    entrance: Entrance,
    /// The folder of the plugins.
    engine: Engine,
}

impl Cni {
    /// A laboratory; nothing runs.
    ///
    /// # Errors
    /// When the machine is gone at once.
    pub fn new(engine: Engine) -> Result<Self> {
        let ground = Ground::new(HostOptions::default());
        let plugins = Plugins {
            entrance: ground.entrance()?,
            engine,
        };
        Ok(Self {
            ground,
            plugins,
            results: BTreeMap::new(),
        })
    }
}

impl Plugins {
    /// Calls one plugin.
    fn call(
        &self,
        (command, plugin): (&str, &Value),
        container: usize,
    ) -> Result<(Duration, Value)> {
        let kind = plugin["type"].as_str().context("a plugin without a type")?;
        let program = self.engine.program.join(kind).display().to_string();
        let folder = self.engine.program.display().to_string();
        let (id, netns) = (format!("c{container}"), Ground::netns(container));
        let mut environment = vec![
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", &id),
            ("CNI_NETNS", &netns),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", &folder),
        ];
        environment.extend(self.engine.variables());
        let input = plugin.to_string();
        let (took, said) = self
            .entrance
            .run_with(&[&program], &environment, input.as_bytes())?;
        Ok((took, serde_json::from_slice(&said).unwrap_or(Value::Null)))
    }

    fn add(&self, join: &Join) -> Result<(Duration, Value)> {
        let (mut total, mut result) = (Duration::ZERO, Value::Null);
        for plugin in plugins(join, &Value::Null) {
            let plugin = with_result(plugin, &result);
            let (took, said) = self.call(("ADD", &plugin), join.container)?;
            total += took;
            result = said;
        }
        Ok((total, result))
    }
}

fn with_result(mut plugin: Value, result: &Value) -> Value {
    if !result.is_null() {
        plugin["prevResult"] = result.clone();
    }
    plugin
}

fn plugins(join: &Join, result: &Value) -> Vec<Value> {
    let mappings: Vec<Value> = join
        .ports
        .each()
        .map(|port| json!({ "hostPort": port, "containerPort": INSIDE, "protocol": "tcp" }))
        .collect();
    let common = |kind: &str| json!({ "cniVersion": VERSION, "name": "n0", "type": kind });
    let mut bridge = common("bridge");
    bridge["bridge"] = "cni0".into();
    bridge["isGateway"] = true.into();
    bridge["ipMasq"] = true.into();
    bridge["hairpinMode"] = true.into();
    bridge["ipam"] = json!({
        "type": "host-local", "dataDir": "/run/cni", "ranges": [[{ "subnet": "10.210.0.0/16" }]],
        "routes": [{ "dst": "0.0.0.0/0" }],
    });
    let mut portmap = common("portmap");
    portmap["capabilities"] = json!({ "portMappings": true });
    portmap["runtimeConfig"] = json!({ "portMappings": mappings });
    let firewall = common("firewall");
    [bridge, portmap, firewall]
        .map(|plugin| with_result(plugin, result))
        .into()
}

impl Lane for Cni {
    fn name(&self) -> &str {
        "cni"
    }

    fn ground(&mut self) -> &mut Ground {
        &mut self.ground
    }

    fn create(&mut self, _network: u8) -> Result<Duration> {
        bail!("a network is made with its first container")
    }

    fn remove(&mut self, _network: u8) -> Result<Duration> {
        bail!("a network stays when its last container leaves")
    }

    fn attach(&mut self, join: &Join) -> Result<Duration> {
        let (took, result) = self.plugins.add(join)?;
        self.results.insert(join.container, result);
        Ok(took)
    }

    fn detach(&mut self, join: &Join) -> Result<Duration> {
        let result = self.results.remove(&join.container).unwrap_or(Value::Null);
        let mut total = Duration::ZERO;
        for plugin in plugins(join, &result).iter().rev() {
            total += self.plugins.call(("DEL", plugin), join.container)?.0;
        }
        Ok(total)
    }

    fn attach_all(&mut self, containers: &[usize], callers: usize) -> Result<Duration> {
        let plugins = &self.plugins;
        let work = |(): &mut (), container| plugins.add(&Join::without_ports(container)).map(drop);
        together(containers, callers, || Ok(()), work)
    }

    fn room(&self) -> usize {
        100
    }

    fn port_room(&self) -> u32 {
        100
    }

    fn address(&mut self, container: usize) -> Result<Ipv4Addr> {
        let result = self
            .results
            .get(&container)
            .context("a container that was not added")?;
        let text = result["ips"][0]["address"].as_str().unwrap_or_default();
        Ok(text.split('/').next().unwrap_or_default().parse()?)
    }

    /// Its bridge comes with the first container.
    fn settle(&mut self, links: usize) -> Result<()> {
        self.ground.settle(links + 1)
    }
}
