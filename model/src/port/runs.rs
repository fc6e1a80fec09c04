//! Published ports as they are written down: neighbours that are alike in all but their numbers are one entry.
//!
//! A hundred ports are mostly one run, and to write or read one entry takes a hundredth of the time. What was written
//! before there were runs reads the same.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{PortRange, Protocol, PublishedPort};
use crate::Subnet;

/// What the ports of a run lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    /// All to the same port of the container.
    Same,
    /// Each to the port behind that of the one before.
    Next,
}

/// How a run goes on behind its first port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Onward {
    /// How many more ports there are.
    more: u16,
    step: Step,
}

/// One entry: a port or range, or a run of single ports that begins with it.
#[derive(Serialize)]
struct Written<'a> {
    protocol: Protocol,
    host_ip: IpAddr,
    host_ports: PortRange,
    container_ports: PortRange,
    #[serde(skip_serializing_if = "<[Subnet]>::is_empty")]
    from: &'a [Subnet],
    #[serde(skip_serializing_if = "Option::is_none")]
    onward: Option<Onward>,
}

#[derive(Deserialize)]
struct Read {
    protocol: Protocol,
    host_ip: IpAddr,
    host_ports: PortRange,
    container_ports: PortRange,
    #[serde(default)]
    from: Vec<Subnet>,
    onward: Option<Onward>,
}

/// Writes ports, in their order.
///
/// # Errors
/// The serializer's own.
pub(crate) fn serialize<S: Serializer>(
    ports: &[PublishedPort],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut rest = ports;
    serializer.collect_seq(std::iter::from_fn(|| {
        let (first, onward) = (rest.first()?, onward(rest));
        rest = &rest[1 + onward.map_or(0, |onward| usize::from(onward.more))..];
        Some(Written {
            protocol: first.protocol,
            host_ip: first.host_ip,
            host_ports: first.host_ports,
            container_ports: first.container_ports,
            from: &first.from,
            onward,
        })
    }))
}

/// Reads ports in the order in which they were written.
///
/// # Errors
/// The deserializer's own, and that a run goes beyond port 65535.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<PublishedPort>, D::Error> {
    let mut ports = Vec::new();
    for read in Vec::<Read>::deserialize(deserializer)? {
        let first = PublishedPort {
            protocol: read.protocol,
            host_ip: read.host_ip,
            host_ports: read.host_ports,
            container_ports: read.container_ports,
            from: read.from,
        };
        let Some(Onward { more, step }) = read.onward else {
            ports.push(first);
            continue;
        };
        for distance in 0..=more {
            let beyond = || serde::de::Error::custom("a run of ports goes beyond 65535");
            ports.push(at(&first, step, distance).ok_or_else(beyond)?);
        }
    }
    Ok(ports)
}

/// The longest run that the first of these ports begins.
fn onward(ports: &[PublishedPort]) -> Option<Onward> {
    let [first, second, ..] = ports else {
        return None;
    };
    let is_single = first.host_ports.count() == 1 && first.container_ports.count() == 1;
    if !is_single {
        return None;
    }
    let step = match second.container_ports == first.container_ports {
        true => Step::Same,
        false => Step::Next,
    };
    let follows = |(distance, port): &(u16, &PublishedPort)| is_at(first, step, *distance, port);
    let more = (1..=u16::MAX).zip(&ports[1..]).take_while(follows).count();
    let more = u16::try_from(more).ok().filter(|more| *more > 0)?;
    Some(Onward { more, step })
}

/// True if `port` is what [`at`] gives.
fn is_at(first: &PublishedPort, step: Step, distance: u16, port: &PublishedPort) -> bool {
    let numbers = numbers_at(first, step, distance);
    port.protocol == first.protocol
        && port.host_ip == first.host_ip
        && port.from == first.from
        && numbers == Some((port.host_ports, port.container_ports))
}

/// The port of a run at a distance from its first one; `None` beyond port 65535.
fn at(first: &PublishedPort, step: Step, distance: u16) -> Option<PublishedPort> {
    let (host_ports, container_ports) = numbers_at(first, step, distance)?;
    Some(PublishedPort {
        host_ports,
        container_ports,
        ..first.clone()
    })
}

fn numbers_at(first: &PublishedPort, step: Step, distance: u16) -> Option<(PortRange, PortRange)> {
    let behind = |ports: PortRange, distance| {
        let number = ports.first().checked_add(distance);
        number.and_then(PortRange::single)
    };
    let distance_inside = match step {
        Step::Same => 0,
        Step::Next => distance,
    };
    Some((
        behind(first.host_ports, distance)?,
        behind(first.container_ports, distance_inside)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "super")]
        ports: Vec<PublishedPort>,
    }

    fn port(host: u16, container: u16) -> PublishedPort {
        PublishedPort {
            protocol: Protocol::Tcp,
            host_ip: [0, 0, 0, 0].into(),
            host_ports: PortRange::single(host).unwrap(),
            container_ports: PortRange::single(container).unwrap(),
            from: Vec::new(),
        }
    }

    fn written(ports: &[PublishedPort]) -> serde_json::Value {
        let holder = Holder {
            ports: ports.to_vec(),
        };
        let text = serde_json::to_string(&holder).unwrap();
        assert_eq!(serde_json::from_str::<Holder>(&text).unwrap(), holder);
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["ports"].take()
    }

    #[test]
    fn neighbours_are_one_entry_and_read_back_in_their_order() {
        let all_to_one: Vec<_> = (0..100).map(|n| port(8000 + n, 80)).collect();
        let kept: Vec<_> = (0..10).map(|n| port(9000 + n, 9000 + n)).collect();
        let shifted: Vec<_> = (0..10).map(|n| port(65_526 + n, 100 + n)).collect();
        for (ports, more, step) in [
            (&all_to_one, 99, "same"),
            (&kept, 9, "next"),
            (&shifted, 9, "next"),
        ] {
            let entries = written(ports);
            assert_eq!(entries.as_array().unwrap().len(), 1, "{entries}");
            assert_eq!(
                entries[0]["onward"],
                serde_json::json!({"more": more, "step": step})
            );
        }
        let together = [all_to_one, kept, shifted].concat();
        assert_eq!(written(&together).as_array().unwrap().len(), 3);
    }

    #[test]
    fn what_is_not_alike_stays_apart() {
        let range = PublishedPort {
            host_ports: PortRange::new(10, 12).unwrap(),
            container_ports: PortRange::new(20, 22).unwrap(),
            ..port(10, 20)
        };
        let elsewhere = PublishedPort {
            host_ip: [127, 0, 0, 1].into(),
            ..port(13, 23)
        };
        let udp = PublishedPort {
            protocol: Protocol::Udp,
            ..port(14, 24)
        };
        let sourced = PublishedPort {
            from: vec!["10.0.0.0/8".parse().unwrap()],
            ..port(15, 25)
        };
        let apart = [range, elsewhere, udp, sourced, port(17, 80), port(16, 80)];
        let entries = written(&apart);
        assert_eq!(entries.as_array().unwrap().len(), apart.len(), "{entries}");
        assert!(!entries.to_string().contains("onward"), "{entries}");
    }

    #[test]
    fn what_older_versions_wrote_is_read() {
        let old = r#"{"ports":[{"protocol":"tcp","host_ip":"0.0.0.0","host_ports":"8000","container_ports":"80"},
            {"protocol":"tcp","host_ip":"0.0.0.0","host_ports":"8001","container_ports":"80"}]}"#;
        let read: Holder = serde_json::from_str(old).unwrap();
        assert_eq!(read.ports, [port(8000, 80), port(8001, 80)]);
        let beyond = r#"{"ports":[{"protocol":"tcp","host_ip":"0.0.0.0","host_ports":"65535","container_ports":"80",
            "onward":{"more":1,"step":"same"}}]}"#;
        assert!(serde_json::from_str::<Holder>(beyond).is_err());
    }
}
