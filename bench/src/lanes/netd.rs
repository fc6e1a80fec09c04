//! The lane of netd through its interface, on a connection that is kept, as a runtime would use it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use netd_api::{
    Client, ConnectRequest, ContainerRequest, DisconnectRequest, Netns, NetworkRequest,
};
use netns_tests::HostOptions;
use netns_tests::host::SOCKET;

use super::callers::together;
use super::{HOME, INSIDE, Join, Lane};
use crate::ground::Ground;

/// A firewall backend of netd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `"firewall-backend": "nftables"`.
    Nftables,
    /// `"firewall-backend": "iptables"`.
    Iptables,
}

impl Backend {
    /// Its name in netd's configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }
}

/// netd with one firewall backend.
#[derive(Debug)]
pub struct Netd {
    name: String,
    ground: Ground,
    client: Client,
}

impl Netd {
    /// A laboratory with a running netd and a network.
    ///
    /// # Errors
    /// When the network cannot be made, or netd has another firewall than it was told.
    pub fn new(backend: Backend) -> Result<Self> {
        Self::with_flags(backend, &[])
    }

    /// The same with further flags for the daemon.
    ///
    /// # Errors
    /// As [`Netd::new`].
    pub fn with_flags(backend: Backend, flags: &[&str]) -> Result<Self> {
        let word = backend.name();
        let ground = Ground::new(HostOptions {
            config: format!(r#"{{"firewall-backend": "{word}"}}"#),
            flags: flags.iter().copied().map(str::to_owned).collect(),
        });
        ground.lab.h1.start();
        let client = Client::new(&ground.lab.h1.path(SOCKET));
        let firewall = client.status()?.firewall;
        ensure!(
            firewall.contains(word) || (word == "nftables" && firewall.contains("nf_tables")),
            "netd was told to use {word} and says {firewall:?}; is NETNS_FIREWALL set?"
        );
        let mut lane = Self {
            name: format!("netd-{word}"),
            ground,
            client,
        };
        lane.create(HOME)?;
        Ok(lane)
    }

    /// The kept connection.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Makes a container known that is on no network yet.
    ///
    /// # Errors
    /// When netd refuses.
    pub fn register(&self, container: usize) -> Result<()> {
        let request = ContainerRequest {
            network: Some("none".to_owned()),
            ..self.request(container)?
        };
        self.client.register(&request)?;
        // `none` wants a container for itself.
        let request = DisconnectRequest {
            interface: None,
            container: container_name(container),
            force: false,
        };
        Ok(self.client.disconnect("none", &request)?)
    }

    /// A container of this lane, handed over by its process.
    ///
    /// # Errors
    /// When its name is none, which cannot be.
    pub fn request(&self, container: usize) -> Result<ContainerRequest> {
        Ok(ContainerRequest {
            name: Some(container_name(container).parse()?),
            netns: Some(Netns {
                pid: self.ground.pid(container),
                fd: None,
            }),
            network: Some(network_name(HOME)),
            ..ContainerRequest::default()
        })
    }
}

impl Lane for Netd {
    fn name(&self) -> &str {
        &self.name
    }

    fn ground(&mut self) -> &mut Ground {
        &mut self.ground
    }

    fn create(&mut self, network: u8) -> Result<Duration> {
        let request = network_request(network)?;
        let start = Instant::now();
        self.client
            .create_network(&request)
            .context("create a network")?;
        Ok(start.elapsed())
    }

    fn remove(&mut self, network: u8) -> Result<Duration> {
        let start = Instant::now();
        self.client
            .remove_network(&network_name(network))
            .context("remove a network")?;
        Ok(start.elapsed())
    }

    fn attach(&mut self, join: &Join) -> Result<Duration> {
        self.register(join.container)?;
        connect(&self.client, join)
    }

    fn detach(&mut self, join: &Join) -> Result<Duration> {
        let name = container_name(join.container);
        let request = DisconnectRequest {
            interface: None,
            container: name.clone(),
            force: false,
        };
        let start = Instant::now();
        self.client.disconnect(&network_name(HOME), &request)?;
        let took = start.elapsed();
        self.client.forget(&name)?;
        Ok(took)
    }

    fn attach_all(&mut self, containers: &[usize], callers: usize) -> Result<Duration> {
        for container in containers {
            self.register(*container)?;
        }
        let socket = self.client.socket().to_owned();
        let prepare = || {
            let client = Client::new(&socket);
            client.version()?;
            Ok(client)
        };
        together(containers, callers, prepare, |client, container| {
            connect(client, &Join::without_ports(container)).map(drop)
        })
    }

    fn address(&mut self, container: usize) -> Result<Ipv4Addr> {
        let view = self.client.container(&container_name(container))?;
        let addresses = view.networks.iter().flat_map(|place| &place.addresses);
        let found = addresses
            .map(|address| address.ip())
            .find_map(|ip| match ip {
                IpAddr::V4(v4) => Some(v4),
                IpAddr::V6(_) => None,
            });
        found.with_context(|| format!("container {container} has no address"))
    }
}

fn connect(client: &Client, join: &Join) -> Result<Duration> {
    let ports = join
        .ports
        .each()
        .map(|port| format!("{port}:{INSIDE}").parse());
    let request = ConnectRequest {
        container: Some(container_name(join.container)),
        ports: ports.collect::<Result<_, _>>()?,
        ..ConnectRequest::default()
    };
    let start = Instant::now();
    client.connect(&network_name(HOME), &request)?;
    Ok(start.elapsed())
}

/// What a network is called.
pub(crate) fn network_name(network: u8) -> String {
    format!("n{network}")
}

/// What a container is called.
pub(crate) fn container_name(container: usize) -> String {
    format!("c{container}")
}

fn network_request(network: u8) -> Result<NetworkRequest> {
    let body = serde_json::json!({ "name": network_name(network) });
    serde_json::from_value(body).context("make a request")
}
