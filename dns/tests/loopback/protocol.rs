//! The protocol around the names: EDNS, truncation, TCP, and what is no standard query.

use netd_dns::Forwarding;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{Rig, dig, host, in_namespace, query, raw, server, view};

/// `few` has one holder, `many` has 100: 1,600 bytes of records.
fn crowd() -> Rig {
    let rig = Rig::new(|_| {});
    let mut hosts: Vec<_> = (1..=100)
        .map(|n| host(&["many"], &[&format!("10.0.0.{n}")]))
        .collect();
    hosts.push(host(&["few"], &["10.0.1.1"]));
    rig.put(1, "net1", hosts);
    rig.serve(1, view(1, Forwarding::Refuse));
    rig
}

#[test]
fn edns_is_answered_with_edns() {
    in_namespace(|| async {
        let _rig = crowd();
        for words in ["few A", "few MX", "nosuchname A", "+tcp few A"] {
            let dug = dig(&format!("+bufsize=4000 {words}")).await;
            assert!(
                dug.text.contains("EDNS: version: 0, flags:; udp: 1232"),
                "{}",
                dug.text
            );
        }
        let dug = dig("+dnssec +cdflag few A").await;
        assert!(
            dug.text.contains("EDNS: version: 0, flags: do; udp: 1232"),
            "{}",
            dug.text
        );
        assert_eq!(dug.flags, "qr rd ra cd");
        let dug = dig("+edns=7 +noednsnegotiation few A").await;
        assert_eq!(dug.status, "BADVERS", "{}", dug.text);
        assert!(dug.text.contains("udp: 1232"), "{}", dug.text);
    });
}

#[test]
fn what_does_not_fit_is_cut_marked_and_whole_over_tcp() {
    in_namespace(|| async {
        let _rig = crowd();
        for (words, edns, bytes) in [
            ("+noedns", false, 512),
            ("+bufsize=512", true, 512),
            ("+bufsize=1232", true, 1232),
        ] {
            let dug = dig(&format!("{words} +ignore many A")).await;
            assert_eq!(
                (dug.status.as_str(), dug.flags.as_str()),
                ("NOERROR", "qr tc rd ra")
            );
            assert_eq!(dug.text.contains("OPT PSEUDOSECTION"), edns, "{}", dug.text);
            let size = dug
                .text
                .split_once("rcvd: ")
                .unwrap()
                .1
                .lines()
                .next()
                .unwrap();
            let size: usize = size.trim().parse().unwrap();
            assert!(size <= bytes && size > bytes - 32, "{size} of {bytes}");
        }
        assert_eq!(
            dig("+noedns many A").await.answers.len(),
            100,
            "dig goes to TCP by itself"
        );
        assert_eq!(dig("+bufsize=4096 +ignore many A").await.answers.len(), 100);
        assert_eq!(dig("+tcp +noedns few A").await.data(), ["10.0.1.1"]);
    });
}

#[test]
fn one_tcp_connection_takes_many_queries_in_any_pieces() {
    in_namespace(|| async {
        let _rig = crowd();
        let mut stream = TcpStream::connect(server(1)).await.unwrap();
        let mut sent = Vec::new();
        for id in 1..=3_u16 {
            let query = query(id, "few");
            sent.extend_from_slice(&u16::try_from(query.len()).unwrap().to_be_bytes());
            sent.extend_from_slice(&query);
        }
        stream.set_nodelay(true).unwrap();
        let (piece, rest) = sent.split_at(7);
        stream.write_all(piece).await.unwrap();
        stream.write_all(rest).await.unwrap();
        for id in 1..=3 {
            let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer[..2], u16::to_be_bytes(id));
            assert_eq!(answer[answer.len() - 4..], [10, 0, 1, 1]);
        }
    });
}

#[test]
fn other_opcodes_classes_and_transfers_are_refused_with_their_code() {
    in_namespace(|| async {
        let rig = crowd();
        for (words, status) in [
            ("+opcode=NOTIFY few SOA", "NOTIMP"),
            ("+opcode=STATUS few A", "NOTIMP"),
            ("+opcode=UPDATE few SOA", "NOTIMP"),
            ("-c CH -t TXT version.bind", "REFUSED"),
            ("-c ANY few A", "REFUSED"),
            ("+tcp -c CH few A", "REFUSED"),
            ("-t TYPE250 few", "NOTIMP"),
        ] {
            let dug = dig(words).await;
            assert_eq!(dug.status, status, "{words}: {}", dug.text);
        }
        let mut transfer = query(1, "few");
        let kind_at = transfer.len() - 4;
        transfer[kind_at + 1] = 251;
        assert_eq!(
            raw(&[&transfer]).await[3] & 0x0f,
            4,
            "without the state that the client has"
        );
        transfer[9] = 1;
        transfer.extend_from_slice(&[0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0]);
        transfer.extend_from_slice(&[0; 20]);
        assert_eq!(raw(&[&transfer]).await[3] & 0x0f, 4, "and with it");
        assert_eq!(rig.resolver.stats().answered_locally, 0);
    });
}

#[test]
fn malformed_queries_get_formerr_or_nothing() {
    in_namespace(|| async {
        let _rig = crowd();
        let good = query(0x0102, "few");
        let header = |counts: [u8; 8]| [&[0xab, 0xcd, 1, 0][..], &counts].concat();
        let one = [0, 1, 0, 0, 0, 0, 0, 0];
        let two_questions = [
            header([0, 2, 0, 0, 0, 0, 0, 0]),
            good[12..].to_vec(),
            good[12..].to_vec(),
        ];
        let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
        let malformed = [
            header(one),
            header([0, 0, 0, 0, 0, 0, 0, 0]),
            [header(one), vec![0xc0, 0x0c, 0, 1, 0, 1]].concat(),
            [header(one), vec![63; 40]].concat(),
            [header(one), good[12..good.len() - 1].to_vec()].concat(),
            two_questions.concat(),
            [
                header([0, 1, 0, 0, 0, 0, 0, 2]),
                good[12..].to_vec(),
                opt.to_vec(),
                opt.to_vec(),
            ]
            .concat(),
            [header([0, 1, 0, 0, 0, 0, 0xff, 0xff]), good[12..].to_vec()].concat(),
        ];
        for packet in malformed {
            let answer = raw(&[&packet]).await;
            assert_eq!(answer[..2], [0xab, 0xcd], "{packet:?}");
            assert_eq!(
                (answer[2] & 0x80, answer[3] & 0x0f),
                (0x80, 1),
                "{packet:?} -> {answer:?}"
            );
        }
        let mut response = query(0xabcd, "few");
        response[2] |= 0x80;
        for ignored in [&[][..], &[1], &header(one)[..11], &response] {
            let answer = raw(&[ignored, &good]).await;
            assert_eq!(
                answer[..2],
                [1, 2],
                "only the good one is answered: {ignored:?}"
            );
        }
    });
}

#[test]
fn noise_is_survived() {
    in_namespace(|| async {
        let _rig = crowd();
        let good = query(0x0102, "few");
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for round in 0..2000 {
            let mut packet = good.clone();
            for _ in 0..=round % 4 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let at = usize::try_from(seed >> 32).unwrap() % packet.len();
                packet[at] = u8::try_from(seed & 0xff).unwrap();
            }
            packet.truncate(packet.len() - round % 3);
            let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            socket.send_to(&packet, server(1)).await.unwrap();
        }
        assert_eq!(dig("few A").await.data(), ["10.0.1.1"]);
    });
}
