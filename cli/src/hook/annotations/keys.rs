//! The keys, and who is near to one that is not known.

use std::collections::BTreeMap;

use super::{Failure, Place};
use crate::likeness;

/// What all keys begin with.
pub(in crate::hook) const PREFIX: &str = "org.netd.";

/// The keys behind the prefix, each with what it means, for people.
pub(in crate::hook) const KEYS: [(&str, &str); 15] = [
    (
        "network",
        "networks to be on, by name or id; the first has eth0",
    ),
    ("ip", "addresses, at most one of each family"),
    ("mac", "Ethernet address"),
    ("aliases", "further names, on all networks"),
    (
        "ports",
        "ports to publish, as `docker run -p` has them, with blanks between",
    ),
    (
        "rate-in",
        "how fast traffic to it may be, as tc(8) has it: 10mbit",
    ),
    ("rate-out", "how fast traffic from it may be"),
    (
        "burst-in",
        "how much may come to it at once after a pause: 64kb",
    ),
    ("burst-out", "how much it may send at once after a pause"),
    ("dns", "resolvers that questions are forwarded to"),
    ("dns-search", "domains to search"),
    ("dns-opts", "options of resolv.conf(5), such as ndots:2"),
    ("hostname", "host name, if it is not that of config.json"),
    ("name", "name, if it is not the runtime's id"),
    (
        "files",
        "\"none\" leaves /etc/hosts, /etc/resolv.conf and /etc/hostname as they are",
    ),
];

/// Keys that may be said of a network, by its name behind a further dot.
const OF_A_NETWORK: [&str; 8] = [
    "ip",
    "mac",
    "aliases",
    "ports",
    "rate-in",
    "rate-out",
    "burst-in",
    "burst-out",
];

/// Values by key, and by the network that they are said of.
pub(super) type Given<'a> = BTreeMap<(&'a str, Option<&'a str>), &'a str>;

/// Those of netd among all annotations.
pub(super) fn given(annotations: &BTreeMap<String, String>) -> Result<Given<'_>, Failure> {
    let mut given = BTreeMap::new();
    for (full, value) in annotations {
        let Some(key) = full.strip_prefix(PREFIX) else {
            continue;
        };
        let key = split(key).ok_or_else(|| unknown(full, key))?;
        if value.trim().is_empty() {
            return Err(Failure::Annotation(format!(
                "{full} is empty: give it a value, or leave it out"
            )));
        }
        given.insert(key, value.trim());
    }
    Ok(given)
}

fn split(key: &str) -> Option<(&str, Option<&str>)> {
    if KEYS.iter().any(|(known, _)| *known == key) {
        return Some((key, None));
    }
    let (key, network) = key.split_once('.')?;
    (OF_A_NETWORK.contains(&key) && !network.is_empty()).then_some((key, Some(network)))
}

fn unknown(full: &str, key: &str) -> Failure {
    let words = KEYS.iter().map(|(known, _)| *known);
    let all = || {
        let words: Vec<_> = words.clone().collect();
        format!("{PREFIX} is followed by one of {}", words.join(", "))
    };
    let first = key.split('.').next().unwrap_or_default();
    let near =
        likeness::nearest(first, words.clone()).filter(|near| likeness::resemble(first, near));
    let advice = match (near, key.split_once('.')) {
        (Some(near), Some(_)) if near == first => {
            format!("{PREFIX}{near} is not said of single networks")
        }
        (Some(near), _) => format!("did you mean {PREFIX}{near}?"),
        (None, _) => all(),
    };
    Failure::Annotation(format!("{full} is not known: {advice}"))
}

/// Refuses what is said of a network that the container is not to be on.
pub(super) fn check_networks(given: &Given<'_>, places: &[Place]) -> Result<(), Failure> {
    let is_there = |network: &str| places.iter().any(|place| place.network == network);
    let mut said = given
        .keys()
        .filter_map(|(key, network)| Some((key, (*network)?)));
    match said.find(|(_, network)| !is_there(network)) {
        Some((key, network)) => {
            let all = places.iter().map(|place| place.network.as_str());
            let near = likeness::nearest(network, all).unwrap_or_default();
            Err(Failure::Annotation(format!(
                "{PREFIX}{key}.{network} is about network {network}, which {PREFIX}network does not name; did you mean {PREFIX}{key}.{near}?"
            )))
        }
        None => Ok(()),
    }
}
