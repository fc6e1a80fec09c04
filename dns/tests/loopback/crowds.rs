//! Many questions at a time: each asker gets the answers to its own questions, each answer in a packet of its own,
//! however the resolver took and sent them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::RData;
use netd_dns::Forwarding;

use crate::rig::{DEADLINE, Rig, host, in_namespace, query, server, to, view};
use crate::upstream::Upstream;

/// Questions of one asker: more than the resolver takes at a time, and for three askers not more than its socket keeps.
const QUESTIONS: u16 = 80;

/// Hosts `web0`, `web1`, ... with an address for each, which the last number tells.
fn hosts(rig: &Rig, count: u8) {
    let hosts = (0..count).map(|n| host(&[&format!("web{n}")], &[&format!("10.0.0.{n}")]));
    rig.put(1, "net1", hosts.collect());
}

/// Asks for names in turn, all before the resolver gets to run: its runtime has this thread only.
fn ask(names: &[String], ids: impl Iterator<Item = u16>) -> UdpSocket {
    ask_at(server(1), names, ids)
}

fn ask_at(server: SocketAddr, names: &[String], ids: impl Iterator<Item = u16>) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    for (id, name) in ids.zip(names.iter().cycle()) {
        socket.send(&query(id, name)).unwrap();
    }
    socket
}

/// The answers that come, by id: the name that was asked for and the address.
async fn answers(socket: UdpSocket, count: usize) -> BTreeMap<u16, (String, Option<IpAddr>)> {
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
    let mut packet = [0; 4096];
    let mut found = BTreeMap::new();
    while found.len() < count {
        let received = tokio::time::timeout(DEADLINE / 2, socket.recv(&mut packet));
        let length = received.await.expect("an answer is missing").unwrap();
        let message = Message::from_vec(&packet[..length]).unwrap();
        let address = message.answers.first().map(|record| match record.data {
            RData::A(address) => IpAddr::V4(address.0),
            _ => panic!("{record}"),
        });
        let name = message.queries[0].name().to_string();
        let before = found.insert(message.id, (name, address));
        assert_eq!(before, None, "one answer for each question");
    }
    let more = tokio::time::timeout(Duration::from_millis(20), socket.recv(&mut packet));
    assert!(more.await.is_err(), "and no more");
    found
}

fn names(count: u8) -> Vec<String> {
    (0..count).map(|n| format!("web{n}")).collect()
}

fn check(found: &BTreeMap<u16, (String, Option<IpAddr>)>, first: u16, names: &[String]) {
    for (place, name) in (0..QUESTIONS).zip(names.iter().cycle()) {
        let number: u8 = name.trim_start_matches("web").parse().unwrap();
        let expected = (format!("{name}."), Some(IpAddr::from([10, 0, 0, number])));
        assert_eq!(found[&(first + place)], expected);
    }
}

/// UDP packets sent in this namespace so far, as the kernel counts them (proc(5), `/proc/net/snmp`).
fn packets_sent() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Udp:"));
    let heads = lines.next().unwrap().split_whitespace();
    let counts = lines.next().unwrap().split_whitespace();
    let (_, count) = heads
        .zip(counts)
        .find(|(head, _)| *head == "OutDatagrams")
        .unwrap();
    count.parse().unwrap()
}

#[test]
fn each_asker_of_a_crowd_gets_the_answers_to_its_questions() {
    in_namespace(|| async {
        let rig = Rig::new(|_| {});
        // Lengths of two kinds, in turn.
        hosts(&rig, 20);
        rig.serve(1, view(1, Forwarding::Refuse));
        let (all, firsts) = (names(20), [1000, 2000, 3000]);
        let sockets = firsts.map(|first| ask(&all, first..first + QUESTIONS));
        for (socket, first) in sockets.into_iter().zip(firsts) {
            let found = answers(socket, QUESTIONS.into()).await;
            check(&found, first, &all);
        }
        let asked = u64::from(QUESTIONS) * 3;
        assert_eq!(rig.resolver.stats().answered_locally, asked);
        let sent = packets_sent() - asked;
        assert!(sent < asked / 4, "{sent} for {asked} answers");
    });
}

#[test]
fn where_answers_cannot_go_together_each_goes_alone() {
    in_namespace(|| async {
        let rig = Rig::new(|_| {});
        hosts(&rig, 10);
        rig.serve(1, view(1, Forwarding::Refuse));
        // An answer of 47 bytes does not fit into such a packet: the kernel refuses to part there (udp(7)), and fragments.
        let narrow = Command::new("ip")
            .args(["link", "set", "lo", "mtu", "68"])
            .status();
        assert!(narrow.unwrap().success());
        let all: Vec<_> = names(10);
        let qualified: Vec<_> = all.iter().map(|name| format!("{name}.net1")).collect();
        let socket = ask(&qualified, 0..QUESTIONS);
        let found = answers(socket, QUESTIONS.into()).await;
        assert_eq!(found[&7].1, Some(IpAddr::from([10, 0, 0, 7])));
        assert!(packets_sent() >= u64::from(QUESTIONS) * 2);
    });
}

#[test]
fn forwarded_and_unreadable_questions_among_others_hold_up_nobody() {
    in_namespace(|| async {
        let upstream = Upstream::good(2).await;
        let rig = Rig::new(|_| {});
        hosts(&rig, 1);
        rig.serve(1, view(1, to(&[upstream.address])));
        let mixed = ["web0", "elsewhere.test"].map(str::to_owned);
        let socket = ask(&mixed, 0..40);
        // Nothing; a part of a header; a response.
        for noise in [
            &[][..],
            &[1, 2, 3],
            &[0, 9, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            socket.send(noise).unwrap();
        }
        let found = answers(socket, 40).await;
        for (id, (name, address)) in &found {
            let (expected, last) = match id % 2 {
                0 => ("web0.", [10, 0, 0, 0]),
                _ => ("elsewhere.test.", [203, 0, 113, 2]),
            };
            assert_eq!((name.as_str(), *address), (expected, Some(last.into())));
        }
        assert_eq!(rig.resolver.stats().queries, 43);
    });
}

#[test]
fn a_crowd_behind_a_redirection_is_answered_from_the_port_that_it_asked() {
    in_namespace(|| async {
        let rig = Rig::new(|_| {});
        hosts(&rig, 20);
        rig.serve(1, view(1, Forwarding::Refuse));
        // As in a sandbox, but for who stands behind it.
        let table = "add table ip resolver; \
            add chain ip resolver output { type nat hook output priority -100; }; \
            add rule ip resolver output ip daddr 127.0.0.12 udp dport 53 dnat to 127.0.0.11:53";
        assert!(Command::new("nft").arg(table).status().unwrap().success());
        let all = names(20);
        // A connected socket takes answers of its peer only.
        let sockets =
            [1000, 2000].map(|first| (ask_at(server(2), &all, first..first + QUESTIONS), first));
        for (socket, first) in sockets {
            check(&answers(socket, QUESTIONS.into()).await, first, &all);
        }
        let asked = u64::from(QUESTIONS) * 2;
        let sent = packets_sent() - asked;
        assert!(sent < asked / 4, "{sent} for {asked} answers");
    });
}
