//! Bounds: no client keeps another one waiting, and a stopped sandbox leaves nothing behind.

use std::time::Duration;

use netd_dns::{Forwarding, ServeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::{
    DEADLINE, Rig, dig, dig_at, host, in_namespace, query, sandbox, server, sockets, to, view,
};
use crate::upstream::Upstream;

fn one_host(rig: Rig) -> Rig {
    rig.put(1, "net1", vec![host(&["web1"], &["172.28.0.2"])]);
    rig.serve(1, view(1, Forwarding::Refuse));
    rig.serve(2, view(1, Forwarding::Refuse));
    rig
}

/// Connections that have sent a part of a query, or nothing.
async fn stuck(count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for n in 0..count {
        let mut stream = TcpStream::connect(server(1)).await.unwrap();
        stream.write_all(&[0, 50, 1, 2, 3][..n % 5]).await.unwrap();
        streams.push(stream);
    }
    streams
}

#[test]
fn stuck_tcp_clients_keep_nobody_waiting() {
    in_namespace(|| async {
        let rig = one_host(Rig::new(|options| options.tcp_patience = DEADLINE));
        let mut streams = stuck(32).await;
        assert_eq!(dig("web1 A").await.data(), ["172.28.0.2"]);
        assert_eq!(dig_at(2, "+tcp web1 A").await.data(), ["172.28.0.2"]);
        assert_eq!(rig.resolver.stats().connections_evicted, 0);
        assert_eq!(dig("+tcp web1 A").await.data(), ["172.28.0.2"]);
        rig.until(|stats| stats.connections_evicted == 1).await;
        let end = streams[0].read(&mut [0; 1]).await;
        assert!(matches!(end, Ok(0) | Err(_)), "the oldest one gave way");
        let last = streams.last_mut().unwrap();
        assert!(
            timeout(Duration::from_millis(1), last.read_u8())
                .await
                .is_err(),
            "others stay"
        );
    });
}

#[test]
fn a_tcp_client_that_sends_or_reads_nothing_is_left() {
    in_namespace(|| async {
        let patience = Duration::from_millis(300);
        let rig = one_host(Rig::new(|options| options.tcp_patience = patience));
        for mut stream in stuck(5).await {
            let ended = timeout(DEADLINE / 2, stream.read(&mut [0; 1]))
                .await
                .expect("left alone");
            assert!(matches!(ended, Ok(0) | Err(_)));
        }
        let hosts = (0..200)
            .map(|n| host(&["many"], &[&format!("10.0.1.{n}")]))
            .collect();
        rig.put(1, "net1", hosts);
        let mut deaf = TcpStream::connect(server(1)).await.unwrap();
        let query = query(1, "many");
        let framed = [
            &u16::try_from(query.len()).unwrap().to_be_bytes()[..],
            &query,
        ]
        .concat();
        let talk = async { while deaf.write_all(&framed).await.is_ok() {} };
        timeout(DEADLINE / 2, talk)
            .await
            .expect("a client that reads nothing was served for ever");
    });
}

#[test]
fn one_sandbox_waits_for_so_many_upstream_answers_and_no_more() {
    in_namespace(|| async {
        let (silent, good) = (Upstream::silent(1).await, Upstream::good(2).await);
        let rig = one_host(Rig::new(|options| options.forwards_per_sandbox = 8));
        rig.resolver
            .set_view(sandbox(1), view(1, to(&[silent.address])))
            .unwrap();
        rig.resolver
            .set_view(sandbox(2), view(1, to(&[good.address])))
            .unwrap();
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for id in 0..8 {
            socket
                .send_to(&query(id, &format!("n{id}.test")), server(1))
                .await
                .unwrap();
        }
        rig.until(|stats| stats.forwarded == 8).await;
        for words in ["more.test A", "+tcp more.test A"] {
            let dug = dig(words).await;
            assert_eq!(dug.status, "SERVFAIL");
            assert!(dug.took < Duration::from_secs(1), "{:?}", dug.took);
        }
        assert_eq!(rig.resolver.stats().refused_for_limits, 2);
        assert_eq!(dig("web1 A").await.data(), ["172.28.0.2"]);
        assert_eq!(dig_at(2, "more.test A").await.data(), ["203.0.113.2"]);
        let mut answer = [0; 512];
        for _ in 0..8 {
            socket.recv(&mut answer).await.unwrap();
            assert_eq!(answer[3] & 0x0f, 2, "SERVFAIL in the end");
        }
        rig.resolver
            .set_view(sandbox(1), view(1, to(&[good.address])))
            .unwrap();
        assert_eq!(
            dig("again.test A").await.data(),
            ["203.0.113.2"],
            "the permits came back"
        );
    });
}

#[test]
fn all_sandboxes_together_have_a_bound_too() {
    in_namespace(|| async {
        let silent = Upstream::silent(1).await;
        let rig = one_host(Rig::new(|options| options.forwards_in_all = 2));
        rig.resolver
            .set_view(sandbox(1), view(1, to(&[silent.address])))
            .unwrap();
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for id in 0..3 {
            socket
                .send_to(&query(id, &format!("n{id}.test")), server(1))
                .await
                .unwrap();
        }
        let mut answer = [0; 512];
        socket.recv(&mut answer).await.unwrap();
        assert_eq!(
            (answer[1], answer[3] & 0x0f),
            (2, 2),
            "the third is refused before the others end"
        );
        assert_eq!(rig.resolver.stats().refused_for_limits, 1);
    });
}

#[test]
fn a_stopped_sandbox_holds_no_socket() {
    in_namespace(|| async {
        let silent = Upstream::silent(1).await;
        let rig = one_host(Rig::new(|_| {}));
        rig.resolver
            .set_view(sandbox(1), view(1, to(&[silent.address])))
            .unwrap();
        let waiting = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        waiting
            .send_to(&query(1, "slow.test"), server(1))
            .await
            .unwrap();
        rig.until(|stats| stats.upstream_queries == 1).await;
        let mut open = TcpStream::connect(server(1)).await.unwrap();
        rig.resolver.stop(sandbox(1)).await;
        rig.resolver.stop(sandbox(1)).await;
        assert!(!rig.resolver.serves(sandbox(1)) && rig.resolver.serves(sandbox(2)));
        let ended = timeout(DEADLINE / 2, open.read(&mut [0; 1]))
            .await
            .expect("still open");
        assert!(matches!(ended, Ok(0) | Err(_)));
        drop(open);
        let (udp, tcp) = sockets(1);
        rig.resolver
            .serve(sandbox(1), udp, tcp, view(1, Forwarding::Refuse))
            .unwrap();
        assert_eq!(dig("web1 A").await.data(), ["172.28.0.2"]);
    });
}

#[test]
fn a_sandbox_is_served_once_and_dropping_the_resolver_ends_it() {
    in_namespace(|| async {
        let rig = one_host(Rig::new(|_| {}));
        let (udp, tcp) = sockets(3);
        let twice = rig
            .resolver
            .serve(sandbox(1), udp, tcp, view(1, Forwarding::Refuse));
        assert!(matches!(twice, Err(ServeError::Served { .. })));
        drop(rig);
        while std::net::UdpSocket::bind(server(1)).is_err() {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_resolver_on_its_own_thread_answers_and_ends_with_its_last_holder() {
    in_namespace(|| async {
        let upstream = Upstream::good(2).await;
        let rig = one_host(Rig::on_own_thread());
        while threads_of_names() == 0 {
            tokio::task::yield_now().await;
        }
        let forwarding = to(&[upstream.address]);
        rig.resolver
            .set_view(sandbox(1), view(1, forwarding))
            .unwrap();
        assert_eq!(dig("web1 A").await.data(), ["172.28.0.2"]);
        assert_eq!(dig("+tcp web1 A").await.data(), ["172.28.0.2"]);
        // From the namespace of the test: elsewhere there is no such upstream.
        assert_eq!(dig("more.test A").await.data(), ["203.0.113.2"]);
        rig.resolver.stop(sandbox(2)).await;
        let _again = sockets(2);
        drop(rig);
        while std::net::UdpSocket::bind(server(1)).is_err() || threads_of_names() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

/// Threads of this process that only resolve names.
fn threads_of_names() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok())
        .filter(|name| name.trim() == "netd-names")
        .count()
}
