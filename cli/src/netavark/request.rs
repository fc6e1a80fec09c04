//! From a call to the daemon's words, and back.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use netd_api::{
    AttachRequest, Attached, ContainerView, IfName, Netns, NewIdentity, PublishRequest, RuntimeId,
    RuntimeKey,
};

use super::failure::Failure;
use super::network::Meant;
use super::wire::{Address, Interface, Place, Request, StatusBlock};
use crate::handover::called;

/// What the daemon knows a place by. Names of networks have a prefix, so that a CNI configuration of the same name, and
/// what its runtime forgets, is another's.
pub(super) fn key(request: &Request, place: &Place) -> Result<RuntimeKey, Failure> {
    let network = format!("podman.{}", place.name).parse();
    Ok(RuntimeKey {
        network: network.map_err(|error| Failure::network(&place.name, format!("{error}")))?,
        container: container(request)?,
        interface: interface(place)?,
    })
}

/// The container's id.
pub(super) fn container(request: &Request) -> Result<RuntimeId, Failure> {
    let id = request.container_id.parse();
    id.map_err(|error| Failure::Decode(format!("container_id: {error}")))
}

fn interface(place: &Place) -> Result<IfName, Failure> {
    let name: Result<IfName, _> = place.interface_name.parse();
    match name {
        Ok(name) if name.as_str() != "lo" => Ok(name),
        Ok(_) => {
            let why = "interface_name: lo is the loopback interface's";
            Err(Failure::network(&place.name, why))
        }
        Err(error) => Err(Failure::network(
            &place.name,
            format!("interface_name: {error}"),
        )),
    }
}

/// A place that is to be made.
#[derive(Debug)]
pub(super) struct Join {
    /// What Podman calls the network.
    pub(super) network: String,
    /// Whether the container asks netd for names there.
    pub(super) has_names: bool,
    /// Nothing goes in or out there, as far as Podman knows.
    pub(super) internal: bool,
    /// The wish; valid as long as the namespace is open.
    pub(super) wish: AttachRequest,
}

/// Reads all of what a container wants on one network.
pub(super) fn join(
    request: &Request,
    place: &Place,
    (meant, netns): (Meant, &File),
) -> Result<Join, Failure> {
    let refused = |why: String| Failure::network(&place.name, why);
    if let Some((key, value)) = place.options.iter().flatten().next() {
        let why = format!("the option {key}={value} of its interface is not known; leave it out");
        return Err(refused(why));
    }
    let mac = place.static_mac.as_deref().filter(|mac| !mac.is_empty());
    let mac = mac
        .map(str::parse)
        .transpose()
        .map_err(|error| refused(format!("static_mac: {error}")))?;
    let wish = AttachRequest {
        key: key(request, place)?,
        netns: Netns {
            pid: std::process::id(),
            fd: u32::try_from(netns.as_raw_fd()).ok(),
        },
        network: meant.wanted,
        container: identity(request)?,
        ips: place.static_ips.clone().unwrap_or_default(),
        mac,
        aliases: aliases(request, place),
        rates: netd_api::Rates::default(),
        ports: Vec::new(),
        routes: meant.routes,
    };
    Ok(Join {
        network: place.name.clone(),
        has_names: meant.has_names,
        internal: meant.internal,
        wish,
    })
}

fn identity(request: &Request) -> Result<NewIdentity, Failure> {
    let (id, by_id) = called(&container(request)?);
    let name = request.container_name.parse().ok();
    let hostname = request.container_hostname.as_ref();
    let mut identity = NewIdentity {
        id,
        name: name.or(by_id),
        hostname: hostname.and_then(|name| name.parse().ok()),
        ..NewIdentity::default()
    };
    identity.dns.servers = request.dns_servers.clone().unwrap_or_default();
    Ok(identity)
}

/// The names that can be asked for; the others, which Podman accepts as well, nobody could.
fn aliases(request: &Request, place: &Place) -> Vec<netd_api::Alias> {
    let mut aliases = Vec::new();
    for name in place.aliases.iter().flatten() {
        match name.parse() {
            // netd has the name and the short id without being told.
            Ok(_) if *name == request.container_name || request.container_id.starts_with(name) => {}
            Ok(alias) if aliases.contains(&alias) => {}
            Ok(alias) => aliases.push(alias),
            Err(error) => super::warn(&format!("network {}: {error}; it is left out", place.name)),
        }
    }
    aliases
}

/// Says which of the places carries the published ports: the one that has them already, or else the first that leads
/// outside. Podman gives all ports with each network that a container comes to.
pub(super) fn carrier(
    joins: &[Join],
    ports: &[PublishRequest],
    known: Option<&ContainerView>,
) -> Option<usize> {
    if ports.is_empty() {
        return None;
    }
    let places = known.map_or(&[][..], |view| &view.networks);
    if let Some(carries) = places.iter().find(|place| !place.ports.is_empty()) {
        let interface = carries.interface.as_ref();
        return joins
            .iter()
            .position(|join| Some(&join.wish.key.interface) == interface);
    }
    joins.iter().position(|join| !join.internal)
}

/// What Podman is told of a place.
pub(super) fn status(join: &Join, attached: &Attached) -> StatusBlock {
    let attachment = &attached.attachment;
    let gateway = |ipv4: bool| {
        let mut gateways = attachment.gateways.iter();
        gateways.find(|gateway| gateway.is_ipv4() == ipv4).copied()
    };
    let subnets = attachment.addresses.iter().map(|address| Address {
        ipnet: *address,
        gateway: gateway(address.is_ipv4()),
    });
    let interface = Interface {
        mac_address: attachment
            .mac
            .map_or_else(String::new, |mac| mac.to_string()),
        subnets: subnets.collect(),
    };
    StatusBlock {
        dns_search_domains: Vec::new(),
        dns_server_ips: match join.has_names {
            true => {
                let servers = attached.nameservers.iter();
                servers
                    .map(|server| resolver(*server, &join.wish.key.interface))
                    .collect()
            }
            // Nobody forwards there, so what the user gave is asked directly.
            false => join.wish.container.dns.servers.clone(),
        },
        interfaces: BTreeMap::from([(join.wish.key.interface.to_string(), interface)]),
    }
}

/// Where the container asks for names as Podman is to write it down for one network. When a container leaves a network,
/// Podman takes the resolver that it was given for that out of resolv.conf; so each interface has one of its own. All
/// 127.x.y.11 lead to netd.
fn resolver(server: IpAddr, interface: &IfName) -> IpAddr {
    let IpAddr::V4(embedded) = server else {
        return server;
    };
    let [first, _, _, last] = embedded.octets();
    let number: Option<u8> = interface
        .as_str()
        .strip_prefix("eth")
        .and_then(|number| number.parse().ok());
    let [x, y] = match number {
        Some(number) => [0, number],
        // A name that the user gave: FNV-1a of 32 bits (RFC 9923), folded; the first number is none that ethN has.
        None => {
            let hash = interface
                .as_str()
                .bytes()
                .fold(0x811c_9dc5_u32, |hash, byte| {
                    (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
                });
            let [a, b, c, d] = hash.to_be_bytes();
            [(a ^ c) | 1, b ^ d]
        }
    };
    IpAddr::from([first, x, y, last])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interface_has_a_resolver_of_its_own() {
        let of = |name: &str| {
            let embedded = IpAddr::from([127, 0, 0, 11]);
            resolver(embedded, &name.parse().unwrap()).to_string()
        };
        assert_eq!(of("eth0"), "127.0.0.11");
        assert_eq!(of("eth12"), "127.0.12.11");
        assert!(of("front").starts_with("127.") && of("front").ends_with(".11"));
        assert_ne!(of("front"), of("back"));
        assert_ne!(of("eth256"), of("eth0"));
    }
}
