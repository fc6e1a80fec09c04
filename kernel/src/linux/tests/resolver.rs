//! The resolver's sockets and their redirection.

use netd_model::desired::{KernelState, SandboxState};

use super::*;

fn redirect_of(linux: &Linux, netns: NetnsId) -> Option<u16> {
    let asked = SandboxState {
        dns_redirect: Some(1),
        ..SandboxState::default()
    };
    let about = KernelState {
        sandboxes: [(netns, asked)].into(),
        ..KernelState::default()
    };
    linux.observe(&about).unwrap().sandboxes[&netns].dns_redirect
}

/// Asks port 53 of an address by UDP and by TCP, and answers.
fn ask_both_ways((linux, guest, netns): (&Linux, &Guest, NetnsId), at: &str) {
    // Before the loopback interface is up, as at a start.
    let sockets = linux.open_resolver(netns, None).unwrap();
    let port = sockets.port;
    linux.apply(&[Op::RedirectDns { netns, port }]).unwrap();
    assert_eq!(redirect_of(linux, netns), Some(port));
    guest.run("ip link set lo up");

    sockets.udp.set_nonblocking(false).unwrap();
    let udp = std::thread::spawn(move || {
        let mut buffer = [0; 64];
        let (length, from) = sockets.udp.recv_from(&mut buffer).unwrap();
        sockets.udp.send_to(b"pong", from).unwrap();
        buffer[..length].to_vec()
    });
    let answer = guest.run(&format!("printf ping | socat -t 3 -T 3 - UDP4:{at}:53"));
    assert_eq!(
        (answer.as_str(), &*udp.join().unwrap()),
        ("pong", b"ping".as_slice())
    );

    sockets.tcp.set_nonblocking(false).unwrap();
    let tcp = std::thread::spawn(move || {
        use std::io::Write;
        let (mut connection, _) = sockets.tcp.accept().unwrap();
        connection.write_all(b"pong").unwrap();
    });
    assert_eq!(
        guest.run(&format!("socat -t 3 -T 3 -u TCP4:{at}:53 -")),
        "pong"
    );
    tcp.join().unwrap();
}

/// The sockets are closed, and whoever asks knows it at once.
fn ask_nobody(guest: &Guest, at: &str) {
    for ask in [
        format!("printf ping | socat -t 3 -T 3 - UDP4:{at}:53"),
        format!("socat -u TCP4:{at}:53 -"),
    ] {
        let (success, said) = attempt(&guest.command(&ask));
        assert!(
            !success && said.contains("Connection refused"),
            "{ask}: {said}"
        );
    }
}

#[test]
fn queries_to_port_53_inside_reach_the_sockets_and_answers_come_from_there() {
    in_new_namespace(|linux| {
        let guest = Guest::start();
        let netns = pinned(&linux, &guest).netns;
        assert_eq!(redirect_of(&linux, netns), None);
        for at in ["127.0.0.11", "127.0.7.11"] {
            ask_both_ways((&linux, &guest, netns), at);
            ask_nobody(&guest, at);
        }
        // What else is in 127.0.0.0/8 is the container's own.
        for at in ["127.0.0.1", "127.0.0.53", "127.1.0.12"] {
            ask_nobody(&guest, at);
        }
        // And no connection of the container is tracked for it.
        assert_eq!(guest.run("conntrack -C").trim(), "0");
    });
}

#[test]
fn a_container_that_tracks_its_connections_sees_a_query_and_its_answer_as_one() {
    in_new_namespace(|linux| {
        let guest = Guest::start();
        let netns = pinned(&linux, &guest).netns;
        guest.run(
            "iptables -P INPUT DROP && iptables -P OUTPUT DROP && \
             iptables -A OUTPUT -m conntrack --ctstate INVALID -j DROP && \
             iptables -A OUTPUT -d 127.0.0.11 -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT && \
             iptables -A OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT && \
             iptables -A INPUT -d 127.0.0.11 -j ACCEPT && \
             iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        );
        ask_both_ways((&linux, &guest, netns), "127.0.0.11");
        // One flow for each way of asking; what ended a moment ago may be counted still.
        let flows = guest.run("conntrack -L 2>/dev/null");
        assert!(!flows.contains("UNREPLIED"), "{flows}");
        assert_eq!(flows.matches("dst=127.0.0.11").count(), 2, "{flows}");
        ask_nobody(&guest, "127.0.0.11");
    });
}

#[test]
fn a_preferred_port_is_taken_if_it_is_free() {
    in_new_namespace(|linux| {
        let guest = Guest::start();
        let netns = pinned(&linux, &guest).netns;
        let first = linux.open_resolver(netns, Some(40_053)).unwrap();
        assert_eq!(first.port, 40_053);
        let second = linux.open_resolver(netns, Some(40_053)).unwrap();
        assert_ne!(second.port, 40_053);
        assert_eq!(
            second.tcp.local_addr().unwrap(),
            second.udp.local_addr().unwrap()
        );
        drop(first);
        assert_eq!(
            linux.open_resolver(netns, Some(40_053)).unwrap().port,
            40_053
        );
    });
}

#[test]
fn a_new_redirection_replaces_the_old_and_leaves_other_rules_alone() {
    in_new_namespace(|linux| {
        let guest = Guest::start();
        let netns = pinned(&linux, &guest).netns;
        guest.run("iptables -t nat -A OUTPUT -p tcp --dport 81 -j REDIRECT --to-ports 80");
        for port in [40_001, 40_002, 40_002] {
            linux.apply(&[Op::RedirectDns { netns, port }]).unwrap();
            assert_eq!(redirect_of(&linux, netns), Some(port));
        }
        let rules = guest.run("nft list ruleset");
        assert!(!rules.contains("40001"), "{rules}");
        assert_eq!(rules.matches("dport set 40002").count(), 2, "{rules}");
        assert!(
            guest
                .run("iptables-save -t nat")
                .contains("--dport 81 -j REDIRECT")
        );
        for theft in [
            "flush chain ip netd-resolver answers",
            "delete table ip netd-resolver",
            "flush ruleset",
        ] {
            guest.run(&format!("nft {theft}"));
            assert_eq!(redirect_of(&linux, netns), None, "{theft}");
            linux
                .apply(&[Op::RedirectDns {
                    netns,
                    port: 40_003,
                }])
                .unwrap();
            assert_eq!(redirect_of(&linux, netns), Some(40_003));
        }
        assert!(!run("nft list ruleset").contains("40003"));
    });
}

#[test]
fn many_sandboxes_are_looked_at_in_little_time() {
    in_new_namespace(|linux| {
        let bare: Vec<Bare> = (0..200).map(|_| Bare::make()).collect();
        let mut about = KernelState::default();
        for each in &bare {
            let netns = linux.adopt(each.handle()).unwrap().netns;
            linux
                .apply(&[Op::RedirectDns {
                    netns,
                    port: 40_053,
                }])
                .unwrap();
            let asked = SandboxState {
                dns_redirect: Some(40_053),
                ..SandboxState::default()
            };
            about.sandboxes.insert(netns, asked);
        }
        for which in ["first", "second"] {
            let start = std::time::Instant::now();
            let seen = linux.observe(&about).unwrap();
            let took = start.elapsed();
            eprintln!("200 sandboxes observed in {took:?}, the {which} time");
            let port = |state: &SandboxState| state.dns_redirect;
            assert!(
                seen.sandboxes
                    .values()
                    .all(|state| port(state) == Some(40_053))
            );
            assert!(took < Duration::from_secs(2), "{took:?}");
        }
    });
}
