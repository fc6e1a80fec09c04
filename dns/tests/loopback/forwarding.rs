//! Names of the world: cached, shared, from the servers that the view names.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use netd_dns::{Forwarding, Upstreams};
use tokio::sync::Semaphore;

use crate::rig::{DEADLINE, Rig, dig, dig_at, in_namespace, query, server, to, view};
use crate::upstream::{Over, Upstream, denial, packet, with_a, with_code};

#[test]
fn an_answer_is_passed_on_in_the_asked_case_and_kept() {
    in_namespace(|| async {
        let upstream = Upstream::good(1).await;
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[upstream.address])));
        let dug = dig("+noedns Www.Up.test A").await;
        assert_eq!(
            (dug.status.as_str(), dug.flags.as_str()),
            ("NOERROR", "qr rd ra")
        );
        assert_eq!(dug.answers[0][..2], ["Www.Up.test.", "100"]);
        assert!(!dug.text.contains("OPT PSEUDOSECTION"), "{}", dug.text);
        let again = dig("wWW.up.TEST A").await;
        let ttl_s: u32 = again.answers[0][1].parse().unwrap();
        assert!((90..=100).contains(&ttl_s), "{ttl_s}");
        assert_eq!(again.answers[0][0], "wWW.up.TEST.");
        assert!(again.text.contains("udp: 1232"), "{}", again.text);
        assert_eq!(dig("+tcp www.up.test A").await.data(), ["203.0.113.1"]);
        let stats = rig.resolver.stats();
        assert_eq!(
            (upstream.seen(), stats.forwarded, stats.cache_hits),
            (1, 3, 2)
        );
    });
}

#[test]
fn ttls_count_down_in_the_cache_and_end() {
    in_namespace(|| async {
        let upstream = Upstream::start(1, |query, _| vec![packet(&with_a(query, 2, 1))]).await;
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[upstream.address])));
        let mut ttls = Vec::new();
        let begun = Instant::now();
        while upstream.seen() < 2 {
            assert!(begun.elapsed() < DEADLINE / 2);
            ttls.push(dig("short.test A").await.answers[0][1].clone());
        }
        ttls.dedup();
        assert_eq!(ttls, ["2", "1", "2"]);
    });
}

#[test]
fn what_may_not_be_kept_is_asked_again() {
    in_namespace(|| async {
        let upstream = Upstream::start(1, |query, _| {
            let name = query.queries[0].name().to_ascii();
            vec![packet(&match name.as_str() {
                "zero.test." => with_a(query, 0, 1),
                "denied.test." => denial(query, 20),
                "denied0.test." => denial(query, 0),
                "empty.test." => with_code(query, ResponseCode::NoError),
                _ => with_code(query, ResponseCode::Refused),
            })]
        })
        .await;
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[upstream.address])));
        for (name, status, seen) in [
            ("zero.test", "NOERROR", 2),
            ("denied.test", "NXDOMAIN", 3),
            ("denied0.test", "NXDOMAIN", 5),
            ("empty.test", "NOERROR", 7),
            ("refused.test", "REFUSED", 9),
        ] {
            for _ in 0..2 {
                assert_eq!(dig(name).await.status, status);
            }
            assert_eq!(upstream.seen(), seen, "{name}");
        }
    });
}

#[test]
fn dnssec_bits_pass_and_are_kept_apart() {
    in_namespace(|| async {
        let upstream = Upstream::start(1, |query, _| {
            let mut answer = with_a(query, 100, 1);
            answer.metadata.authentic_data = true;
            vec![packet(&answer)]
        })
        .await;
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[upstream.address])));
        assert_eq!(dig("+noadflag +noedns www.test A").await.flags, "qr rd ra");
        assert_eq!(dig("+adflag +noedns www.test A").await.flags, "qr rd ra ad");
        assert_eq!(
            dig("+noadflag +dnssec +cdflag www.test A").await.flags,
            "qr rd ra ad cd"
        );
        let bits: Vec<_> = upstream
            .queries()
            .iter()
            .map(|query| {
                let dnssec_ok = query.edns.as_ref().unwrap().flags().dnssec_ok;
                (
                    query.metadata.authentic_data,
                    dnssec_ok,
                    query.metadata.checking_disabled,
                )
            })
            .collect();
        assert_eq!(
            bits,
            [
                (false, false, false),
                (true, false, false),
                (false, true, true)
            ]
        );
    });
}

#[test]
fn equal_questions_under_way_are_asked_once() {
    in_namespace(|| async {
        let gate = Arc::new(Semaphore::new(0));
        let (closed, upstream) = (Arc::clone(&gate), Upstream::silent(2).await);
        let held = Upstream::start(1, move |query, _| match closed.try_acquire() {
            Ok(_) => vec![packet(&with_a(query, 100, 7))],
            Err(_) => Vec::new(),
        })
        .await;
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[held.address])));
        rig.serve(2, view(1, to(&[held.address])));
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for id in 1..=20_u16 {
            socket
                .send_to(&query(id, "slow.test"), server(1 + (id % 2) as u8))
                .await
                .unwrap();
        }
        rig.until(|stats| stats.shared == 19).await;
        assert_eq!(rig.resolver.stats().upstream_queries, 1);
        gate.add_permits(1);
        let mut ids = Vec::new();
        for _ in 0..20 {
            let mut answer = [0; 512];
            let length = socket.recv(&mut answer).await.unwrap();
            assert_eq!(answer[length - 4..length], [203, 0, 113, 7]);
            ids.push(u16::from_be_bytes([answer[0], answer[1]]));
        }
        ids.sort_unstable();
        assert_eq!(ids, (1..=20).collect::<Vec<_>>());
        assert_eq!(
            (rig.resolver.stats().upstream_queries, upstream.seen()),
            (1, 0)
        );
    });
}

#[test]
fn one_sandboxs_servers_do_not_answer_for_another_ones() {
    in_namespace(|| async {
        let (one, two) = (Upstream::good(1).await, Upstream::good(2).await);
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[one.address])));
        rig.serve(2, view(1, to(&[two.address])));
        assert_eq!(dig("www.test A").await.data(), ["203.0.113.1"]);
        assert_eq!(dig_at(2, "www.test A").await.data(), ["203.0.113.2"]);
    });
}

#[test]
fn long_answers_are_fetched_over_tcp() {
    in_namespace(|| async {
        let upstream = Upstream::start(1, |query, over| {
            let mut answer = with_code(query, ResponseCode::NoError);
            if over == Over::Udp {
                answer.metadata.truncation = true;
            } else {
                for last in 1..=100 {
                    answer.add_answers(with_a(query, 100, last).answers);
                }
            }
            vec![packet(&answer)]
        })
        .await;
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[upstream.address])));
        assert_eq!(dig("+noedns +ignore www.test A").await.flags, "qr tc rd ra");
        assert_eq!(dig("+noedns www.test A").await.answers.len(), 100);
        assert_eq!(upstream.seen(), 2, "UDP, then TCP, then the cache");
    });
}

#[test]
fn a_server_without_edns_is_asked_without() {
    in_namespace(|| async {
        let upstream = Upstream::start(1, |query, _| {
            if query.edns.is_none() {
                return vec![packet(&with_a(query, 100, 1))];
            }
            let mut bare = packet(&with_code(query, ResponseCode::FormErr));
            bare.truncate(12);
            bare[4..12].fill(0);
            vec![bare]
        })
        .await;
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[upstream.address])));
        assert_eq!(dig("www.test A").await.data(), ["203.0.113.1"]);
    });
}

#[test]
fn a_changed_resolv_conf_is_followed() {
    in_namespace(|| async {
        let (one, two) = (Upstream::good(1).await, Upstream::good(2).await);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        std::fs::write(
            &path,
            format!("nameserver 127.0.0.11\nnameserver {}\n", one.address.ip()),
        )
        .unwrap();
        let followed = path.clone();
        let rig = Rig::new(move |options| options.resolv_conf = followed);
        rig.serve(1, view(1, Forwarding::To(Upstreams::Host)));
        assert_eq!(dig("www.test A").await.data(), ["203.0.113.1"]);
        let mut replacement = tempfile::NamedTempFile::new_in(directory.path()).unwrap();
        writeln!(replacement, "nameserver {}", two.address.ip()).unwrap();
        replacement.persist(&path).unwrap();
        let changed = Instant::now();
        while dig("www.test A").await.data() != ["203.0.113.2"] {
            assert!(
                changed.elapsed() < Duration::from_secs(5),
                "the change was not noticed"
            );
        }
        std::fs::remove_file(&path).unwrap();
        let removed = Instant::now();
        while dig("www.test A").await.status != "SERVFAIL" {
            assert!(
                removed.elapsed() < Duration::from_secs(5),
                "the removal was not noticed"
            );
        }
        std::fs::write(&path, format!("nameserver {}\n", one.address.ip())).unwrap();
        let back = Instant::now();
        while dig("www.test A").await.data() != ["203.0.113.1"] {
            assert!(
                back.elapsed() < Duration::from_secs(5),
                "the new file was not noticed"
            );
        }
    });
}
