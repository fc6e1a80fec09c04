//! Networks that change while containers are on them: what follows, what is refused, and what a refusal leaves.

use netd::engine::{EngineError, Wish};
use netd_api::{ErrorCode, UpdateRequest};
use netd_model::Network;
use netd_model::desired::{InterfaceState, RouteState};

use crate::bench::{Bench, publishing, request};
use crate::whole::check;

fn change(bench: &Bench, name: &str, body: &str) -> Result<std::sync::Arc<Network>, EngineError> {
    let request: UpdateRequest = serde_json::from_str(body).unwrap();
    let engine = bench.engine();
    bench.wait(async {
        let id = engine.find_network(name).await?.id;
        engine.update_network(id, request).await
    })
}

/// The interfaces and routes of the only container.
fn inside(bench: &Bench) -> (Vec<InterfaceState>, Vec<RouteState>) {
    let seen = bench.world.snapshot();
    let sandbox = seen.sandboxes.into_values().next().unwrap();
    let routes = sandbox.routes.into_iter().collect();
    (sandbox.interfaces.into_values().collect(), routes)
}

#[test]
fn an_mtu_goes_to_bridge_and_both_ends() {
    let bench = Bench::new();
    bench.create("n", "10.1.0.0/24").unwrap();
    bench.run("web", "n", Wish::default()).unwrap();
    let narrow = r#"{"options": {"com.docker.network.driver.mtu": "1400"}}"#;
    let network = change(&bench, "n", narrow).unwrap();
    assert_eq!(network.bridge().unwrap().mtu_bytes, Some(1400));
    let seen = bench.world.snapshot().host;
    assert_eq!(
        seen.bridges[&network.bridge().unwrap().bridge].mtu_bytes,
        1400
    );
    assert!(seen.veths.values().all(|veth| veth.mtu_bytes == 1400));
    assert_eq!(inside(&bench).0[0].mtu_bytes, 1400);
    assert_eq!(bench.addresses("web"), ["10.1.0.2"]);
    check(&bench, "narrow");
}

#[test]
fn what_becomes_internal_loses_its_route_and_its_ports_and_gets_them_back() {
    let mut bench = Bench::new();
    bench.create("n", "10.1.0.0/24").unwrap();
    bench.run("web", "n", publishing(&["8080:80"])).unwrap();
    let routes = inside(&bench).1;
    assert_eq!(routes.len(), 1);
    change(&bench, "n", r#"{"internal": true}"#).unwrap();
    assert_eq!(inside(&bench).1, []);
    assert!(bench.world.rules().endpoints.is_empty());
    check(&bench, "internal");
    bench.restart();
    check(&bench, "internal after a restart");
    change(&bench, "n", r#"{"internal": false}"#).unwrap();
    assert_eq!(inside(&bench).1, routes);
    assert_eq!(bench.world.rules().endpoints.len(), 1);
    check(&bench, "open again");
}

#[test]
fn the_next_network_takes_the_default_route_over() {
    let bench = Bench::new();
    bench.create("a", "10.1.0.0/24").unwrap();
    let b = bench.create("b", "10.2.0.0/24").unwrap();
    let (_, web) = bench.run("web", "a", Wish::default()).unwrap();
    let engine = bench.engine();
    bench
        .wait(engine.connect(b.id, web.id, Wish::default()))
        .unwrap();
    let gateway = |bench: &Bench| inside(bench).1[0].gateway.to_string();
    assert_eq!(gateway(&bench), "10.1.0.1");
    change(&bench, "a", r#"{"internal": true}"#).unwrap();
    assert_eq!(gateway(&bench), "10.2.0.1");
    change(&bench, "a", r#"{"internal": false}"#).unwrap();
    assert_eq!(gateway(&bench), "10.1.0.1");
    check(&bench, "and back");
}

#[test]
fn the_same_again_changes_nothing_and_is_no_event() {
    let bench = Bench::new();
    bench.create("n", "10.1.0.0/24").unwrap();
    let engine = bench.engine();
    let mut events = engine.listen();
    let body = r#"{"labels": {"team": "red"}, "add_dns": ["192.0.2.53"], "internal": true}"#;
    let first = change(&bench, "n", body).unwrap();
    let event = events.try_recv().unwrap();
    assert_eq!(
        (event.kind.as_str(), event.action.as_str()),
        ("network", "update")
    );
    assert_eq!(event.attributes["changed"], "internal labels dns");
    assert_eq!(change(&bench, "n", body).unwrap(), first);
    assert!(events.try_recv().is_err());
    let away = r#"{"remove_labels": ["team", "none"], "remove_dns": ["192.0.2.53", "192.0.2.54"]}"#;
    let after = change(&bench, "n", away).unwrap();
    assert!(after.labels.is_empty() && after.dns_servers.is_empty());
    check(&bench, "labels and servers");
}

#[test]
fn what_cannot_change_is_refused_with_what_to_do() {
    let bench = Bench::new();
    bench.create("n", "10.1.0.0/24").unwrap();
    bench.create("m", "10.2.0.0/24").unwrap();
    let engine = bench.engine();
    let (n, m) = bench.wait(async {
        let n = engine.find_network("n").await.unwrap().id;
        (n, engine.find_network("m").await.unwrap().id)
    });
    bench.wait(engine.allow(n, m)).unwrap();
    let mtu =
        |value: &str| format!(r#"{{"options": {{"com.docker.network.driver.mtu": "{value}"}}}}"#);
    for (name, body, code, words) in [
        (
            "n",
            r#"{"driver": "macvlan"}"#.to_owned(),
            ErrorCode::InvalidRequest,
            "net create -d macvlan",
        ),
        (
            "n",
            r#"{"pools": [{"subnet": "10.9.0.0/24"}]}"#.to_owned(),
            ErrorCode::InvalidRequest,
            "it has 10.1.0.0/24",
        ),
        (
            "n",
            r#"{"pools": [{"gateway": "10.1.0.9"}]}"#.to_owned(),
            ErrorCode::InvalidRequest,
            "net connect",
        ),
        (
            "n",
            r#"{"options": {"com.docker.network.bridge.name": "br-x"}}"#.to_owned(),
            ErrorCode::InvalidRequest,
            "cannot change from br-",
        ),
        (
            "n",
            r#"{"options": {"mtu": "1400"}}"#.to_owned(),
            ErrorCode::InvalidRequest,
            "com.docker.network.driver.mtu",
        ),
        ("n", mtu("12"), ErrorCode::InvalidRequest, "68 to 65535"),
        (
            "n",
            r#"{"internal": true}"#.to_owned(),
            ErrorCode::InvalidRequest,
            "net deny n m",
        ),
        (
            "n",
            r#"{"add_dns": ["127.0.0.11"]}"#.to_owned(),
            ErrorCode::InvalidRequest,
            "no resolver",
        ),
        (
            "host",
            mtu("1400"),
            ErrorCode::Builtin,
            "host is a built-in",
        ),
        (
            "none",
            r#"{"labels": {"a": "b"}}"#.to_owned(),
            ErrorCode::Builtin,
            "none is a built-in",
        ),
        (
            "bridge",
            mtu("1400"),
            ErrorCode::Builtin,
            "set mtu in daemon.json",
        ),
        (
            "bridge",
            r#"{"add_dns": ["192.0.2.53"]}"#.to_owned(),
            ErrorCode::Builtin,
            "set dns in daemon.json",
        ),
        (
            "bridge",
            r#"{"internal": true}"#.to_owned(),
            ErrorCode::Builtin,
            "network of your own",
        ),
        ("gone", mtu("1400"), ErrorCode::NetworkNotFound, "gone"),
    ] {
        let error = change(&bench, name, &body).unwrap_err();
        assert_eq!(error.code(), code, "{body}");
        assert!(
            error.sentence().contains(words),
            "{body}: {}",
            error.sentence()
        );
    }
    let same =
        r#"{"driver": "bridge", "pools": [{"subnet": "10.1.0.0/24", "gateway": "10.1.0.1"}]}"#;
    change(&bench, "n", same).unwrap();
    check(&bench, "after the refusals");
}

#[test]
fn a_refused_step_leaves_all_as_it_was() {
    let bench = Bench::new();
    bench.create("n", "10.1.0.0/24").unwrap();
    bench.run("web", "n", publishing(&["8080:80"])).unwrap();
    let before = bench.baseline();
    let body = r#"{"internal": true, "options": {"com.docker.network.driver.mtu": "1400"}}"#;
    bench.world.refuse_next_rules("no room for rules");
    let refused = change(&bench, "n", body).unwrap_err();
    assert!(refused.sentence().contains("no room for rules"));
    assert_eq!(bench.baseline(), before);
    check(&bench, "the firewall refused");
    // The intent is taken, the acknowledgement is not, nor is its withdrawal.
    bench.disk.fill_after(1);
    change(&bench, "n", body).unwrap_err();
    bench.disk.clear();
    bench.wait(bench.engine().reconcile()).unwrap();
    assert_eq!(bench.baseline(), before);
    check(&bench, "the store refused");
    change(&bench, "n", body).unwrap();
    check(&bench, "asked again");
}

#[test]
fn a_network_has_its_own_resolvers_from_the_start() {
    let bench = Bench::new();
    let mut wanted = request("n", "10.1.0.0/24");
    wanted.dns_servers = vec!["192.0.2.53".parse().unwrap()];
    let network = bench.wait(bench.engine().create_network(wanted)).unwrap();
    assert_eq!(network.dns_servers.len(), 1);
    let mut wrong = request("m", "10.2.0.0/24");
    wrong.dns_servers = vec!["0.0.0.0".parse().unwrap()];
    let refused = bench
        .wait(bench.engine().create_network(wrong))
        .unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidRequest);
}

#[test]
fn changes_beside_comings_and_goings_wait_in_no_circle() {
    let bench = Bench::new();
    let n = bench.create("n", "10.1.0.0/24").unwrap().id;
    let m = bench.create("m", "10.2.0.0/24").unwrap().id;
    let containers: Vec<_> = ["a", "b", "c"]
        .map(|name| bench.run(name, "n", Wish::default()).unwrap().1.id)
        .to_vec();
    let hands: Vec<_> = (0..60usize)
        .map(|number| {
            let (engine, who) = (bench.engine(), containers[number % 3]);
            bench.spawn(async move {
                let mtu = if number % 4 == 0 { "1400" } else { "1300" };
                let body = format!(
                    r#"{{"internal": {}, "options": {{"com.docker.network.driver.mtu": "{mtu}"}}}}"#,
                    number % 8 == 0
                );
                match number % 4 {
                    0 | 1 => {
                        let request = serde_json::from_str(&body).unwrap();
                        engine.update_network([n, m][number % 2], request).await.map(|_| ())
                    }
                    2 => engine.connect(m, who, Wish::default()).await.map(|_| ()),
                    _ => engine.disconnect(m, who, netd::engine::Absent::Accept).await,
                }
            })
        })
        .collect();
    for hand in hands {
        bench.wait(hand).unwrap().unwrap();
    }
    check(&bench, "after a crowd");
}
