//! The lane of the Docker engine, through its interface on a kept connection.
//!
//! The engine runs on the machine's own tmpfs, in its own namespaces, from an image that has busybox and nothing else.
//! It connects containers that run; those are used again, since starting one takes it a third of a second. Ports it
//! publishes at the start of a container only: with ports, an attach is a start, and a detach is a forced removal.

mod http;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use netns_tests::dockerd::{
    ControlGroups, ENGINE_LOG, ENGINE_SOCKET, READY_PATIENCE, launch, prepare,
};
use netns_tests::{Background, HostOptions, within};
use serde_json::{Value, json};

use super::callers::together;
use super::netd::network_name;
use super::{HOME, INSIDE, Join, Lane};
use crate::ground::Ground;
use crate::peers::Engine;
use http::Connection;

/// A Docker engine.
#[derive(Debug)]
pub struct Docker {
    name: String,
    ground: Ground,
    connection: Connection,
    daemon: Background,
    /// Running containers that are on no network but the engine's default one.
    free: Vec<String>,
    /// Those that were given, by the number of who asked.
    given: BTreeMap<usize, String>,
    started: usize,
    /// The last field, so that it is dropped last.
    _groups: ControlGroups,
}

impl Docker {
    /// A laboratory with a running engine, an image and a network.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub fn new(engine: &Engine) -> Result<Self> {
        let groups = ControlGroups::new("netd-bench");
        let ground = Ground::new(HostOptions::default());
        let host = &ground.lab.h1;
        prepare(host, "/run/lab/image.tar");
        let program = engine.program.display().to_string();
        let environment = engine.variables();
        let mut daemon = launch(host, (&program, &environment), &groups);
        let path = host.path(ENGINE_SOCKET);
        let start = Instant::now();
        let connection = loop {
            let tried = Connection::open(&path).and_then(|mut connection| {
                connection.json("GET", "/version", None)?;
                Ok(connection)
            });
            match tried {
                Ok(connection) => break connection,
                Err(error) => ensure!(
                    daemon.is_running() && start.elapsed() < READY_PATIENCE,
                    "the engine does not answer: {error:#}; {}",
                    last_lines(&host.read(ENGINE_LOG))
                ),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut lane = Self {
            name: "docker".to_owned(),
            ground,
            connection,
            daemon,
            free: Vec::new(),
            given: BTreeMap::new(),
            started: 0,
            _groups: groups,
        };
        let image = std::fs::read(lane.ground.lab.h1.path("/run/lab/image.tar"))?;
        let path = "/v1.41/images/create?fromSrc=-&repo=tiny";
        lane.connection
            .send(("POST", path), "application/x-tar", &image)?;
        lane.create(HOME)?;
        Ok(lane)
    }

    /// Id of the engine's process inside the machine.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.daemon.pid
    }

    /// What the engine calls a container that it has connected.
    ///
    /// # Errors
    /// When it has not.
    pub fn container_name(&self, container: usize) -> Result<String> {
        let name = self.given.get(&container);
        name.cloned().context("a container that was not given")
    }

    fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        self.connection.json(method, &format!("/v1.41{path}"), body)
    }

    /// Makes a container of the image; `more` goes into the request.
    fn make(&mut self, more: Value) -> Result<String> {
        let name = format!("d{}", self.started);
        self.started += 1;
        let mut body = json!({ "Image": "tiny", "Cmd": ["/bin/busybox", "sleep", "1000000"] });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        self.ask(
            "POST",
            &format!("/containers/create?name={name}"),
            Some(&body),
        )?;
        Ok(name)
    }

    /// A running container on no network but the default one.
    fn give(&mut self, container: usize) -> Result<String> {
        let name = match self.free.pop() {
            Some(name) => name,
            None => {
                let name = self.make(Value::Null)?;
                self.ask("POST", &format!("/containers/{name}/start"), None)?;
                name
            }
        };
        self.given.insert(container, name.clone());
        Ok(name)
    }

    fn start_with_ports(&mut self, join: &Join) -> Result<Duration> {
        let inside = format!("{INSIDE}/tcp");
        let bindings: Vec<Value> = join
            .ports
            .each()
            .map(|port| json!({ "HostPort": port.to_string() }))
            .collect();
        let name = self.make(json!({
            "ExposedPorts": { &inside: {} },
            "HostConfig": { "NetworkMode": network_name(HOME), "PortBindings": { &inside: bindings } },
        }))?;
        self.given.insert(join.container, name.clone());
        let start = Instant::now();
        self.ask("POST", &format!("/containers/{name}/start"), None)?;
        Ok(start.elapsed())
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

fn connect(connection: &mut Connection, name: &str) -> Result<Duration> {
    let path = format!("/v1.41/networks/{}/connect", network_name(HOME));
    let body = json!({ "Container": name });
    let start = Instant::now();
    connection.json("POST", &path, Some(&body))?;
    Ok(start.elapsed())
}

impl Lane for Docker {
    fn name(&self) -> &str {
        &self.name
    }

    fn ground(&mut self) -> &mut Ground {
        &mut self.ground
    }

    fn create(&mut self, network: u8) -> Result<Duration> {
        let body = json!({ "Name": network_name(network) });
        let start = Instant::now();
        self.ask("POST", "/networks/create", Some(&body))?;
        Ok(start.elapsed())
    }

    fn remove(&mut self, network: u8) -> Result<Duration> {
        let path = format!("/networks/{}", network_name(network));
        let start = Instant::now();
        self.ask("DELETE", &path, None)?;
        Ok(start.elapsed())
    }

    fn attach(&mut self, join: &Join) -> Result<Duration> {
        if join.ports.count > 0 {
            return self.start_with_ports(join);
        }
        let name = self.give(join.container)?;
        connect(&mut self.connection, &name)
    }

    fn detach(&mut self, join: &Join) -> Result<Duration> {
        let name = self
            .given
            .remove(&join.container)
            .context("a container that was not given")?;
        if join.ports.count > 0 {
            let start = Instant::now();
            self.ask("DELETE", &format!("/containers/{name}?force=1"), None)?;
            return Ok(start.elapsed());
        }
        let path = format!("/networks/{}/disconnect", network_name(HOME));
        let start = Instant::now();
        self.ask("POST", &path, Some(&json!({ "Container": name })))?;
        let took = start.elapsed();
        self.free.push(name);
        Ok(took)
    }

    fn attach_all(&mut self, containers: &[usize], callers: usize) -> Result<Duration> {
        // All at once, so that none is given twice.
        let names: BTreeMap<usize, String> = containers
            .iter()
            .map(|container| Ok((*container, self.give(*container)?)))
            .collect::<Result<_>>()?;
        let path = self.ground.lab.h1.path(ENGINE_SOCKET);
        together(
            containers,
            callers,
            || Connection::open(&path),
            |connection, container| {
                let name = names
                    .get(&container)
                    .ok_or_else(|| anyhow!("no container"))?;
                connect(connection, name).map(drop)
            },
        )
    }

    fn netns(&mut self, container: usize) -> Result<String> {
        let name = self.container_name(container)?;
        let view = self.ask("GET", &format!("/containers/{name}/json"), None)?;
        let pid = view["State"]["Pid"].as_u64().filter(|pid| *pid > 0);
        Ok(format!(
            "/proc/{}/ns/net",
            pid.context("a container without a process")?
        ))
    }

    fn room(&self) -> usize {
        50
    }

    fn port_room(&self) -> u32 {
        100
    }

    fn address(&mut self, container: usize) -> Result<Ipv4Addr> {
        let name = self.container_name(container)?;
        let view = self.ask("GET", &format!("/containers/{name}/json"), None)?;
        let place = &view["NetworkSettings"]["Networks"][network_name(HOME)]["IPAddress"];
        Ok(place.as_str().unwrap_or_default().parse()?)
    }

    /// Starts and ends of containers make links of their own, so their number is none to wait for: what counts is that
    /// it stays the same for a moment.
    fn settle(&mut self, _links: usize) -> Result<()> {
        let mut before = (self.ground.links(), Instant::now());
        within(Duration::from_secs(30), "links that stay", || {
            let now = self.ground.links();
            if now != before.0 {
                before = (now, Instant::now());
            }
            (before.1.elapsed() > Duration::from_millis(60)).then_some(())
        });
        Ok(())
    }
}
