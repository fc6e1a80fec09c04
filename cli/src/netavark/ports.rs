//! Published ports: from Podman's mappings to netd's.

use netd_api::{PortRange, Protocol, PublishRequest};

use super::failure::Failure;
use super::wire::PortMapping;

/// All of them, one for each protocol.
pub(super) fn requests(mappings: &[PortMapping]) -> Result<Vec<PublishRequest>, Failure> {
    let mut all = Vec::new();
    for mapping in mappings {
        let host_ip = match mapping.host_ip.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                Failure::Asked(format!("port_mappings: host_ip {text:?} is no IP address"))
            })?),
        };
        let host_ports = range("host_port", mapping.host_port, mapping.range)?;
        let container_ports = range("container_port", mapping.container_port, mapping.range)?;
        for protocol in protocols(&mapping.protocol)? {
            all.push(PublishRequest {
                protocol,
                host_ip,
                host_ports: Some(host_ports),
                container_ports,
                from: Vec::new(),
            });
        }
    }
    Ok(all)
}

/// As many ports from `first` on; 0 of them means one.
fn range(what: &str, first: u16, count: u16) -> Result<PortRange, Failure> {
    let last = first.checked_add(count.max(1) - 1);
    let range = last.and_then(|last| PortRange::new(first, last));
    range.ok_or_else(|| {
        Failure::Asked(format!(
            "port_mappings: {what} {first} with range {count}: expected ports of 1 to 65535"
        ))
    })
}

fn protocols(text: &str) -> Result<Vec<Protocol>, Failure> {
    if text.is_empty() {
        return Ok(vec![Protocol::Tcp]);
    }
    let each = text.split(',').map(|word| word.trim().parse());
    let each: Result<Vec<_>, _> = each.collect();
    each.map_err(|error| Failure::Asked(format!("port_mappings: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(host_port: u16, range: u16, protocol: &str) -> PortMapping {
        PortMapping {
            container_port: 80,
            host_ip: String::new(),
            host_port,
            protocol: protocol.to_owned(),
            range,
        }
    }

    #[test]
    fn each_protocol_and_the_whole_range() {
        let all = requests(&[mapping(8080, 3, "tcp,udp"), mapping(90, 0, "")]).unwrap();
        let shown: Vec<String> = all
            .iter()
            .map(|one| {
                let host = one.host_ports.unwrap();
                format!("{host} {} {:?}", one.container_ports, one.protocol)
            })
            .collect();
        assert_eq!(
            shown,
            ["8080-8082 80-82 Tcp", "8080-8082 80-82 Udp", "90 80 Tcp"]
        );
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for (port, range, protocol) in [(0, 1, "tcp"), (65535, 2, "tcp"), (80, 1, "icmp")] {
            let refused = requests(&[mapping(port, range, protocol)]);
            assert!(refused.unwrap_err().to_string().contains("port_mappings"));
        }
    }
}
