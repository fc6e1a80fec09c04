//! Desired states for the suite, small enough to be told in a line.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use netd_model::desired::{
    BridgeState, Bucket, IfbState, InterfaceState, KernelState, Mark, RouteState, SandboxState,
    Sysctl, VethState,
};
use netd_model::diff::diff;
use netd_model::{EndpointId, IfName, InstanceId, IpNetwork, Mac, NetnsId, NetworkId, Op, Subnet};

use super::Machine;

/// How long what was deleted may still be there, out of use.
const SOON: Duration = Duration::from_secs(1);

/// The daemon under test.
pub const ME: InstanceId = InstanceId::from_bytes([0x11; 32]);
/// Another daemon in the same namespace.
pub const OTHER: InstanceId = InstanceId::from_bytes([0x22; 32]);

/// A bridge network of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    /// Part of its bridge's name and of its subnets 10.N.0.0/24 and fd00:N::/64.
    pub number: u8,
    /// Tells a network from an earlier one that had the same bridge name.
    pub generation: u8,
    pub mtu_bytes: u32,
    pub ipv6: bool,
    pub hairpin: bool,
    pub isolated: bool,
    pub filtered: bool,
    /// How many bytes a second its containers may receive, and a tenth of that they may send.
    pub limit: Option<u64>,
}

impl Net {
    pub fn new(number: u8) -> Self {
        Self {
            number,
            generation: 0,
            mtu_bytes: 1400,
            ipv6: true,
            hairpin: true,
            isolated: true,
            filtered: true,
            limit: None,
        }
    }

    pub fn bridge(&self) -> IfName {
        name(&format!("br{}", self.number))
    }

    pub fn mark(&self) -> Mark {
        let id = [self.number, self.generation].repeat(16);
        Mark::bridge(ME, NetworkId::from_bytes(id.try_into().unwrap()))
    }

    fn v4(&self, host: u8) -> IpNetwork {
        address(&format!("10.{}.0.{host}/24", self.number))
    }

    fn v6(&self, host: u8) -> IpNetwork {
        address(&format!("fd00:{}::{host}/64", self.number))
    }

    /// Addresses of host 1 for the gateway, above it for containers.
    fn addresses(&self, host: u8) -> BTreeSet<IpNetwork> {
        let v6 = self.ipv6.then(|| self.v6(host));
        [self.v4(host)].into_iter().chain(v6).collect()
    }
}

pub fn name(text: &str) -> IfName {
    IfName::new(text).unwrap()
}

pub fn address(text: &str) -> IpNetwork {
    text.parse().unwrap()
}

pub fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

fn mac(address: IpNetwork) -> Mac {
    match address {
        IpNetwork::V4(v4) => Mac::from_ipv4(v4.ip()),
        IpNetwork::V6(_) => Mac::from_ipv4(Ipv4Addr::LOCALHOST),
    }
}

/// Name of the host end of a container's pair.
pub fn outside(net: &Net, container: u8) -> IfName {
    name(&format!("veth{}-{container}", net.number))
}

/// The mark of that end.
pub fn veth_mark(net: &Net, container: u8) -> Mark {
    let id = [net.number, container].repeat(16);
    Mark::endpoint(ME, EndpointId::from_bytes(id.try_into().unwrap()))
}

/// Adds a network's bridge and its parameters.
pub fn add_bridge(state: &mut KernelState, net: &Net) {
    let bridge = BridgeState {
        mark: Some(net.mark()),
        mac: mac(net.v4(1)),
        addresses: net.addresses(1),
        mtu_bytes: net.mtu_bytes,
        filtered: net.filtered,
        up: true,
    };
    let parameters = [
        Sysctl::of_interface("ipv4", &net.bridge(), "route_localnet"),
        Sysctl::of_interface("ipv6", &net.bridge(), "accept_ra"),
    ];
    let values = ["1", "0"].map(str::to_owned);
    let host = &mut state.host;
    host.bridges.insert(net.bridge(), bridge);
    host.sysctls.extend(parameters.into_iter().zip(values));
    let forward = Sysctl::global("ipv4/ip_forward");
    host.sysctls.insert(forward, "1".to_owned());
}

/// Puts a container on a network, by the next free `ethN`; the first network gives the default routes.
pub fn add_container(state: &mut KernelState, net: &Net, (container, netns): (u8, NetnsId)) {
    let sandbox = state.sandboxes.entry(netns).or_default();
    sandbox.loopback_up = true;
    let inside = name(&format!("eth{}", sandbox.interfaces.len()));
    let interface = InterfaceState {
        mac: mac(net.v4(container + 2)),
        mtu_bytes: net.mtu_bytes,
        up: true,
        addresses: net.addresses(container + 2),
    };
    if sandbox.interfaces.is_empty() {
        sandbox.routes = default_routes(net, &inside);
    }
    let off = Sysctl::of_interface("ipv6", &inside, "disable_ipv6");
    let value = if net.ipv6 { "0" } else { "1" };
    sandbox.sysctls.insert(off, value.to_owned());
    sandbox.interfaces.insert(inside.clone(), interface);
    let veth = VethState {
        mark: Some(veth_mark(net, container)),
        bridge: Some(net.bridge()),
        hairpin: net.hairpin,
        isolated: net.isolated,
        mtu_bytes: net.mtu_bytes,
        up: true,
        bucket: net.limit.map(bucket),
        through: net.limit.map(|_| ifb(net, container)),
        peer: Some(netns),
        peer_name: Some(inside),
    };
    state.host.veths.insert(outside(net, container), veth);
    if let Some(limit) = net.limit {
        let outward = IfbState {
            mark: Some(ifb_mark(net, container)),
            bucket: Some(bucket(limit / 10)),
            up: true,
        };
        state.host.ifbs.insert(ifb(net, container), outward);
    }
}

/// Name of the device that holds back what a container sends.
pub fn ifb(net: &Net, container: u8) -> IfName {
    name(&format!("ifb{}-{container}", net.number))
}

/// The mark of that device.
pub fn ifb_mark(net: &Net, container: u8) -> Mark {
    let id = [net.number, container].repeat(16);
    Mark::ifb(ME, EndpointId::from_bytes(id.try_into().unwrap()))
}

/// A bucket of a rate, in bytes per second.
pub fn bucket(bytes_per_second: u64) -> Bucket {
    Bucket {
        bytes_per_second,
        burst_bytes: 20_000,
        queue_bytes: 70_000,
    }
}

fn default_routes(net: &Net, inside: &IfName) -> BTreeSet<RouteState> {
    let route = |to: &str, gateway: IpNetwork| RouteState {
        destination: subnet(to),
        gateway: gateway.ip(),
        interface: Some(inside.clone()),
    };
    let v6 = net.ipv6.then(|| route("::/0", net.v6(1)));
    [route("0.0.0.0/0", net.v4(1))]
        .into_iter()
        .chain(v6)
        .collect()
}

/// One network, one container on it.
pub fn one_container(net: &Net, netns: NetnsId) -> KernelState {
    let mut state = KernelState::default();
    add_bridge(&mut state, net);
    add_container(&mut state, net, (0, netns));
    state
}

/// A wish for nothing, that names these sandboxes.
pub fn nothing(sandboxes: impl IntoIterator<Item = NetnsId>) -> KernelState {
    let empty = |netns| (netns, SandboxState::default());
    KernelState {
        sandboxes: sandboxes.into_iter().map(empty).collect::<BTreeMap<_, _>>(),
        ..KernelState::default()
    }
}

/// The steps still to make.
pub fn steps(machine: &dyn Machine, wished: &KernelState) -> Vec<Op> {
    let observed = machine.kernel().observe(wished).unwrap();
    diff(wished, &observed, ME)
}

/// Makes a wish true, and sees by both the code under test and the oracle that it is.
pub fn bring(machine: &dyn Machine, wished: &KernelState) {
    let ops = steps(machine, wished);
    machine
        .kernel()
        .apply(&ops)
        .unwrap_or_else(|error| panic!("{error}: {:?} of {ops:#?}", error.source));
    assert_eq!(steps(machine, wished), [], "a second reconcile has steps");
    let mut shown = wished.clone();
    for sandbox in shown.sandboxes.values_mut() {
        sandbox.dns_redirect = None;
    }
    // What was deleted is out of use at once, and gone soon.
    let mut oracle = machine.oracle(&shown);
    let deadline = Instant::now() + SOON;
    while !diff(&shown, &oracle, ME).is_empty() {
        let late = Instant::now() > deadline;
        assert!(!late, "the oracle says otherwise: {oracle:#?}");
        oracle = machine.oracle(&shown);
    }
}
