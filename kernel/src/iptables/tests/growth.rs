//! What a change asks of the kernel does not grow with what stands already: counted in the kernel's own notices.

use std::io::ErrorKind;

use netd_model::ruleset::RulesetChange;
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::libc;

use super::super::Flavour;
use super::lab::{FLAVOURS, Host, with_own_table};
use super::wish::{endpoint, network, port, wish};
use crate::Firewall;
use crate::linux::session::{Messages, receive};

/// Hears of everything that is done to nf_tables there.
fn ear(host: &Host<dyn Firewall>) -> Socket {
    host.node.run(|| {
        let mut socket = Socket::new(NETLINK_NETFILTER).unwrap();
        socket.bind_auto().unwrap();
        socket.set_rx_buf_sz(8_u32 << 20).unwrap();
        socket.set_non_blocking(true).unwrap();
        let group = libc::NFNLGRP_NFTABLES.cast_unsigned();
        socket.add_membership(group).unwrap();
        socket
    })
}

/// How many notices came since the last call. They are there as soon as the transaction is done.
fn notices(socket: &Socket) -> usize {
    let mut buffer = vec![0; 64 * 1024];
    let mut count = 0;
    loop {
        match receive(socket, &mut buffer) {
            Ok(length) => count += Messages(&buffer[..length]).count(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Notices of one endpoint that comes and goes beside as many ports.
fn notices_beside(host: &Host<dyn Firewall>, ports: u16) -> [usize; 2] {
    let net = network(1, "br-1", "10.1.0.0/16");
    let (id, mut many) = endpoint(1, 1, "10.1.0.2", &[]);
    let ports = (0..ports).map(|n| (10_000 + 2 * n, 1000 + 3 * n));
    many.ports = ports
        .map(|(host, container)| port(&format!("0.0.0.0:{host}->{container}/tcp")))
        .collect();
    let mut wanted = wish(&[net], &[(id, many)], false);
    host.apply(&wanted);
    let ear = ear(host);
    let (id, one) = endpoint(2, 1, "10.1.0.3", &["0.0.0.0:8080->80/tcp"]);
    [
        RulesetChange::PutEndpoint(id, one),
        RulesetChange::RemoveEndpoint(id),
    ]
    .map(|change| {
        wanted.change(change.clone());
        let (firewall, wanted) = (host.firewall.clone(), wanted.clone());
        host.node
            .run(move || firewall.change(&wanted, &[change]).unwrap());
        notices(&ear)
    })
}

#[test]
fn a_change_is_as_large_beside_a_thousand_ports_as_alone() {
    let by_programs = FLAVOURS.into_iter().filter(|one| one.0 == Flavour::Nft);
    let by_programs = by_programs.map(|flavour| Host::new(flavour).any());
    for host in by_programs.chain([with_own_table()]) {
        let alone = notices_beside(&host, 1);
        assert!(
            alone.iter().all(|count| (2..=4).contains(count)),
            "{alone:?}"
        );
        assert_eq!(notices_beside(&host, 1000), alone, "{}", host.name);
    }
}
