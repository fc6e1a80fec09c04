//! Reserving host ports.

use std::net::{TcpListener, TcpStream, UdpSocket};

use netd_model::{PortRange, Protocol, PublishedPort};

use super::*;
use crate::ReservePortError;

const ONE: EndpointId = EndpointId::from_bytes([1; 32]);
const TWO: EndpointId = EndpointId::from_bytes([2; 32]);

fn port(protocol: Protocol, host_ip: &str, first: u16, last: u16) -> PublishedPort {
    let range = PortRange::new(first, last).unwrap();
    PublishedPort {
        protocol,
        host_ip: ip(host_ip),
        host_ports: range,
        container_ports: range,
        from: Vec::new(),
    }
}

#[test]
fn a_reserved_port_is_nobody_else_s_until_it_is_given_up() {
    in_new_namespace(|linux| {
        let wanted = [
            port(Protocol::Tcp, "0.0.0.0", 8080, 8082),
            port(Protocol::Tcp, "::", 8080, 8082),
            port(Protocol::Udp, "127.0.0.1", 5353, 5353),
            port(Protocol::Sctp, "0.0.0.0", 9000, 9000),
        ];
        linux.reserve_ports(ONE, &wanted).unwrap();
        linux.reserve_ports(ONE, &wanted).unwrap();
        // The standard library sets SO_REUSEADDR on listeners, as most servers do.
        assert!(TcpListener::bind("0.0.0.0:8081").is_err());
        assert!(TcpListener::bind("127.0.0.1:8081").is_err());
        assert!(TcpListener::bind("[::]:8082").is_err());
        assert!(UdpSocket::bind("127.0.0.1:5353").is_err());
        assert!(UdpSocket::bind("0.0.0.0:5353").is_err());
        let taken = linux.reserve_ports(TWO, &wanted[..1]).unwrap_err();
        let text = taken.to_string();
        assert!(
            text.starts_with("port 8080/tcp on 0.0.0.0 is in use by "),
            "{text}"
        );
        assert!(
            text.contains(&format!("(pid {})", std::process::id())),
            "{text}"
        );

        linux.release_ports(
            ONE,
            &[
                port(Protocol::Tcp, "0.0.0.0", 8080, 8080),
                wanted[1].clone(),
            ],
        );
        TcpListener::bind("0.0.0.0:8081").unwrap();
        // A program that another test starts has a copy of the socket until its exec.
        wait_for("the port", || UdpSocket::bind("127.0.0.1:5353").is_ok());
        assert!(TcpListener::bind("0.0.0.0:8080").is_err());
        linux.release_ports(ONE, &[]);
        TcpListener::bind("[::]:8080").unwrap();
    });
}

#[test]
fn a_foreign_listener_is_named_and_nothing_is_kept() {
    in_new_namespace(|linux| {
        for (bind, protocol, address) in [
            (
                "TCP4-LISTEN:8002,bind=127.0.0.1,reuseaddr",
                Protocol::Tcp,
                "0.0.0.0",
            ),
            ("TCP6-LISTEN:8002,reuseaddr", Protocol::Tcp, "127.0.0.1"),
            ("UDP4-RECV:8002", Protocol::Udp, "127.0.0.1"),
        ] {
            let mut socat = Command::new("socat")
                .args([bind, "-"])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            let table = if protocol == Protocol::Tcp {
                "ss -Hltn"
            } else {
                "ss -Hlun"
            };
            wait_for("socat", || run(table).contains(":8002"));
            let error = linux
                .reserve_ports(ONE, &[port(protocol, address, 8000, 8003)])
                .unwrap_err();
            let text = error.to_string();
            let expected = format!(
                "port 8002/{protocol} on {address} is in use by socat (pid {})",
                socat.id()
            );
            assert_eq!(text, expected);
            socat.kill().unwrap();
            socat.wait().unwrap();
            TcpListener::bind("127.0.0.1:8000").unwrap();
            wait_for("the port", || UdpSocket::bind("127.0.0.1:8000").is_ok());
        }
    });
}

#[test]
fn an_address_that_is_not_the_host_s_is_said_to_be_so() {
    in_new_namespace(|linux| {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let error = linux
                .reserve_ports(ONE, &[port(protocol, "192.0.2.1", 80, 80)])
                .unwrap_err();
            assert!(
                matches!(error, ReservePortError::NotMyAddress { .. }),
                "{error:?}"
            );
        }
    });
}

#[test]
fn an_old_connection_in_time_wait_does_not_hold_a_port() {
    in_new_namespace(|linux| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let (server, _) = listener.accept().unwrap();
        drop(server);
        drop(client);
        drop(listener);
        wait_for("TIME_WAIT", || run("ss -Htan").contains("TIME-WAIT"));
        linux
            .reserve_ports(ONE, &[port(Protocol::Tcp, "0.0.0.0", 8080, 8080)])
            .unwrap();
    });
}
