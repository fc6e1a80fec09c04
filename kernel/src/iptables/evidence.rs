//! Which rules in shared chains are netd's, after a restart, when nothing is remembered.
//!
//! Rules carry no mark, since Docker's users know them without. But the chains of our own say which bridges and
//! addresses we serve, and a rule of exactly our shape about one of these is ours. A like rule about another interface
//! is not, such as libvirt's. Knows nothing of what is wanted.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use super::names::ChainNames;
use super::rules::Table;
use super::standing::Standing;
use crate::Family;

/// Bridges, containers and ports that our own chains speak of.
pub(super) struct Evidence<'a> {
    names: &'a ChainNames,
    /// Interfaces.
    bridges: HashSet<String>,
    /// Containers' addresses, as `10.0.0.2/32` or `fd00::2/128`.
    containers: HashSet<String>,
    /// Subnets, each with its bridge.
    subnets: HashMap<String, String>,
    /// Subnets of other hosts' containers, each with the link that leads there.
    peers: HashSet<(String, String)>,
    /// Published addresses and ports, as `-d 127.0.0.1/32 -p tcp -m tcp --dport 80`.
    published: HashSet<String>,
}

impl<'a> Evidence<'a> {
    /// Reads our own chains.
    pub(super) fn of(standing: &Standing, names: &'a ChainNames) -> Self {
        let mut evidence = Self {
            names,
            bridges: HashSet::new(),
            containers: HashSet::new(),
            subnets: HashMap::new(),
            peers: HashSet::new(),
            published: HashSet::new(),
        };
        for chain in [names.stage_1, names.stage_2] {
            for rule in standing.rules(Table::Filter, chain) {
                evidence.bridges.extend(values(rule, &["-i", "-o"]));
            }
        }
        for rule in standing.rules(Table::Filter, names.ports) {
            // It leads to one of our bridges; where it comes from may be an interface that a network trusts, or by which
            // a peer comes.
            evidence.bridges.extend(values(rule, &["-o"]));
            if let ["-s", subnet, "-i", link, "-o", _, "-j", "ACCEPT"] = words(rule)[..] {
                evidence.peers.insert((subnet.to_owned(), link.to_owned()));
            }
        }
        for rule in standing.rules(Table::Filter, "FORWARD") {
            if let ["-o", bridge, "-j", chain] = words(rule)[..]
                && chain == names.ports
            {
                evidence.bridges.insert(bridge.to_owned());
            }
        }
        for rule in standing.rules(Table::Filter, names.ports) {
            evidence.containers.extend(values(rule, &["-d"]));
        }
        for rule in standing.rules(Table::Nat, names.ports) {
            if let Some((published, to)) = rule.split_once(" -j DNAT --to-destination ") {
                evidence.containers.extend(container(to));
                evidence.published.insert(published.to_owned());
            }
        }
        evidence.subnets = subnets(standing, &evidence.bridges);
        evidence
    }

    /// Whether netd put this rule into this shared chain.
    pub(super) fn is_ours(&self, table: Table, rule: &str) -> bool {
        let words = words(rule);
        match table {
            Table::Raw => self.is_ours_in_raw(&words),
            Table::Filter => self.is_ours_in_filter(&words),
            Table::Nat => self.is_ours_in_nat(&words),
        }
    }

    fn is_ours_in_raw(&self, words: &[&str]) -> bool {
        match *words {
            ["-d", "127.0.0.0/8", "-i", bridge, "-j", "DROP"] => self.bridges.contains(bridge),
            [
                "-d",
                to,
                "!",
                "-i",
                "lo",
                "-p",
                p,
                "-m",
                m,
                "--dport",
                port,
                "-j",
                "DROP",
            ] => self
                .published
                .contains(&format!("-d {to} -p {p} -m {m} --dport {port}")),
            _ => false,
        }
    }

    fn is_ours_in_filter(&self, words: &[&str]) -> bool {
        match *words {
            ["-j", chain] => chain == self.names.stage_1,
            ["-o", _, "-j", chain] => chain == self.names.ports,
            [
                "-o",
                bridge,
                "-m",
                "conntrack",
                "--ctstate",
                "RELATED,ESTABLISHED",
                "-j",
                "ACCEPT",
            ] => self.bridges.contains(bridge),
            ["-i", bridge, "!", "-o", other, "-j", "ACCEPT"]
            | ["-i", bridge, "-o", other, "-j", "ACCEPT" | "DROP"]
            | [
                "-i",
                bridge,
                "-o",
                other,
                "-m",
                "conntrack",
                "--ctstate",
                "DNAT",
                "-j",
                "ACCEPT",
            ] => bridge == other && self.bridges.contains(bridge),
            _ => false,
        }
    }

    fn is_ours_in_nat(&self, words: &[&str]) -> bool {
        match *words {
            [
                "-o",
                bridge,
                "-m",
                "addrtype",
                "--src-type",
                "LOCAL",
                "-j",
                "MASQUERADE",
            ]
            | ["-s", _, "!", "-o", bridge, "-j", "MASQUERADE"]
            | ["-s", _, "!", "-o", bridge, "-j", "SNAT", "--to-source", _]
            | [
                "-s",
                _,
                "-o",
                bridge,
                "-m",
                "conntrack",
                "--ctstate",
                "DNAT",
                "-j",
                "MASQUERADE",
            ] => self.bridges.contains(bridge),
            ["-s", from, "-d", to, "-o", link, "-j", "RETURN"] => {
                // Between two networks of ours, or to a peer; what leads there from elsewhere is a user's.
                let of = |subnet| self.subnets.get(subnet).map(String::as_str);
                let is_peer = || self.peers.contains(&(to.to_owned(), link.to_owned()));
                of(from).is_some_and(|own| own != link) && (of(to) == Some(link) || is_peer())
            }
            // Of an earlier version, which had one for each port as Docker has.
            [
                "-s",
                from,
                "-d",
                to,
                "-p",
                _,
                "-m",
                _,
                "--dport",
                _,
                "-j",
                "MASQUERADE",
            ] => from == to && self.containers.contains(from),
            _ => false,
        }
    }
}

/// The subnets of `bridges`. Every network that is not internal has such a rule.
fn subnets(standing: &Standing, bridges: &HashSet<String>) -> HashMap<String, String> {
    let of = |rule: &str| match words(rule)[..] {
        [
            "-s",
            subnet,
            "-o",
            bridge,
            "-m",
            "conntrack",
            _,
            "DNAT",
            "-j",
            _,
        ] => Some((subnet.to_owned(), bridge.to_owned())),
        _ => None,
    };
    let found = standing.rules(Table::Nat, "POSTROUTING").filter_map(of);
    found
        .filter(|(_, bridge)| bridges.contains(bridge))
        .collect()
}

/// The address that a translation leads to, such as `10.0.0.2:80` or `[fd00::2]:80`, or alone if ports are kept.
fn container(to: &str) -> Option<String> {
    let at_port = to.parse().map(|at: SocketAddr| at.ip());
    let address = at_port.or_else(|_| to.parse::<IpAddr>()).ok()?;
    Some(format!("{address}/{}", Family::of(address).address_bits()))
}

fn words(rule: &str) -> Vec<&str> {
    rule.split(' ').collect()
}

/// The words behind any of `options`.
fn values(rule: &str, options: &[&str]) -> Vec<String> {
    let words = words(rule);
    words
        .windows(2)
        .filter(|pair| options.contains(&pair[0]))
        .map(|pair| pair[1].to_owned())
        .collect()
}
