//! Forgetting tracked flows.

use netd_model::Protocol;
use netd_model::desired::FlowFilter;

use super::super::flows::by_tool;
use super::*;

/// Tracked flows of all kinds, as conntrack(8) lists them.
fn listed() -> String {
    run("conntrack -L 2>/dev/null")
}

fn track() {
    let create = |protocol: &str, from: &str, to: &str, back: &str, port: u16| {
        let state = if protocol == "tcp" {
            "--state ESTABLISHED"
        } else {
            ""
        };
        run(&format!(
            "conntrack -I -p {protocol} -s {from} -d {to} --reply-src {back} --reply-dst {from} \
             --sport 4000 --dport {port} --reply-port-src 80 --reply-port-dst 4000 -t 300 {state}"
        ));
    };
    create("tcp", "192.0.2.1", "192.0.2.9", "172.17.0.2", 8080);
    create("udp", "192.0.2.2", "192.0.2.9", "172.17.0.2", 8080);
    create("udp", "172.17.0.2", "198.51.100.1", "198.51.100.1", 53);
    create("udp", "172.17.0.3", "198.51.100.1", "198.51.100.1", 53);
    create("udp", "2001:db8::1", "2001:db8::9", "fd00::2", 8080);
    assert_eq!(listed().lines().count(), 5, "{}", listed());
}

fn after(forget: &dyn Fn(FlowFilter), filter: FlowFilter) -> Vec<String> {
    run("conntrack -F; conntrack -F -f ipv6");
    track();
    forget(filter);
    listed().lines().map(str::to_owned).collect()
}

#[test]
fn only_the_flows_that_are_meant_are_forgotten() {
    in_new_namespace(|linux| {
        check(&|filter| linux.apply(&[Op::ForgetFlows(filter)]).unwrap());
        check(&|filter| by_tool(&linux.home, &filter).unwrap());
    });
}

fn check(forget: &dyn Fn(FlowFilter)) {
    let port = |protocol, port| FlowFilter::ToHostPort { protocol, port };
    let left = after(forget, port(Protocol::Udp, 8080));
    assert_eq!(left.len(), 3, "{left:#?}");
    assert!(
        left.iter()
            .all(|flow| !(flow.contains("udp") && flow.contains("dport=8080"))),
        "{left:#?}"
    );

    let left = after(forget, port(Protocol::Tcp, 8080));
    assert_eq!(left.len(), 4, "{left:#?}");
    assert!(left.iter().all(|flow| !flow.contains("tcp ")), "{left:#?}");

    let left = after(forget, port(Protocol::Tcp, 9));
    assert_eq!(left.len(), 5, "{left:#?}");

    let left = after(forget, FlowFilter::OfAddress(ip("172.17.0.2")));
    assert_eq!(left.len(), 2, "{left:#?}");
    assert!(
        left.iter().all(|flow| !flow.contains("172.17.0.2")),
        "{left:#?}"
    );

    let left = after(forget, FlowFilter::OfAddress(ip("fd00::2")));
    assert_eq!(left.len(), 4, "{left:#?}");
}
