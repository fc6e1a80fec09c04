//! From what netd knows to what the resolver answers: zones of networks, views of sandboxes.
//!
//! Called inside ledger turns, so that the resolver's snapshots follow each other as the changes did.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netd_dns::{
    Directory, Forwarding, HostEntry, NetworkZone, Resolver, ResolverOptions, Upstreams, View,
};
use netd_kernel::ResolverSockets;
use netd_model::container::DnsSettings;
use netd_model::{Container, ContainerId, Endpoint, NetnsId, NetworkId, Phase, Sandbox};

use super::EngineError;
use crate::state::State;

/// Port that resolvers listen on (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

/// Where containers ask the embedded resolver, as in Docker.
pub(super) const RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// The embedded resolver with what it needs to know.
#[derive(Debug)]
pub(super) struct Names {
    directory: Arc<Directory>,
    resolver: Resolver,
    defaults: DnsSettings,
    /// Networks whose names are answered at their gateways, too.
    gateways: Mutex<BTreeSet<NetworkId>>,
    /// Held by whoever makes those what the state says, from the look at the state on.
    gateways_turn: tokio::sync::Mutex<()>,
}

impl Names {
    /// A resolver without names, which asks the upstreams from the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`EngineError::Names`] when its thread cannot be started.
    pub(super) fn new(defaults: DnsSettings, resolv_conf: PathBuf) -> Result<Self, EngineError> {
        let directory = Arc::new(Directory::default());
        let options = ResolverOptions {
            resolv_conf,
            ..ResolverOptions::default()
        };
        let resolver = Resolver::on_own_thread(Arc::clone(&directory), options)
            .map_err(|error| EngineError::Names(format!("no thread for the resolver: {error}")))?;
        Ok(Self {
            directory,
            resolver,
            defaults,
            gateways: Mutex::default(),
            gateways_turn: tokio::sync::Mutex::default(),
        })
    }

    /// Makes the names of a network what `state` says.
    pub(super) fn publish_network(&self, state: &State, id: NetworkId) {
        let network = state.network(id).filter(|network| has_names(network));
        let Some(network) = network else {
            self.directory.remove_network(id);
            return;
        };
        let endpoints = state.endpoints_on(id).into_iter();
        let zone = NetworkZone {
            name: network.name.clone(),
            entries: endpoints
                .filter_map(|endpoint| entry(state, &endpoint))
                .collect(),
        };
        self.directory.put_network(id, &zone);
    }

    /// Makes the names of one endpoint on its network what `state` says: the cost does not grow with the network.
    pub(super) fn publish_endpoint(&self, state: &State, endpoint: &Endpoint) {
        let network = endpoint.network;
        if !state.network(network).is_some_and(|known| has_names(known)) {
            return;
        }
        let present = state.endpoint(endpoint.id);
        match present.and_then(|present| entry(state, present)) {
            Some(entry) if self.directory.put_host(network, &entry) => {}
            Some(_) => self.publish_network(state, network),
            None => self.directory.remove_host(network, endpoint.id),
        }
    }

    /// Makes what a container's sandbox sees what `state` says, if its names are served.
    pub(super) fn publish_view(&self, state: &State, container: ContainerId) {
        let Some(container) = state.container(container) else {
            return;
        };
        if let Some(sandbox) = &container.sandbox {
            // Not served is no error: the default bridge has no names, and an ended sandbox none any more.
            let _ = self
                .resolver
                .set_view(sandbox.netns, self.view(state, container));
        }
    }

    fn view(&self, state: &State, container: &Container) -> View {
        let endpoints = state.endpoints_of(container.id);
        let networks: Vec<_> = endpoints
            .iter()
            .filter(|endpoint| endpoint.phase != Phase::Detaching)
            .filter_map(|endpoint| state.network(endpoint.network))
            .collect();
        let sealed = !networks.is_empty() && networks.iter().all(|network| network.policy.internal);
        let of_networks = servers_of(&networks);
        let servers = [
            container.dns.servers.as_slice(),
            &of_networks,
            &self.defaults.servers,
        ];
        let servers = servers.into_iter().find(|servers| !servers.is_empty());
        let servers = servers.unwrap_or_default();
        let forwarding = match sealed {
            true => Forwarding::Refuse,
            false => forwarding_to(servers),
        };
        let networks = networks
            .iter()
            .filter(|network| has_names(network))
            .map(|network| network.id)
            .collect();
        View {
            networks,
            forwarding,
        }
    }

    /// Serves names on sockets inside a sandbox.
    ///
    /// # Errors
    /// [`EngineError::Names`] when the sockets cannot be used.
    pub(super) fn serve(
        &self,
        state: &State,
        container: &Container,
        sockets: ResolverSockets,
    ) -> Result<(), EngineError> {
        let Some(sandbox) = &container.sandbox else {
            return Ok(());
        };
        let view = self.view(state, container);
        self.resolver
            .serve(sandbox.netns, sockets.udp, sockets.tcp, view)
            .map_err(|error| EngineError::Names(error.to_string()))
    }

    /// True if names are served in the sandbox.
    #[must_use]
    pub(super) fn serves(&self, netns: NetnsId) -> bool {
        self.resolver.serves(netns)
    }

    /// Closes the sockets inside a sandbox, which hold it as long as they are open.
    pub(super) async fn stop(&self, netns: NetnsId) {
        self.resolver.stop(netns).await;
    }

    /// Answers names of a network on sockets at its gateway.
    ///
    /// # Errors
    /// [`EngineError::Names`] when the sockets cannot be used.
    pub(super) fn serve_gateway(
        &self,
        state: &State,
        id: NetworkId,
        sockets: ResolverSockets,
    ) -> Result<(), EngineError> {
        let Some(network) = state.network(id) else {
            return Ok(());
        };
        let servers = match network.dns_servers.is_empty() {
            true => &self.defaults.servers,
            false => &network.dns_servers,
        };
        let view = View {
            networks: vec![id],
            forwarding: match network.policy.internal {
                true => Forwarding::Refuse,
                false => forwarding_to(servers),
            },
        };
        self.resolver
            .serve(gateway_key(id), sockets.udp, sockets.tcp, view)
            .map_err(|error| EngineError::Names(error.to_string()))?;
        self.gateways().insert(id);
        Ok(())
    }

    /// True if names are answered at the gateway of a network.
    pub(super) fn serves_gateway(&self, network: NetworkId) -> bool {
        self.resolver.serves(gateway_key(network))
    }

    /// Waits until nobody else opens or closes sockets at gateways.
    pub(super) async fn gateways_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.gateways_turn.lock().await
    }

    /// Stops to answer names at all gateways but those of `wanted`.
    pub(super) async fn keep_gateways(&self, wanted: &BTreeSet<NetworkId>) {
        let surplus: Vec<NetworkId> = self.gateways().difference(wanted).copied().collect();
        for network in surplus {
            self.resolver.stop(gateway_key(network)).await;
            self.gateways().remove(&network);
        }
    }

    fn gateways(&self) -> MutexGuard<'_, BTreeSet<NetworkId>> {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counters for people.
    #[must_use]
    pub(super) fn stats(&self) -> netd_dns::Stats {
        self.resolver.stats()
    }
}

fn forwarding_to(servers: &[IpAddr]) -> Forwarding {
    if servers.is_empty() {
        return Forwarding::To(Upstreams::Host);
    }
    let servers = servers
        .iter()
        .map(|server| SocketAddr::new(*server, DNS_PORT));
    Forwarding::To(Upstreams::Listed(servers.collect()))
}

/// What stands for the gateway of a network among sandboxes: no namespace is on the device 0.
fn gateway_key(network: NetworkId) -> NetnsId {
    let bytes = network.as_bytes().iter().take(8);
    NetnsId {
        dev: 0,
        inode: bytes.fold(0, |number, byte| (number << 8) | u64::from(*byte)),
    }
}

/// What an endpoint is called, if it was acknowledged and is not on its way out.
fn entry(state: &State, endpoint: &Endpoint) -> Option<HostEntry> {
    let attached = endpoint.phase == Phase::Attached;
    let container = state.container(endpoint.container).filter(|_| attached)?;
    let mut names = vec![container.name.to_string(), container.id.short()];
    if container.hostname.as_str() != container.name.as_str() {
        names.push(container.hostname.to_string());
    }
    names.extend(endpoint.aliases.iter().map(ToString::to_string));
    Some(HostEntry {
        endpoint: endpoint.id,
        container: container.id,
        names,
        addresses: endpoint.leases.iter().map(|lease| lease.address).collect(),
    })
}

/// The resolvers that networks name, those of one after those of the other. What is asked leaves from the host, so those of
/// an internal network, which nothing leaves, do not count.
fn servers_of(networks: &[&Arc<netd_model::Network>]) -> Vec<IpAddr> {
    let open = networks.iter().filter(|network| !network.policy.internal);
    let mut servers = Vec::new();
    for server in open.flat_map(|network| &network.dns_servers) {
        if !servers.contains(server) {
            servers.push(*server);
        }
    }
    servers
}

/// The sandbox of a container that is on a network with names.
pub(super) fn wants_names<'a>(state: &State, container: &'a Container) -> Option<&'a Sandbox> {
    let endpoints = state.endpoints_of(container.id);
    let mut live = endpoints
        .iter()
        .filter(|endpoint| endpoint.phase != Phase::Detaching);
    let named = live.any(|endpoint| {
        let network = state.network(endpoint.network);
        network.is_some_and(|network| has_names(network))
    });
    container.sandbox.as_ref().filter(|_| named)
}

/// True for networks whose containers find each other by name: all bridge networks but the default one, as in Docker.
#[must_use]
pub(super) fn has_names(network: &netd_model::Network) -> bool {
    network.bridge().is_some_and(|spec| !spec.is_default)
}
