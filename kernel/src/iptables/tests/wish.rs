//! Rule sets written in one line each.

use std::net::{IpAddr, Ipv6Addr};

use netd_model::ruleset::{EndpointRules, HostRules, NetworkRules, PeerRules};
use netd_model::{
    EndpointId, IfName, NetworkId, NetworkPair, PortRange, PublishedPort, Ruleset, Subnet,
};

/// A network of this rank, with icc and masquerading, open to the world.
pub(crate) fn network(rank: u8, bridge: &str, subnet: &str) -> (NetworkId, NetworkRules) {
    let rules = NetworkRules {
        rank: u64::from(rank),
        bridge: IfName::new(bridge).unwrap(),
        subnets: vec![subnet.parse().unwrap()],
        masquerade: true,
        icc: true,
        internal: false,
        reach: Default::default(),
    };
    (NetworkId::from_bytes([rank; 32]), rules)
}

/// The same, closed.
pub(crate) fn internal(rank: u8, bridge: &str, subnet: &str) -> (NetworkId, NetworkRules) {
    let (id, rules) = network(rank, bridge, subnet);
    let rules = NetworkRules {
        internal: true,
        masquerade: false,
        ..rules
    };
    (id, rules)
}

/// The same, its containers kept from each other.
pub(crate) fn without_icc(rank: u8, bridge: &str, subnet: &str) -> (NetworkId, NetworkRules) {
    let (id, rules) = network(rank, bridge, subnet);
    (
        id,
        NetworkRules {
            icc: false,
            ..rules
        },
    )
}

/// An endpoint of this rank on the network of that rank, publishing `HOST_IP:FIRST-LAST->PORT/PROTOCOL`.
pub(crate) fn endpoint(
    rank: u8,
    of: u8,
    address: &str,
    ports: &[&str],
) -> (EndpointId, EndpointRules) {
    let rules = EndpointRules {
        rank: u64::from(rank),
        network: NetworkId::from_bytes([of; 32]),
        addresses: vec![address.parse().unwrap()],
        ports: ports.iter().map(|text| port(text)).collect(),
        opened: Vec::new(),
    };
    (EndpointId::from_bytes([rank; 32]), rules)
}

/// Reads `127.0.0.1:8080-8081->80-81/tcp,from=10.0.0.0/8`.
pub(crate) fn port(text: &str) -> PublishedPort {
    let mut parts = text.split(",from=");
    let (host, container) = parts.next().unwrap().split_once("->").unwrap();
    let (host_ip, host_ports) = host.rsplit_once(':').unwrap();
    let (container_ports, protocol) = container.split_once('/').unwrap();
    let range = |text: &str| text.parse::<PortRange>().unwrap();
    PublishedPort {
        protocol: protocol.parse().unwrap(),
        host_ip: host_ip.trim_matches(['[', ']']).parse().unwrap(),
        host_ports: range(host_ports),
        container_ports: range(container_ports),
        from: parts.map(|subnet| subnet.parse().unwrap()).collect(),
    }
}

/// All of these, with or without policy DROP on forwarding.
pub(crate) fn wish(
    networks: &[(NetworkId, NetworkRules)],
    endpoints: &[(EndpointId, EndpointRules)],
    drop_forwarded: bool,
) -> Ruleset {
    Ruleset {
        host: HostRules {
            drop_forwarded,
            drop_forwarded_v6: false,
        },
        networks: networks.iter().cloned().collect(),
        endpoints: endpoints.iter().cloned().collect(),
        ..Ruleset::default()
    }
}

/// The networks of these ranks may talk.
pub(crate) fn allowing(wanted: Ruleset, pairs: &[(u8, u8)]) -> Ruleset {
    let id = |rank| NetworkId::from_bytes([rank; 32]);
    let pairs = pairs.iter();
    Ruleset {
        allowed: pairs
            .filter_map(|(one, other)| NetworkPair::new(id(*one), id(*other)))
            .collect(),
        ..wanted
    }
}

/// A route to `subnet` by `gateway` on `device`; for the networks of these ranks, or for all if there are none.
pub(crate) fn routing(
    wanted: Ruleset,
    (subnet, gateway, device): (&str, &str, &str),
    (networks, masquerade): (&[u8], bool),
) -> Ruleset {
    let ids = networks
        .iter()
        .map(|rank| NetworkId::from_bytes([*rank; 32]));
    let peer = PeerRules {
        gateway: gateway.parse().unwrap(),
        device: IfName::new(device).unwrap(),
        networks: (!networks.is_empty()).then(|| ids.collect()),
        masquerade,
    };
    let mut wanted = wanted;
    wanted.peers.insert(subnet.parse().unwrap(), peer);
    wanted
}

/// One network of each kind, with ports of every sort, and some that may talk.
pub(crate) fn everything() -> Ruleset {
    let keeps_addresses = |(id, rules): (NetworkId, NetworkRules)| {
        (
            id,
            NetworkRules {
                masquerade: false,
                ..rules
            },
        )
    };
    let wanted = wish(
        &[
            network(1, "docker0", "172.17.0.0/16"),
            internal(2, "br-internal", "172.30.0.0/16"),
            without_icc(3, "br-noicc", "172.31.0.0/16"),
            keeps_addresses(network(4, "br-routed", "10.9.0.0/24")),
        ],
        &[
            endpoint(
                1,
                1,
                "172.17.0.2",
                &["0.0.0.0:8080->80/tcp", "127.0.0.1:8081->80/tcp"],
            ),
            endpoint(2, 2, "172.30.0.2", &["0.0.0.0:8082->80/tcp"]),
            endpoint(3, 3, "172.31.0.2", &["192.0.2.1:5000-5002->6000-6002/udp"]),
            endpoint(
                4,
                4,
                "10.9.0.2",
                &["0.0.0.0:9000->9/sctp", ":::9001->9/tcp"],
            ),
        ],
        true,
    );
    // An internal network stays closed, and of the ninth nothing is known.
    let wanted = allowing(wanted, &[(1, 3), (1, 4), (1, 2), (1, 9)]);
    // One peer for all, and one that masquerades for some, of which one is internal and one unknown.
    let near = ("192.168.200.0/24", "198.51.100.2", "eth0");
    let far = ("192.168.201.0/24", "198.51.100.2", "eth0");
    let wanted = routing(wanted, near, (&[], false));
    routing(wanted, far, (&[3, 2, 9], true))
}

/// The same in IPv6 besides: a twin of each subnet, address and port.
pub(crate) fn dual(mut wanted: Ruleset) -> Ruleset {
    wanted.host.drop_forwarded_v6 = wanted.host.drop_forwarded;
    for network in wanted.networks.values_mut() {
        let twins: Vec<_> = network.subnets.iter().map(twin_of_subnet).collect();
        network.subnets.extend(twins);
    }
    for endpoint in wanted.endpoints.values_mut() {
        let twins: Vec<_> = endpoint.addresses.iter().copied().map(twin).collect();
        endpoint.addresses.extend(twins);
        let with_twin = |port: PublishedPort| {
            let other = PublishedPort {
                host_ip: twin(port.host_ip),
                from: port.from.iter().map(twin_of_source).collect(),
                ..port.clone()
            };
            [port, other]
        };
        let mut ports: Vec<_> = endpoint.ports.drain(..).flat_map(with_twin).collect();
        ports.dedup();
        endpoint.ports = ports;
    }
    wanted
}

/// The IPv6 address that stands for an IPv4 one: fd00:1::11 for 10.1.0.11, 2001:db8::1 for 192.0.2.1.
pub(crate) fn twin(address: IpAddr) -> IpAddr {
    let IpAddr::V4(v4) = address else {
        return address;
    };
    if v4.is_unspecified() {
        return Ipv6Addr::UNSPECIFIED.into();
    }
    if v4.is_loopback() {
        return Ipv6Addr::LOCALHOST.into();
    }
    let [first, second, _, last] = v4.octets();
    let twin = match first {
        192 => format!("2001:db8::{last}"),
        _ => format!("fd00:{second}::{last}"),
    };
    twin.parse().unwrap()
}

/// The IPv6 addresses that stand for some IPv4 ones.
fn twin_of_source(source: &Subnet) -> Subnet {
    match source.prefix() {
        0 => "::/0".parse().unwrap(),
        32 => format!("{}/128", twin(source.first())).parse().unwrap(),
        _ => twin_of_subnet(source),
    }
}

/// fd00:1::/64 for 10.1.0.0/24.
pub(crate) fn twin_of_subnet(subnet: &Subnet) -> Subnet {
    let IpAddr::V4(first) = subnet.first() else {
        return *subnet;
    };
    format!("fd00:{}::/64", first.octets()[1]).parse().unwrap()
}
