//! What a container of Docker's publishes, as the engine tells it: a list of bindings, each of one port of the container.

use std::net::IpAddr;

use netd_model::{PortRange, Protocol, PublishRequest};

use super::refused::Refused;
use super::wire::{PortBinding, optional};

/// Numbers of protocols (RFC 5237; IANA, "Protocol Numbers").
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// The bindings as requests, none twice: the engine may name each family of an address that stands for all of the host's.
pub(super) fn published(
    bindings: Option<Vec<PortBinding>>,
) -> Result<Vec<PublishRequest>, Refused> {
    let mut requests = Vec::new();
    for binding in bindings.unwrap_or_default() {
        let request = request(&binding)?;
        if !requests.contains(&request) {
            requests.push(request);
        }
    }
    Ok(requests)
}

fn request(binding: &PortBinding) -> Result<PublishRequest, Refused> {
    let protocol = match binding.protocol {
        TCP => Protocol::Tcp,
        UDP => Protocol::Udp,
        SCTP => Protocol::Sctp,
        other => {
            return Err(Refused::because(format!(
                "protocol number {other} has no ports that could be published"
            )));
        }
    };
    let port = |number: u16| {
        PortRange::new(number, number)
            .ok_or_else(|| Refused::because(format!("{number} is no port of a container")))
    };
    let (first, last) = (binding.host_port, binding.host_port_end);
    if first != last && last != 0 {
        return Err(Refused::because(format!(
            "one of the host's ports {first}-{last} for port {} of the container cannot be chosen by netd; name one, or none",
            binding.port
        )));
    }
    let host_ip: Option<IpAddr> = optional("HostIP", &binding.host_ip)?;
    Ok(PublishRequest {
        protocol,
        host_ip: host_ip.filter(|address| !address.is_unspecified()),
        host_ports: match first {
            0 => None,
            number => Some(port(number)?),
        },
        container_ports: port(binding.port)?,
        from: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(host_ip: &str, host_port: u16, host_port_end: u16) -> PortBinding {
        PortBinding {
            protocol: TCP,
            port: 80,
            host_ip: host_ip.to_owned(),
            host_port,
            host_port_end,
        }
    }

    #[test]
    fn bindings_of_all_addresses_are_one_request() {
        let all = [
            ("", 8080),
            ("0.0.0.0", 8080),
            ("::", 8080),
            ("127.0.0.1", 0),
        ];
        let bindings = all.map(|(host_ip, port)| binding(host_ip, port, port));
        let requests = published(Some(bindings.into())).unwrap();
        let shown: Vec<String> = requests.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["8080:80/tcp", "127.0.0.1::80/tcp"]);
        assert!(published(None).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_published_is_refused() {
        assert!(request(&binding("", 8000, 8010)).is_err());
        assert!(request(&binding("here", 8000, 8000)).is_err());
        let icmp = PortBinding {
            protocol: 1,
            ..binding("", 1, 1)
        };
        assert!(request(&icmp).is_err());
        let zero = PortBinding {
            port: 0,
            ..binding("", 1, 1)
        };
        assert!(request(&zero).is_err());
    }
}
