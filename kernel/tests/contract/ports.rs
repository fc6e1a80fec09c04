//! Promises about ports of the host.

use netd_kernel::ReservePortError;
use std::slice::from_ref;

use netd_model::{EndpointId, PortRange, Protocol, PublishedPort};

use super::Machine;

const FIRST: EndpointId = EndpointId::from_bytes([1; 32]);
const SECOND: EndpointId = EndpointId::from_bytes([2; 32]);

fn published(protocol: Protocol, ip: &str, (first, last): (u16, u16)) -> PublishedPort {
    let range = PortRange::new(first, last).unwrap();
    PublishedPort {
        protocol,
        host_ip: ip.parse().unwrap(),
        host_ports: range,
        container_ports: range,
        from: Vec::new(),
    }
}

fn tcp(ip: &str, range: (u16, u16)) -> PublishedPort {
    published(Protocol::Tcp, ip, range)
}

fn is_taken(result: &Result<(), ReservePortError>, port: u16) -> bool {
    matches!(result, Err(ReservePortError::Taken { port: taken, .. }) if *taken == port)
}

pub fn ports_are_reserved_all_or_none(machine: &mut dyn Machine) {
    let kernel = machine.kernel();
    let last = tcp("0.0.0.0", (18_010, 18_010));
    kernel.reserve_ports(FIRST, from_ref(&last)).unwrap();
    let range = tcp("0.0.0.0", (18_000, 18_010));
    let udp = published(Protocol::Udp, "0.0.0.0", (18_000, 18_010));
    let refused = kernel.reserve_ports(SECOND, &[udp.clone(), range.clone()]);
    assert!(is_taken(&refused, 18_010), "{refused:?}");
    // Nothing of it was kept: the first may have all the rest.
    kernel
        .reserve_ports(FIRST, &[udp.clone(), range.clone()])
        .unwrap();
}

pub fn a_taken_port_names_its_holder(machine: &mut dyn Machine) {
    let ip = "127.0.0.1".parse().unwrap();
    let holder = machine.occupy(Protocol::Tcp, ip, 18_020);
    let kernel = machine.kernel();
    let error = kernel
        .reserve_ports(FIRST, &[tcp("0.0.0.0", (18_020, 18_020))])
        .unwrap_err();
    let ReservePortError::Taken { holder: named, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(named.as_deref(), Some(holder.as_str()));
    // The other protocol and another address are free.
    let udp = published(Protocol::Udp, "0.0.0.0", (18_020, 18_020));
    let elsewhere = tcp("127.0.0.2", (18_020, 18_020));
    kernel
        .reserve_ports(FIRST, &[udp.clone(), elsewhere.clone()])
        .unwrap();
}

pub fn reserving_again_changes_nothing(machine: &mut dyn Machine) {
    let kernel = machine.kernel();
    let range = tcp("0.0.0.0", (18_030, 18_032));
    let v6 = tcp("::", (18_030, 18_032));
    kernel
        .reserve_ports(FIRST, &[range.clone(), v6.clone()])
        .unwrap();
    kernel
        .reserve_ports(FIRST, &[range.clone(), v6.clone()])
        .unwrap();
    let local = tcp("127.0.0.1", (18_031, 18_031));
    let refused = kernel.reserve_ports(SECOND, from_ref(&local));
    assert!(is_taken(&refused, 18_031), "{refused:?}");
}

pub fn released_ports_are_free(machine: &mut dyn Machine) {
    let kernel = machine.kernel();
    let (a, b) = (
        tcp("0.0.0.0", (18_040, 18_040)),
        tcp("0.0.0.0", (18_041, 18_041)),
    );
    kernel
        .reserve_ports(FIRST, &[a.clone(), b.clone()])
        .unwrap();
    kernel.release_ports(FIRST, from_ref(&b));
    kernel.reserve_ports(SECOND, from_ref(&a)).unwrap();
    let refused = kernel.reserve_ports(SECOND, from_ref(&b));
    assert!(is_taken(&refused, 18_041), "{refused:?}");
    kernel.release_ports(FIRST, &[]);
    kernel.reserve_ports(SECOND, from_ref(&b)).unwrap();
    machine.restart();
    machine
        .kernel()
        .reserve_ports(FIRST, &[a.clone(), b.clone()])
        .unwrap();
}

pub fn only_addresses_of_the_host_have_ports(machine: &mut dyn Machine) {
    let kernel = machine.kernel();
    for ip in ["192.0.2.77", "2001:db8::77"] {
        let error = kernel
            .reserve_ports(FIRST, &[tcp(ip, (18_050, 18_050))])
            .unwrap_err();
        assert!(
            matches!(error, ReservePortError::NotMyAddress { host_ip } if host_ip.to_string() == ip),
            "{error}"
        );
    }
    kernel
        .reserve_ports(FIRST, &[tcp("127.0.0.9", (18_050, 18_050))])
        .unwrap();
}
