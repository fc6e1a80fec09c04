//! Link-local and Ethernet addresses and kernel parameters that users ask for: had as a whole, or refused and nothing left.

use std::collections::BTreeMap;

use netd::engine::{Absent, EngineError, Wish};
use netd_api::ErrorCode;

use crate::bench::{Bench, process};
use crate::whole::check;

fn wish(addresses: &[&str]) -> Wish {
    Wish {
        link_local: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        ..Wish::default()
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, EngineError>) -> (ErrorCode, String) {
    let error = result.expect_err("a refusal");
    (error.code(), error.sentence())
}

/// Runs a container that is refused, and ends its process.
fn refused(bench: &Bench, network: &str, wish: Wish) -> (ErrorCode, String) {
    let pid = bench.world.spawn_process();
    let engine = bench.engine();
    let run = engine.run_container(process(pid, "web", network, wish));
    let refused = code(bench.wait(run));
    bench.world.end_process(pid);
    refused
}

/// Addresses of all interfaces in all sandboxes.
fn inside(bench: &Bench) -> Vec<String> {
    let sandboxes = bench.world.snapshot().sandboxes.into_values();
    let interfaces = sandboxes.flat_map(|sandbox| sandbox.interfaces.into_values());
    let addresses = interfaces.flat_map(|interface| interface.addresses);
    addresses.map(|address| address.to_string()).collect()
}

#[test]
fn they_come_with_the_network_and_go_with_it() {
    let mut bench = Bench::new();
    let six = bench.create("six", "10.9.0.0/24 fd00:9::/64").unwrap();
    let (_, web) = bench.run("web", "bridge", Wish::default()).unwrap();
    let before = inside(&bench);
    let asked = ["169.254.7.1", "fe80::7"];
    let connect = |bench: &Bench| bench.wait(bench.engine().connect(six.id, web.id, wish(&asked)));
    connect(&bench).unwrap();
    connect(&bench).unwrap();
    let there = inside(&bench);
    for address in ["169.254.7.1/16", "fe80::7/64"] {
        assert!(there.iter().any(|one| one == address), "{there:?}");
    }
    check(&bench, "connected");
    bench.restart();
    check(&bench, "started again");
    assert_eq!(inside(&bench), there);
    let engine = bench.engine();
    bench
        .wait(engine.disconnect(six.id, web.id, Absent::Refuse))
        .unwrap();
    bench.until("the pair is gone", |bench| inside(bench) == before);
    check(&bench, "disconnected");
}

#[test]
fn of_two_who_ask_for_one_the_second_hears_who_has_it() {
    let bench = Bench::new();
    bench.create("six", "10.9.0.0/24 fd00:9::/64").unwrap();
    bench.create("other", "10.8.0.0/24").unwrap();
    let asked = ["169.254.7.1", "fe80::7"];
    bench.run("web", "six", wish(&asked)).unwrap();
    // The kernel's own addresses of the container and of the bridge.
    let mac = |text: &str| netd_model::LinkLocal::of_mac(text.parse().unwrap()).unwrap();
    let of_web = mac("02:42:0a:09:00:02").to_string();
    let bridges = bench.world.snapshot().host.bridges;
    let bridges = bridges.into_values().map(|bridge| bridge.mac.to_string());
    let of_bridges: Vec<String> = bridges.map(|text| mac(&text).to_string()).collect();
    for (address, holder) in [
        (asked[0], "container web"),
        (asked[1], "container web"),
        (&of_web, "container web"),
    ] {
        let (code, sentence) = code(bench.run("db", "six", wish(&[address])));
        assert_eq!(code, ErrorCode::AddressTaken);
        assert!(sentence.contains(holder), "{sentence}");
        assert!(sentence.contains(address), "{sentence}");
    }
    let refusals = of_bridges.iter().enumerate().filter_map(|(at, own)| {
        let refused = bench.run(&format!("b{at}"), "six", wish(&[own]));
        refused.err().map(|error| error.sentence())
    });
    let refusals: Vec<String> = refusals.collect();
    assert_eq!(refusals.len(), 1, "its own bridge's only: {refusals:?}");
    assert!(
        refusals[0].contains("is that of bridge br-"),
        "{refusals:?}"
    );
    bench.run("elsewhere", "other", wish(&asked[..1])).unwrap();
    check(&bench, "on another network");
}

#[test]
fn what_cannot_be_had_is_refused() {
    let bench = Bench::new();
    bench.create("four", "10.9.0.0/24").unwrap();
    let baseline = bench.baseline();
    for (network, asked, word) in [
        ("four", &["fe80::7"][..], "no IPv6"),
        ("bridge", &["fe80::7"], "no IPv6"),
        ("four", &["169.254.7.1", "169.254.7.1"], "twice"),
        ("none", &["169.254.7.1"], "gives no addresses"),
    ] {
        let (code, sentence) = refused(&bench, network, wish(asked));
        assert_eq!(code, ErrorCode::AddressNotAllowed, "{sentence}");
        assert!(sentence.contains(word), "{sentence}");
    }
    assert_eq!(bench.baseline(), baseline);
    check(&bench, "after the refusals");
}

#[test]
fn a_parameter_that_the_kernel_has_not_is_the_user_s_error() {
    let bench = Bench::new();
    bench.world.without_optional_parameters();
    bench.create("n", "10.9.0.0/24").unwrap();
    let baseline = bench.baseline();
    let key = "com.docker.network.endpoint.sysctls".to_owned();
    let value = "net.ipv6.conf.IFNAME.forwarding=1".to_owned();
    let options = netd_drivers::parse_endpoint_options(&BTreeMap::from([(key, value)])).unwrap();
    let wish = Wish {
        options,
        ..Wish::default()
    };
    let (code, sentence) = refused(&bench, "n", wish);
    assert_eq!(code, ErrorCode::InvalidRequest, "{sentence}");
    assert!(
        sentence.contains("net.ipv6.conf.eth0.forwarding") && !sentence.contains("step"),
        "{sentence}"
    );
    bench.until("all is as before", |bench| bench.baseline() == baseline);
    check(&bench, "after the refusal");
}

#[test]
fn an_ethernet_address_has_one_holder_on_a_network() {
    let bench = Bench::new();
    bench.create("app", "10.9.0.0/24").unwrap();
    let with = |mac: &str| Wish {
        mac: Some(mac.parse().unwrap()),
        ..Wish::default()
    };
    bench.run("db", "app", with("02:42:00:00:00:07")).unwrap();
    let bridges = bench.world.snapshot().host.bridges;
    let (bridge, of_bridge) = bridges
        .into_iter()
        .find(|(name, _)| name.as_str().starts_with("br-"))
        .unwrap();
    for (mac, holder) in [
        ("02:42:00:00:00:07".to_owned(), "container db".to_owned()),
        (of_bridge.mac.to_string(), format!("bridge {bridge}")),
    ] {
        let (code, sentence) = refused(&bench, "app", with(&mac));
        assert_eq!(code, ErrorCode::AddressTaken, "{sentence}");
        let said = format!("MAC address {mac} is that of {holder} on network app");
        assert!(sentence.contains(&said), "{sentence}");
    }
    check(&bench, "one Ethernet address, one holder");
}
