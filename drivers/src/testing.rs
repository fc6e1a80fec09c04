//! Records that the tests of several modules are made with.

use std::collections::BTreeMap;

use jiff::Timestamp;
use netd_model::container::{Anchor, Interface, Phase};
use netd_model::desired::NetnsId;
use netd_model::network::BridgeSpec;
use netd_model::{
    ContainerId, DriverSpec, Endpoint, EndpointId, InstanceId, Lease, Mac, Network, NetworkId,
    Policy, PoolSpec, Sandbox, Subnet,
};

use crate::options::{BridgeDefaults, parse_bridge_options};

pub(crate) const INSTANCE: InstanceId = InstanceId::from_bytes([0x1d; 32]);

pub(crate) const NETNS: NetnsId = NetnsId {
    dev: 4,
    inode: 4_026_532_000,
};

pub(crate) fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

/// The pool of a subnet with its first address as gateway.
pub(crate) fn pool(text: &str) -> PoolSpec {
    PoolSpec {
        subnet: subnet(text),
        range: None,
        gateway: subnet(text).nth(1).unwrap(),
        gateway_given: false,
        aux: BTreeMap::new(),
        subnet_given: true,
    }
}

/// A user's bridge network with Docker's defaults; `number` fills its id.
pub(crate) fn network(name: &str, number: u8, subnets: &[&str]) -> Network {
    let id = NetworkId::from_bytes([number; 32]);
    let options = parse_bridge_options(&BTreeMap::new(), BridgeDefaults::default()).unwrap();
    Network {
        id,
        name: name.parse().unwrap(),
        created: Timestamp::UNIX_EPOCH,
        rank: u64::from(number),
        driver: DriverSpec::Bridge(options.into_spec(id).unwrap()),
        pools: subnets.iter().map(|text| pool(text)).collect(),
        policy: Policy::default(),
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
        attachable: false,
        dns_servers: Vec::new(),
        config_from: None,
        phase: Phase::Attached,
        before: None,
    }
}

pub(crate) fn spec(network: &mut Network) -> &mut BridgeSpec {
    match &mut network.driver {
        DriverSpec::Bridge(spec) => spec,
        DriverSpec::Host | DriverSpec::Null | DriverSpec::Template(_) => {
            panic!("not a bridge network")
        }
    }
}

/// An endpoint with address number 2 of each pool; `number` fills its id and names its interfaces.
pub(crate) fn endpoint(network: &Network, number: u8) -> Endpoint {
    let lease = |pool: &PoolSpec| Lease {
        pool: pool.subnet,
        address: pool.subnet.nth(2).unwrap(),
        requested: false,
    };
    Endpoint {
        id: EndpointId::from_bytes([number; 32]),
        network: network.id,
        container: ContainerId::from_bytes([0xc0; 32]),
        rank: u64::from(number),
        interface: Some(Interface {
            inside: format!("eth{number}").parse().unwrap(),
            outside: format!("veth{number}").parse().unwrap(),
            mac: Mac::from_octets([2, 0x42, 0, 0, 0, number]),
        }),
        leases: network.pools.iter().map(lease).collect(),
        ports: Vec::new(),
        opened: Vec::new(),
        link_local: Vec::new(),
        sysctls: Vec::new(),
        rates: netd_model::Rates::default(),
        aliases: Vec::new(),
        gateway_priority: 0,
        routes: Vec::new(),
        joined_as: None,
        phase: Phase::Attached,
    }
}

pub(crate) fn sandbox() -> Sandbox {
    Sandbox {
        netns: NETNS,
        anchor: Anchor::Path("/run/netns/test".into()),
        dns_port: Some(41000),
    }
}
