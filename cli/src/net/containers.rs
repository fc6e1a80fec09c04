//! The verbs of containers that only ask: `ps`, `stop`, `port`, `publish`, `unpublish`.

mod list;

use std::net::{IpAddr, SocketAddr};

pub(super) use list::list;

use netd_api::{Client, ContainerView, PortsRequest, Protocol, PublishedPort, StopRequest};

use super::args::{PortArgs, PublishArgs, StopArgs};
use super::failure::Failure;
use super::networks::each;
use super::progress::Progress;
use super::{out, target};

/// Every published port, in the order of the container's ports.
fn published(view: &ContainerView) -> Vec<PublishedPort> {
    let mut ports: Vec<_> = view
        .networks
        .iter()
        .flat_map(|at| at.ports.clone())
        .collect();
    ports.sort_by_key(|port| {
        (
            port.container_ports,
            port.protocol,
            port.host_ip,
            port.host_ports,
        )
    });
    ports.dedup();
    ports
}

/// `net stop`: goes on after a refusal.
pub(super) fn stop(client: &Client, args: &StopArgs) -> Result<(), Failure> {
    let request = StopRequest {
        timeout_seconds: args.time,
    };
    each(&args.containers, |container| {
        let known = target::known(client, container)?;
        Progress::of(format!("stopping {container}")).until(|| client.stop(&known, &request))?;
        Ok(out::print(&format!("{container}\n"))?)
    })
}

/// `net port`.
pub(super) fn port(client: &Client, args: &PortArgs) -> Result<(), Failure> {
    let wanted = args.port.as_deref().map(wanted_port).transpose()?;
    let view = client.container(&target::known(client, &args.container)?)?;
    let text = port_lines(&view, wanted);
    match wanted {
        Some((port, protocol)) if text.is_empty() => Err(Failure::Refused(format!(
            "port {port}/{protocol} of {} is not published; `net publish {} -p {port}/{protocol}` does that",
            view.name, view.name
        ))),
        _ => Ok(out::print(&text)?),
    }
}

fn wanted_port(text: &str) -> Result<(u16, Protocol), Failure> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let port = port.parse().ok().filter(|port| *port > 0);
    port.zip(protocol.parse().ok()).ok_or_else(|| {
        Failure::Usage(format!(
            "{text:?} is not a port: expected PORT or PORT/PROTOCOL, such as 53/udp"
        ))
    })
}

/// One line for each published port, as `docker port` prints it, and who reaches it unless all do; of one port only the
/// host's side.
fn port_lines(view: &ContainerView, wanted: Option<(u16, Protocol)>) -> String {
    let mut pairs: Vec<_> = published(view)
        .iter()
        .flat_map(|ports| {
            let from = ports.from_suffix();
            let key = |(host, inside)| (inside, ports.protocol, ports.host_ip, host, from.clone());
            ports.pairs().map(key).collect::<Vec<_>>()
        })
        .collect();
    pairs.sort_unstable();
    let line = |(inside, protocol, ip, host, from): (u16, Protocol, IpAddr, u16, String)| {
        let host = SocketAddr::new(ip, host);
        match wanted {
            None => Some(format!("{inside}/{protocol} -> {host}{from}\n")),
            Some(wanted) if wanted == (inside, protocol) => Some(format!("{host}\n")),
            Some(_) => None,
        }
    };
    pairs.into_iter().filter_map(line).collect()
}

/// `net publish`: prints what is published now.
pub(super) fn publish(client: &Client, args: PublishArgs) -> Result<(), Failure> {
    let container = target::known(client, &args.container)?;
    let view = client.publish(
        &container,
        &PortsRequest {
            ports: args.publish,
        },
    )?;
    Ok(out::print(&port_lines(&view, None))?)
}

/// `net unpublish`: prints what is still published.
pub(super) fn unpublish(client: &Client, args: PublishArgs) -> Result<(), Failure> {
    let container = target::known(client, &args.container)?;
    let view = client.unpublish(
        &container,
        &PortsRequest {
            ports: args.publish,
        },
    )?;
    Ok(out::print(&port_lines(&view, None))?)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    pub(super) fn view() -> ContainerView {
        let port = |ip: &str, host: &str, inside: &str, protocol: &str| json!({"protocol": protocol, "host_ip": ip, "host_ports": host, "container_ports": inside});
        serde_json::from_value(json!({
            "id": "f9".repeat(32), "name": "c1", "hostname": "c1", "created": "2026-11-20T18:00:00Z",
            "state": "running", "ended": null, "exit_code": null,
            "command": ["/bin/sleep", "100000000000000"], "namespace": "private", "pid": 7, "netns_path": null,
            "files": {"hosts": "", "resolv_conf": "", "hostname": ""}, "labels": {},
            "networks": [{
                "network_id": "ab".repeat(32), "network": "bridge", "endpoint_id": "cd".repeat(32),
                "interface": "eth0", "host_interface": "veth1", "mac": null,
                "addresses": ["172.17.0.2/16"], "gateways": [], "aliases": [],
                "ports": [
                    port("127.0.0.1", "8081", "80", "tcp"), port("0.0.0.0", "8082", "80", "tcp"),
                    port("::", "8082", "80", "tcp"), port("0.0.0.0", "5353-5354", "53-54", "udp"),
                ],
            }],
        }))
        .unwrap()
    }

    pub(super) fn now() -> Timestamp {
        "2026-11-20T18:03:10Z".parse().unwrap()
    }

    #[test]
    fn port_prints_as_docker_port_does() {
        let all = "\
53/udp -> 0.0.0.0:5353
54/udp -> 0.0.0.0:5354
80/tcp -> 0.0.0.0:8082
80/tcp -> 127.0.0.1:8081
80/tcp -> [::]:8082
";
        assert_eq!(port_lines(&view(), None), all);
        assert_eq!(
            port_lines(&view(), Some((54, Protocol::Udp))),
            "0.0.0.0:5354\n"
        );
        assert_eq!(port_lines(&view(), Some((54, Protocol::Tcp))), "");
        assert!(wanted_port("0").is_err() && wanted_port("80/icmp").is_err());
    }

    #[test]
    fn port_says_who_reaches_it_unless_all_do() {
        let mut view = view();
        let ports = &mut view.networks[0].ports;
        ports.truncate(2);
        ports[1].from = vec![
            "10.0.0.0/8".parse().unwrap(),
            "192.168.0.0/16".parse().unwrap(),
        ];
        let all =
            "80/tcp -> 0.0.0.0:8082 (from 10.0.0.0/8, 192.168.0.0/16)\n80/tcp -> 127.0.0.1:8081\n";
        assert_eq!(port_lines(&view, None), all);
        let one = port_lines(&view, Some((80, Protocol::Tcp)));
        assert_eq!(one, "0.0.0.0:8082\n127.0.0.1:8081\n");
        // Which ones those are stands in the request and the answer, and no key where everybody does.
        let shown = serde_json::to_value(&view.networks[0].ports).unwrap();
        assert_eq!(shown[1]["from"], json!(["10.0.0.0/8", "192.168.0.0/16"]));
        assert!(shown[0].get("from").is_none(), "{shown}");
    }
}
