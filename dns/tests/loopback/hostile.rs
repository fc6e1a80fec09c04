//! Upstreams that are away, silent or lying: never a wrong answer, never a wait beyond what is promised.

use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use netd_dns::{Forwarding, Upstreams};

use crate::rig::{Rig, dig, in_namespace, server, to, view};
use crate::upstream::{Over, Upstream, packet, with_a, with_code};

/// Far less than any repetition or patience: "at once", on a slow machine.
const AT_ONCE: Duration = Duration::from_millis(900);

#[test]
fn no_server_or_none_that_listens_is_servfail_at_once() {
    in_namespace(|| async {
        let rig = Rig::new(|_| {});
        let closed = [([127, 0, 1, 1], 53).into(), ([127, 0, 1, 2], 53).into()];
        let forwardings = [
            to(&closed),
            to(&[]),
            to(&[server(1)]),
            to(&[([198, 51, 100, 1], 53).into()]),
            Forwarding::To(Upstreams::Host),
        ];
        rig.serve(1, view(1, Forwarding::Refuse));
        for forwarding in forwardings {
            rig.resolver
                .set_view(crate::rig::sandbox(1), view(1, forwarding.clone()))
                .unwrap();
            let dug = dig("www.test A").await;
            assert_eq!(dug.status, "SERVFAIL", "{forwarding:?}: {}", dug.text);
            assert!(dug.took < AT_ONCE, "{forwarding:?}: {:?}", dug.took);
        }
    });
}

#[test]
fn a_silent_server_is_overtaken_and_then_asked_last() {
    in_namespace(|| async {
        let (silent, good) = (Upstream::silent(1).await, Upstream::good(2).await);
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[silent.address, good.address])));
        let first = dig("one.test A").await;
        assert_eq!(first.data(), ["203.0.113.2"]);
        assert!(
            first.took >= Duration::from_millis(250) && first.took < AT_ONCE,
            "{:?}",
            first.took
        );
        assert_eq!(dig("two.test A").await.data(), ["203.0.113.2"]);
        assert_eq!(silent.seen(), 1);
    });
}

#[test]
fn only_silence_ends_in_servfail_within_four_seconds() {
    in_namespace(|| async {
        let (one, two) = (Upstream::silent(1).await, Upstream::silent(2).await);
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[one.address, two.address])));
        let dug = dig("www.test A").await;
        assert_eq!(dug.status, "SERVFAIL");
        assert!(dug.took < Duration::from_millis(4900), "{:?}", dug.took);
        assert!(one.seen() >= 3 && two.seen() >= 3, "each is asked again");
        assert_eq!(rig.resolver.stats().upstream_failures, 1);
    });
}

#[test]
fn a_server_that_refuses_leaves_the_word_to_the_next() {
    in_namespace(|| async {
        let refusing = Upstream::start(1, |query, _| {
            vec![packet(&with_code(query, ResponseCode::Refused))]
        })
        .await;
        let good = Upstream::good(2).await;
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[refusing.address, good.address])));
        let dug = dig("www.test A").await;
        assert_eq!(dug.data(), ["203.0.113.2"]);
        assert!(dug.took < AT_ONCE, "{:?}", dug.took);
    });
}

/// What a liar says before, or instead of, the truth.
fn lies(query: &Message) -> Vec<Vec<u8>> {
    let mut other_id = with_a(query, 100, 66);
    other_id.metadata.id ^= 1;
    let mut other_question = with_a(query, 100, 66);
    other_question.queries[0].set_name("other.test.".parse().unwrap());
    let mut no_question = with_a(query, 100, 66);
    no_question.queries.clear();
    let truth = packet(&with_a(query, 100, 66));
    let question_end = 12 + query.queries[0].name().len() + 4;
    let mut looped = truth.clone();
    let at = u8::try_from(question_end).unwrap();
    looped[question_end..question_end + 2].copy_from_slice(&[0xc0, at]);
    let mut no_response = truth.clone();
    no_response[2] &= 0x7f;
    let mut many_records = truth.clone();
    many_records[6..8].copy_from_slice(&[0xff, 0xff]);
    vec![
        packet(&other_id),
        packet(&other_question),
        packet(&no_question),
        looped,
        no_response,
        many_records,
        truth[..truth.len() - 3].to_vec(),
        truth[..12].to_vec(),
        vec![0xff; 600],
        vec![0; 60_000],
        Vec::new(),
    ]
}

#[test]
fn lies_are_counted_and_the_truth_behind_them_is_heard() {
    in_namespace(|| async {
        let liar = Upstream::start(1, |query, _| {
            let mut packets = lies(query);
            packets.push(packet(&with_a(query, 100, 1)));
            packets
        })
        .await;
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[liar.address])));
        assert_eq!(dig("www.test A").await.data(), ["203.0.113.1"]);
        assert_eq!(rig.resolver.stats().upstream_lies, 11);
    });
}

#[test]
fn a_server_that_only_lies_is_left_for_another() {
    in_namespace(|| async {
        let liar = Upstream::start(1, |query, _| [lies(query), lies(query)].concat()).await;
        let good = Upstream::good(2).await;
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[liar.address, good.address])));
        let dug = dig("www.test A").await;
        assert_eq!(dug.data(), ["203.0.113.2"]);
        assert!(dug.took < AT_ONCE, "{:?}", dug.took);
        rig.resolver
            .set_view(crate::rig::sandbox(1), view(1, to(&[liar.address])))
            .unwrap();
        let alone = dig("alone.test A").await;
        assert_eq!(alone.status, "SERVFAIL");
        assert!(
            alone.took < AT_ONCE,
            "after so many lies nothing is waited for: {:?}",
            alone.took
        );
    });
}

#[test]
fn lies_over_tcp_are_no_answer_either() {
    in_namespace(|| async {
        for lie in 0..10 {
            let liar = Upstream::start(lie + 10, move |query, over| {
                let mut cut = with_code(query, ResponseCode::NoError);
                cut.metadata.truncation = true;
                match over {
                    Over::Udp => vec![packet(&cut)],
                    Over::Tcp => vec![lies(query).swap_remove(usize::from(lie))],
                }
            })
            .await;
            let good = Upstream::good(lie + 100).await;
            let rig = Rig::new(|_| {});
            rig.serve(lie + 1, view(1, to(&[liar.address, good.address])));
            let dug = crate::rig::dig_at(lie + 1, "www.test A").await;
            assert_eq!(
                dug.data(),
                [format!("203.0.113.{}", lie + 100)],
                "{lie}: {}",
                dug.text
            );
        }
    });
}

#[test]
fn edns_between_other_records_is_taken_out_whole() {
    in_namespace(|| async {
        let upstream = Upstream::start(1, |query, _| {
            let mut plain = with_a(query, 100, 1);
            plain.edns = None;
            let mut bytes = packet(&plain);
            bytes[11] = 2;
            bytes.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
            // A second record behind it, its name a pointer to the question's.
            bytes.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 50, 0, 4, 203, 0, 113, 9]);
            vec![bytes]
        })
        .await;
        let rig = Rig::new(|_| {});
        rig.serve(1, view(1, to(&[upstream.address])));
        let dug = dig("+noedns www.test A").await;
        assert!(
            dug.text.contains("ADDITIONAL: 1") && dug.text.contains("203.0.113.9"),
            "{}",
            dug.text
        );
        assert_eq!(dug.data(), ["203.0.113.1"]);
    });
}
