//! Containers as the native interface shows them, made Docker's.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use netd_api::{Attachment, ContainerView};
use netd_model::PublishedPort;

use super::wire::container::{
    Config, Details, EndpointSettings, HostConfig, LifeState, NetworkSettings, Networks, OnBridge,
    Port, PortBinding, Summary,
};

/// What Go prints for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Summary {
    /// A line of the list, at a time.
    pub(super) fn of(view: ContainerView, now: Timestamp) -> Self {
        let created = moment(&view.created);
        Self {
            id: view.id,
            names: vec![format!("/{}", view.name)],
            image: String::new(),
            image_id: String::new(),
            command: view.command.join(" "),
            created: created.as_second(),
            ports: view
                .networks
                .iter()
                .flat_map(|place| &place.ports)
                .flat_map(ports)
                .collect(),
            status: status(&view, created, now),
            host_config: host_config(&view),
            network_settings: Networks {
                networks: places(&view),
            },
            labels: view.labels,
            state: view.state,
            mounts: [],
        }
    }
}

impl Details {
    /// All that Docker shows of a container and netd knows.
    pub(super) fn of(view: ContainerView) -> Self {
        let text = |path: &Path| path.display().to_string();
        let networks = places(&view);
        let on_bridge = networks.get("bridge").map(|place| OnBridge {
            endpoint_id: place.endpoint_id.to_string(),
            gateway: place.gateway.clone(),
            ip_address: place.ip_address.clone(),
            ip_prefix_len: place.ip_prefix_len,
            mac_address: place.mac_address.clone(),
        });
        Self {
            id: view.id,
            path: view.command.first().cloned().unwrap_or_default(),
            args: view.command.iter().skip(1).cloned().collect(),
            state: LifeState {
                status: view.state.clone(),
                running: view.ended.is_none(),
                paused: false,
                restarting: false,
                dead: false,
                pid: view.pid.unwrap_or(0),
                exit_code: view.exit_code.unwrap_or(0),
                started_at: view.created.clone(),
                finished_at: view.ended.clone().unwrap_or_else(|| NEVER.to_owned()),
            },
            image: String::new(),
            resolv_conf_path: text(&view.files.resolv_conf),
            hostname_path: text(&view.files.hostname),
            hosts_path: text(&view.files.hosts),
            name: format!("/{}", view.name),
            host_config: host_config(&view),
            config: Config {
                hostname: view.hostname.to_string(),
                cmd: view.command.clone(),
                labels: view.labels.clone(),
            },
            network_settings: NetworkSettings {
                ports: bindings(&view),
                sandbox_key: view.netns_path.as_deref().map(text).unwrap_or_default(),
                networks,
                on_bridge: on_bridge.unwrap_or_default(),
            },
            created: view.created,
            mounts: [],
        }
    }
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

fn host_config(view: &ContainerView) -> HostConfig {
    let network_mode = match view.namespace.as_str() {
        "private" => view
            .networks
            .first()
            .map_or("none", |place| place.network.as_str()),
        other => other,
    };
    HostConfig {
        network_mode: network_mode.to_owned(),
    }
}

/// By network, as Docker has them: of several places on one network the oldest. The ports of all are shown elsewhere.
fn places(view: &ContainerView) -> BTreeMap<String, EndpointSettings> {
    // The last of a key stays.
    let networks = view.networks.iter().rev();
    networks
        .map(|place| (place.network.to_string(), settings(place)))
        .collect()
}

fn settings(place: &Attachment) -> EndpointSettings {
    let address = |v4: bool| place.addresses.iter().find(|one| one.is_ipv4() == v4);
    let ip = |v4: bool| {
        address(v4)
            .map(|one| one.ip().to_string())
            .unwrap_or_default()
    };
    let prefix = |v4: bool| address(v4).map_or(0, |one| one.prefix());
    let gateway = |v4: bool| {
        let mut gateways = place.gateways.iter().filter(|_| address(v4).is_some());
        let found = gateways.find(|gateway| gateway.is_ipv4() == v4);
        found.map(ToString::to_string).unwrap_or_default()
    };
    let aliases = place.aliases.iter().map(ToString::to_string);
    EndpointSettings {
        ipam_config: None,
        links: None,
        aliases: Some(aliases.collect::<Vec<_>>()).filter(|aliases| !aliases.is_empty()),
        mac_address: place.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        driver_opts: None,
        network_id: place.network_id,
        endpoint_id: place.endpoint_id,
        gateway: gateway(true),
        ip_address: ip(true),
        ip_prefix_len: prefix(true),
        ipv6_gateway: gateway(false),
        ipv6_address: ip(false),
        ipv6_prefix_len: prefix(false),
    }
}

/// Each port of a range by itself: Docker has no ranges. If all host ports lead to one, that stands at each.
fn ports(published: &PublishedPort) -> impl Iterator<Item = Port> {
    let last = published.container_ports.last();
    let inside = published
        .container_ports
        .iter()
        .chain(std::iter::repeat(last));
    published
        .host_ports
        .iter()
        .zip(inside)
        .map(|(public_port, private_port)| Port {
            ip: published.host_ip.to_string(),
            private_port,
            public_port,
            protocol: published.protocol.as_str(),
        })
}

fn bindings(view: &ContainerView) -> BTreeMap<String, Vec<PortBinding>> {
    let mut bindings = BTreeMap::<String, Vec<PortBinding>>::new();
    for port in view
        .networks
        .iter()
        .flat_map(|place| &place.ports)
        .flat_map(ports)
    {
        let inside = format!("{}/{}", port.private_port, port.protocol);
        bindings.entry(inside).or_default().push(PortBinding {
            host_ip: port.ip,
            host_port: port.public_port.to_string(),
        });
    }
    bindings
}

fn status(view: &ContainerView, created: Timestamp, now: Timestamp) -> String {
    let since = |then: Timestamp| span(now.duration_since(then).as_secs());
    match &view.ended {
        None => format!("Up {}", since(created)),
        Some(ended) => {
            let code = view.exit_code.unwrap_or(0);
            format!("Exited ({code}) {} ago", since(moment(ended)))
        }
    }
}

/// A time span as Docker's tables have it.
fn span(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..MINUTE => format!("{seconds} seconds"),
        MINUTE..120 => "About a minute".to_owned(),
        120..HOUR => format!("{} minutes", seconds / MINUTE),
        HOUR..7200 => "About an hour".to_owned(),
        7200..172_800 => format!("{} hours", seconds / HOUR),
        _ => format!("{} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_say_them() {
        for (seconds, words) in [
            (-3, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (150, "2 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (86_400, "24 hours"),
            (172_800, "2 days"),
        ] {
            assert_eq!(span(seconds), words, "{seconds}");
        }
    }
}
