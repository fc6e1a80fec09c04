//! Our reading and writing of packets held against hickory's, over chance packets: what both read means the same, what
//! we write hickory reads, and nothing makes either end.

use std::sync::LazyLock;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{RData, Record};
use netd_model::{ContainerId, EndpointId, NetworkId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::answer::{Scope, Step, Transport};
use crate::question::Question;
use crate::stats::Counters;
use crate::{Directory, Forwarding, HostEntry, NetworkZone, View};

const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);

/// `web` has an address of each family, `many` has 60 of IPv4.
static NAMES: LazyLock<Directory> = LazyLock::new(|| {
    let host = |number: u8, name: &str, addresses: &[&str]| HostEntry {
        endpoint: EndpointId::from_bytes([number; 32]),
        container: ContainerId::from_bytes([number; 32]),
        names: vec![name.to_owned()],
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
    };
    let mut entries = vec![host(0, "web", &["10.0.0.1", "fd00::1"])];
    entries.extend((1..=60).map(|n| host(n, "many", &[&format!("10.0.1.{n}")])));
    let directory = Directory::default();
    let zone = NetworkZone {
        name: "net1".parse().unwrap(),
        entries,
    };
    directory.put_network(NETWORK, &zone);
    directory
});

/// What becomes of a packet, and the answer if there is one.
fn answered(packet: &[u8], by: Transport) -> (Step, Vec<u8>) {
    let counters = Counters::default();
    let view = View {
        networks: vec![NETWORK],
        forwarding: Forwarding::Refuse,
    };
    let scope = Scope {
        names: &NAMES.snapshot(),
        view: &view,
        counters: &counters,
    };
    let mut out = Vec::new();
    let step = scope.answer(packet, by, &mut out);
    (step, out)
}

/// An EDNS record: size offered, flags, options.
type Opt = (u16, u16, Vec<u8>);

/// Header, question and perhaps EDNS, by hand.
fn packet(id: u16, flags: u16, question: &(String, u16, u16), edns: Option<&Opt>) -> Vec<u8> {
    let (name, kind, class) = question;
    let words = [id, flags, 1, 0, 0, edns.is_some().into()];
    let mut packet: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    packet.extend(crate::name::labels_of(name).unwrap_or_default());
    packet.push(0);
    packet.extend([*kind, *class].iter().flat_map(|word| word.to_be_bytes()));
    if let Some((size, flags, option)) = edns {
        packet.extend([0, 0, 41]);
        packet.extend(size.to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(flags.to_be_bytes());
        let length = u16::try_from(option.len()).unwrap();
        // One option of a number that nobody has (RFC 6891 section 9: for local use).
        packet.extend((length + 4).to_be_bytes());
        packet.extend(65_001_u16.to_be_bytes());
        packet.extend(length.to_be_bytes());
        packet.extend(option);
    }
    packet
}

prop_compose! {
    fn queries()(
        id in any::<u16>(),
        flags in select(vec![0x0000_u16, 0x0100, 0x0110, 0x0120, 0x0130]),
        name in prop_oneof![
            select(vec!["web", "WeB.NET1", "many", "1.0.0.10.in-addr.arpa"]).prop_map(str::to_owned),
            "[a-zA-Z0-9_-]{1,20}(\\.[a-zA-Z0-9_-]{1,20}){0,4}",
        ],
        kind in prop_oneof![select(vec![1_u16, 28, 12, 15, 16, 255, 65]), 1_u16..=40, 42_u16..=300],
        class in prop_oneof![9 => Just(1_u16), 1 => select(vec![3_u16, 4, 255])],
        edns in proptest::option::of((any::<u16>(), select(vec![0_u16, 0x8000]), vec(any::<u8>(), 0..24))),
    ) -> Vec<u8> {
        packet(id, flags, &(name, kind, class), edns.as_ref())
    }
}

fn same_meaning(ours: &Question<'_>, theirs: &Message) {
    let asked = &theirs.queries[0];
    let mut name = asked.name().to_lowercase().to_ascii();
    if name != "." {
        name.truncate(name.len() - 1);
    }
    let key = crate::name::labels_of(&name).unwrap_or_default();
    // Text is ambiguous where a label holds what must be escaped; elsewhere the names are the same.
    if !name.contains('\\') {
        assert_eq!(ours.key().as_bytes(), key);
    }
    assert_eq!(
        (theirs.message_type, theirs.op_code),
        (MessageType::Query, OpCode::Query)
    );
    assert_eq!(ours.id, theirs.id);
    assert_eq!(ours.kind(), u16::from(asked.query_type()));
    assert_eq!(ours.class(), u16::from(asked.query_class()));
    assert_eq!(ours.flags & 0x0100 != 0, theirs.recursion_desired);
    assert_eq!(ours.flags & 0x0010 != 0, theirs.checking_disabled);
    let edns = theirs.edns.as_ref();
    assert_eq!(
        ours.edns
            .map(|edns| (edns.udp_bytes.max(512), edns.dnssec_ok)),
        edns.map(|edns| (edns.max_payload().max(512), edns.flags().dnssec_ok)),
    );
}

fn check(packet: &[u8]) {
    let ours = Question::parse(packet);
    let theirs = Message::from_vec(packet).ok();
    if let (Some(ours), Some(theirs)) = (&ours, &theirs) {
        same_meaning(ours, theirs);
    }
    for by in [Transport::Udp, Transport::Tcp] {
        let (step, answer) = answered(packet, by);
        if matches!(step, Step::Ignore) {
            continue;
        }
        assert!(matches!(step, Step::Reply), "nothing is forwarded here");
        let read = Message::from_vec(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
        assert_eq!(read.message_type, MessageType::Response);
        assert_eq!(answer[..2], packet[..2]);
        if let Some(ours) = &ours {
            assert!(answer.len() <= by.limit(ours));
            assert_eq!(
                &answer[12..12 + ours.raw().len()],
                ours.raw(),
                "in the case asked"
            );
            assert_eq!(read.edns.is_some(), ours.edns.is_some());
            assert_eq!(read.recursion_desired, ours.flags & 0x0100 != 0);
        }
    }
}

fn data(answer: &[u8]) -> Vec<String> {
    let message = Message::from_vec(answer).unwrap();
    let text = |record: &Record| match &record.data {
        RData::A(address) => address.0.to_string(),
        RData::AAAA(address) => address.0.to_string(),
        RData::PTR(name) => name.0.to_string(),
        other => panic!("{other}"),
    };
    message.answers.iter().map(text).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_regular_query_is_read_as_hickory_reads_it(packet in queries()) {
        prop_assert!(Question::parse(&packet).is_some());
        prop_assert!(Message::from_vec(&packet).is_ok());
        check(&packet);
    }

    #[test]
    fn a_query_with_chance_errors_is_read_alike_or_refused(
        packet in queries(),
        errors in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in 0..4_usize,
        tail in vec(any::<u8>(), 0..12),
    ) {
        let mut packet = packet;
        for (at, byte) in errors {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        packet.truncate(packet.len() - cut);
        packet.extend(tail);
        check(&packet);
    }

    #[test]
    fn noise_is_refused_or_ignored(packet in vec(any::<u8>(), 0..600)) {
        check(&packet);
    }
}

#[test]
fn known_names_get_what_is_known_of_them_whichever_way() {
    let cases = [
        ("web", 1, vec!["10.0.0.1"]),
        ("WEB.net1", 28, vec!["fd00::1"]),
        ("web", 255, vec!["10.0.0.1", "fd00::1"]),
        ("web", 16, vec![]),
        ("1.0.0.10.in-addr.arpa", 12, vec!["web.net1."]),
    ];
    for (name, kind, expected) in cases {
        for edns in [None, Some((1232, 0, vec![7; 9]))] {
            let query = packet(7, 0x0100, &(name.to_owned(), kind, 1), edns.as_ref());
            for by in [Transport::Udp, Transport::Tcp] {
                let (step, answer) = answered(&query, by);
                assert!(matches!(step, Step::Reply));
                assert_eq!(data(&answer), expected, "{name} {kind}");
                let read = Message::from_vec(&answer).unwrap();
                assert_eq!(read.response_code, ResponseCode::NoError);
            }
        }
    }
}
