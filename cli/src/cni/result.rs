//! Results in the form of each version of the specification (section "Result types"), behind those of earlier plugins.

use std::net::IpAddr;
use std::path::Path;

use netd_api::{Attached, Attachment, ContainerRoute, IpNetwork};
use serde_json::{Map, Value, json};

use super::config::Dns;
use super::failure::{Code, Failure};
use super::version::Version;

/// What else belongs to a result.
#[derive(Debug)]
pub(super) struct Beside<'a> {
    /// The file of the namespace, as the runtime wrote it.
    pub(super) netns: &'a Path,
    /// Routes that were asked for.
    pub(super) routes: &'a [ContainerRoute],
    /// Resolver settings that were asked for.
    pub(super) dns: &'a Dns,
}

/// The result of earlier plugins, checked and in the form of `version`; an empty one if there is none.
pub(super) fn previous(object: &Value, version: Version) -> Result<Option<Value>, Failure> {
    let given = &object["prevResult"];
    if given.is_null() {
        return Ok(None);
    }
    let wrong = |why: &str| Failure::new(Code::Decode, format!("prevResult {why}"));
    if !given.is_object() {
        return Err(wrong("is no object"));
    }
    if !given["cniVersion"].is_null() {
        Version::of_object(given).map_err(|failure| Failure {
            message: format!("prevResult: {}", failure.message),
            ..failure
        })?;
    }
    let count = given["interfaces"].as_array().map_or(0, Vec::len);
    for key in ["interfaces", "ips", "routes"] {
        let list = match &given[key] {
            Value::Null => continue,
            Value::Array(list) => list,
            _ => return Err(wrong(&format!("has {key} that are no list"))),
        };
        if list.iter().any(|item| !item.is_object()) {
            return Err(wrong(&format!("has {key} that are no objects")));
        }
    }
    for ip in given["ips"].as_array().into_iter().flatten() {
        let address = ip["address"]
            .as_str()
            .and_then(|text| text.parse::<IpNetwork>().ok());
        if address.is_none() {
            return Err(wrong(&format!(
                "has the address {}, which is none",
                ip["address"]
            )));
        }
        let index = &ip["interface"];
        let there = index.as_u64().is_some_and(|index| index < count as u64);
        if !index.is_null() && !there {
            return Err(wrong(&format!(
                "has an address on interface {index}, of {count}"
            )));
        }
    }
    if !given["dns"].is_null() && !given["dns"].is_object() {
        return Err(wrong("has dns that is no object"));
    }
    Ok(Some(in_version(given.clone(), version)))
}

/// A result in the form of another version: what that does not know is left out, what it needs is added.
fn in_version(mut result: Value, version: Version) -> Value {
    result["cniVersion"] = version.as_str().into();
    for ip in result["ips"].as_array_mut().into_iter().flatten() {
        let family = ip["address"]
            .as_str()
            .map(|text| family(text.contains(':')));
        if let Some(ip) = ip.as_object_mut() {
            ip.remove("version");
            if let Some(family) = family.filter(|_| version < Version::V1_0_0) {
                ip.insert("version".to_owned(), family.into());
            }
        }
    }
    if version < Version::V1_1_0 {
        let newer = [
            "mtu",
            "socketPath",
            "pciID",
            "advmss",
            "priority",
            "table",
            "scope",
        ];
        for key in ["interfaces", "routes"] {
            for item in result[key].as_array_mut().into_iter().flatten() {
                if let Some(item) = item.as_object_mut() {
                    newer.iter().for_each(|key| drop(item.remove(*key)));
                }
            }
        }
    }
    // Looking a key up by name made it.
    if let Some(result) = result.as_object_mut() {
        result.retain(|_, value| !value.is_null());
    }
    result
}

const fn family(is_ipv6: bool) -> &'static str {
    match is_ipv6 {
        true => "6",
        false => "4",
    }
}

/// The result of ADD.
pub(super) fn added(
    attached: &Attached,
    beside: &Beside<'_>,
    previous: Option<Value>,
    version: Version,
) -> Value {
    let mut result = previous.unwrap_or_else(|| json!({ "cniVersion": version.as_str() }));
    let inside = append(&mut result, "interfaces", interfaces(attached, beside)) + 1;
    let attachment = &attached.attachment;
    let ips = attachment.addresses.iter().map(|address| {
        let mut ip = json!({ "address": address.to_string(), "interface": inside });
        let same = |gateway: &&IpAddr| gateway.is_ipv4() == address.is_ipv4();
        if let Some(gateway) = attachment.gateways.iter().find(same) {
            ip["gateway"] = gateway.to_string().into();
        }
        ip
    });
    append(&mut result, "ips", ips.collect());
    append(&mut result, "routes", routes(attached, beside.routes));
    let mut dns = result["dns"].as_object().cloned().unwrap_or_default();
    dns.extend(resolver(attached, beside.dns));
    result["dns"] = Value::Object(dns);
    in_version(result, version)
}

/// Puts items behind those that a list has; gives the index of the first of them.
fn append(result: &mut Value, key: &str, items: Vec<Value>) -> usize {
    let mut list = match result[key].take() {
        Value::Array(list) => list,
        _ => Vec::new(),
    };
    let at = list.len();
    list.extend(items);
    result[key] = Value::Array(list);
    at
}

/// The host's end, then the container's.
fn interfaces(attached: &Attached, beside: &Beside<'_>) -> Vec<Value> {
    let Attachment {
        interface,
        host_interface,
        mac,
        ..
    } = &attached.attachment;
    let text = |name: &Option<netd_api::IfName>| name.as_ref().map(ToString::to_string);
    vec![
        json!({ "name": text(host_interface), "mtu": attached.mtu_bytes }),
        json!({
            "name": text(interface),
            "mac": mac.map(|mac| mac.to_string()),
            "mtu": attached.mtu_bytes,
            "sandbox": beside.netns.to_string_lossy(),
        }),
    ]
}

fn routes(attached: &Attached, asked: &[ContainerRoute]) -> Vec<Value> {
    let defaults = attached.default_gateways.iter().map(|gateway| {
        let everywhere = if gateway.is_ipv4() {
            "0.0.0.0/0"
        } else {
            "::/0"
        };
        json!({ "dst": everywhere, "gw": gateway.to_string() })
    });
    let hop = |route: &ContainerRoute| {
        let same = |gateway: &&IpAddr| gateway.is_ipv4() == route.destination.is_ipv4();
        let network = || attached.attachment.gateways.iter().find(same).copied();
        route.gateway.or_else(network)
    };
    let asked = asked.iter().map(|route| {
        let mut shown = json!({ "dst": route.destination.to_string() });
        if let Some(hop) = hop(route) {
            shown["gw"] = hop.to_string().into();
        }
        shown
    });
    defaults.chain(asked).collect()
}

/// Where to ask for names: netd itself where it knows any, which then forwards to the resolvers that were asked for.
fn resolver(attached: &Attached, asked: &Dns) -> Map<String, Value> {
    let nameservers = match attached.nameservers.is_empty() {
        true => &asked.nameservers,
        false => &attached.nameservers,
    };
    let mut dns = Map::new();
    if !nameservers.is_empty() {
        let texts: Vec<String> = nameservers.iter().map(IpAddr::to_string).collect();
        dns.insert("nameservers".to_owned(), texts.into());
    }
    if let Some(domain) = &asked.domain {
        dns.insert("domain".to_owned(), domain.as_str().into());
    }
    for (key, words) in [("search", &asked.search), ("options", &asked.options)] {
        if !words.is_empty() {
            dns.insert(key.to_owned(), words.clone().into());
        }
    }
    dns
}

/// Refuses a result that does not have what the daemon gave. What later plugins added or changed besides is theirs.
pub(super) fn expects(previous: &Value, attached: &Attached) -> Result<(), Failure> {
    let attachment = &attached.attachment;
    let missing = |what: String| {
        let message = format!("prevResult has no {what}, which the container has from netd");
        Err(Failure::new(Code::Drifted, message))
    };
    let name = attachment
        .interface
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut interfaces = previous["interfaces"].as_array().into_iter().flatten();
    let is_it = |one: &Value| {
        one["name"] == name.as_str() && one["sandbox"].as_str().is_some_and(|path| !path.is_empty())
    };
    if !interfaces.any(is_it) {
        return missing(format!("interface {name}"));
    }
    for address in &attachment.addresses {
        let text = address.to_string();
        let mut ips = previous["ips"].as_array().into_iter().flatten();
        if !ips.any(|ip| ip["address"] == text.as_str()) {
            return missing(format!("address {text}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
