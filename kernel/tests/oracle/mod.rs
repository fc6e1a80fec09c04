//! What iproute2 and /proc say of the machine, in the model's words. Not our code's view: it judges that.

mod rates;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use netd_model::desired::{
    BridgeState, HostState, IfbState, InterfaceState, KernelState, RouteState, SandboxState,
    Sysctl, UplinkState, VethState,
};
use netd_model::{IfName, IpNetwork, NetnsId};
use serde_json::Value;

use super::run;

/// `proto` of netd's routes, as iproute2 prints what it has no name for.
const ROUTE_PROTOCOL: &str = "110";

fn parse(text: &str) -> Vec<Value> {
    // iproute2 prints nothing at all where there is nothing.
    if text.trim().is_empty() {
        return Vec::new();
    }
    serde_json::from_str(text).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn name_of(link: &Value) -> IfName {
    IfName::new(text(link, "ifname")).unwrap()
}

/// Names in the output of `ip -j link`, loopback left out.
pub(crate) fn links(json: &str) -> BTreeSet<IfName> {
    let names = parse(json).iter().map(name_of).collect::<Vec<_>>();
    names
        .into_iter()
        .filter(|name| name.as_str() != "lo")
        .collect()
}

/// Runs a program in the namespace of a file, or here.
fn run_in(file: Option<&Path>, program: &str, arguments: &[&str]) -> String {
    let Some(file) = file else {
        return run(program, arguments);
    };
    let enter = format!("--net={}", file.display());
    let all: Vec<&str> = [enter.as_str(), program]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    run("nsenter", &all)
}

fn ip(file: Option<&Path>, arguments: &[&str]) -> Vec<Value> {
    parse(&run_in(file, "ip", arguments))
}

/// Everything that `wished` names; `file_of` leads to a sandbox.
pub(crate) fn state(
    wished: &KernelState,
    file_of: impl Fn(NetnsId) -> Option<PathBuf>,
) -> KernelState {
    let host_links = ip(None, &["-j", "-d", "addr"]);
    let mut state = KernelState {
        host: host(&host_links, wished),
        sandboxes: BTreeMap::new(),
    };
    for (netns, asked) in &wished.sandboxes {
        let Some(file) = file_of(*netns) else {
            continue;
        };
        let links = ip(Some(&file), &["-j", "-d", "addr"]);
        for link in &links {
            if let Some(outer) = host_links.iter().find(|outer| are_a_pair(outer, link))
                && let Some(veth) = state.host.veths.get_mut(&name_of(outer))
            {
                (veth.peer, veth.peer_name) = (Some(*netns), Some(name_of(link)));
            }
        }
        state
            .sandboxes
            .insert(*netns, sandbox(&file, &links, asked));
    }
    state
}

fn kind(link: &Value) -> &str {
    text(&link["linkinfo"], "info_kind")
}

/// Each end of a pair names the other's index.
fn are_a_pair(a: &Value, b: &Value) -> bool {
    let names = |one: &Value, other: &Value| {
        one["link_index"].is_u64() && one["link_index"] == other["ifindex"]
    };
    kind(a) == "veth" && kind(b) == "veth" && names(a, b) && names(b, a)
}

fn host(links: &[Value], wished: &KernelState) -> HostState {
    let mut state = HostState::default();
    let queues = parse(&run("tc", &["-j", "qdisc", "show"]));
    for link in links {
        match kind(link) {
            "bridge" => {
                let common = interface(link, None);
                let data = &link["linkinfo"]["info_data"];
                let bridge = BridgeState {
                    mark: text(link, "ifalias").parse().ok(),
                    mac: common.mac,
                    addresses: common.addresses,
                    mtu_bytes: common.mtu_bytes,
                    filtered: data["nf_call_iptables"] == 1 && data["nf_call_ip6tables"] == 1,
                    up: common.up,
                };
                state.bridges.insert(name_of(link), bridge);
            }
            "veth" => {
                let mut veth = veth(link);
                veth.bucket = rates::bucket(&queues, &name_of(link));
                veth.through = rates::way_in(&queues, &name_of(link));
                state.veths.insert(name_of(link), veth);
            }
            "ifb" => {
                let ifb = IfbState {
                    mark: text(link, "ifalias").parse().ok(),
                    bucket: rates::bucket(&queues, &name_of(link)),
                    up: is_up(link),
                };
                state.ifbs.insert(name_of(link), ifb);
            }
            _ => {}
        }
    }
    let asked = |link: &&Value| wished.host.uplinks.contains_key(&name_of(link));
    for link in links.iter().filter(asked) {
        let holder = IfName::new(text(link, "master")).ok();
        let up = is_up(link);
        state
            .uplinks
            .insert(name_of(link), UplinkState { holder, up });
    }
    state.routes = routes(None);
    state.sysctls = sysctls(None, &wished.host.sysctls);
    state
}

fn veth(link: &Value) -> VethState {
    let port = &link["linkinfo"]["info_slave_data"];
    let common = interface(link, None);
    VethState {
        mark: text(link, "ifalias").parse().ok(),
        bridge: IfName::new(text(link, "master")).ok(),
        hairpin: port["hairpin"].as_bool().unwrap_or_default(),
        isolated: port["isolated"].as_bool().unwrap_or_default(),
        mtu_bytes: common.mtu_bytes,
        up: common.up,
        bucket: None,
        through: None,
        peer: None,
        peer_name: None,
    }
}

/// With its global addresses, and others that are wished for.
fn interface(link: &Value, wished: Option<&InterfaceState>) -> InterfaceState {
    let is_wished =
        |address: &IpNetwork| wished.is_some_and(|wished| wished.addresses.contains(address));
    let address = |info: &Value| -> Option<IpNetwork> {
        let prefix = info["prefixlen"].as_u64()?;
        let address = format!("{}/{prefix}", text(info, "local"));
        let address: IpNetwork = address.parse().unwrap();
        let is_shown = text(info, "scope") == "global" || is_wished(&address);
        is_shown.then_some(address)
    };
    let addresses = link["addr_info"].as_array().into_iter().flatten();
    InterfaceState {
        mac: text(link, "address").parse().unwrap(),
        mtu_bytes: link["mtu"].as_u64().unwrap().try_into().unwrap(),
        up: is_up(link),
        addresses: addresses.filter_map(address).collect(),
    }
}

fn is_up(link: &Value) -> bool {
    let mut flags = link["flags"].as_array().into_iter().flatten();
    flags.any(|flag| flag == "UP")
}

/// The routes of netd's protocol.
fn routes(file: Option<&Path>) -> BTreeSet<RouteState> {
    let mut routes = BTreeSet::new();
    for (family, all) in [("-4", "0.0.0.0/0"), ("-6", "::/0")] {
        let arguments = ["-j", family, "route", "show", "proto", ROUTE_PROTOCOL];
        for route in ip(file, &arguments) {
            let to = text(&route, "dst");
            let to = if to == "default" { all } else { to };
            routes.insert(RouteState {
                destination: to.parse().unwrap(),
                gateway: text(&route, "gateway").parse().unwrap(),
                interface: file.map(|_| text(&route, "dev").parse().unwrap()),
            });
        }
    }
    routes
}

fn sandbox(file: &Path, links: &[Value], asked: &SandboxState) -> SandboxState {
    let loopback = |link: &&Value| text(link, "ifname") == "lo";
    let others = links.iter().filter(|link| !loopback(link));
    SandboxState {
        loopback_up: links.iter().find(loopback).is_some_and(is_up),
        interfaces: others
            .map(|link| {
                let name = name_of(link);
                let interface = interface(link, asked.interfaces.get(&name));
                (name, interface)
            })
            .collect(),
        routes: routes(Some(file)),
        sysctls: sysctls(Some(file), &asked.sysctls),
        dns_redirect: None,
    }
}

fn sysctls(file: Option<&Path>, asked: &BTreeMap<Sysctl, String>) -> BTreeMap<Sysctl, String> {
    let mut found = BTreeMap::new();
    for key in asked.keys() {
        let path = format!("/proc/sys/net/{}", key.path());
        let read = format!("if [ -e {path} ]; then cat {path}; fi");
        let value = run_in(file, "sh", &["-c", &read]);
        if !value.is_empty() {
            found.insert(key.clone(), value.trim_end().to_owned());
        }
    }
    found
}
