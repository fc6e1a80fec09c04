//! Routes to containers of other hosts: what is refused, what is kept, and who else may have their subnets.

use netd_api::ErrorCode;
use netd_kernel::fake::World;
use netd_model::desired::{FlowFilter, RouteState};
use netd_model::{IfName, IpNetwork, Subnet};

use crate::bench::Bench;
use crate::steps::route;
use crate::whole::check;

fn eth9() -> IfName {
    "eth9".parse().unwrap()
}

fn plug_in(world: &World, addresses: &[&str]) {
    let addresses: Vec<IpNetwork> = addresses.iter().map(|own| own.parse().unwrap()).collect();
    world.add_foreign_link(&eth9(), false, &addresses);
}

/// A daemon on a host with eth9 at 192.0.2.1/24, and networks `a` and `b`.
fn host() -> Bench {
    let world = World::new();
    plug_in(&world, &["192.0.2.1/24"]);
    let mut bench = Bench::idle(world, "{}");
    bench.start().unwrap();
    bench.create("a", "10.1.0.0/24").unwrap();
    bench.create("b", "10.2.0.0/24").unwrap();
    bench
}

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

fn routes(bench: &Bench) -> Vec<String> {
    let routes = bench.world.snapshot().host.routes;
    let text = |route: RouteState| format!("{} via {}", route.destination, route.gateway);
    routes.into_iter().map(text).collect()
}

fn add(bench: &Bench, to: &str, network: &str) {
    let request = route(to, "192.0.2.2", network);
    bench.wait(bench.engine().add_route(request)).unwrap();
}

const FAR: &str = "10.200.0.0/16 via 192.0.2.2";

#[test]
fn a_route_is_kept_over_a_restart_until_it_is_removed() {
    let mut bench = host();
    let engine = bench.engine();
    let mut events = engine.listen();
    add(&bench, "10.200.0.0/16", "");
    add(&bench, "10.200.0.0/16", "");
    let event = events.try_recv().unwrap();
    let told = (
        event.kind.as_str(),
        event.action.as_str(),
        event.name.as_str(),
    );
    assert_eq!(told, ("route", "add", "10.200.0.0/16"));
    assert!(events.try_recv().is_err(), "what is so already is no event");
    assert_eq!(routes(&bench), [FAR]);
    let of_subnet = FlowFilter::OfSubnet(subnet("10.200.0.0/16"));
    assert_eq!(bench.world.forgotten_flows(), [of_subnet]);
    check(&bench, "set");
    drop((engine, events));
    bench.restart();
    check(&bench, "after a restart");
    assert_eq!(routes(&bench), [FAR]);
    let engine = bench.engine();
    bench
        .wait(engine.remove_route(subnet("10.200.0.0/16")))
        .unwrap();
    assert_eq!(routes(&bench), [""; 0]);
    let gone = bench.wait(engine.remove_route(subnet("10.200.0.0/16")));
    assert_eq!(gone.unwrap_err().code(), ErrorCode::RouteNotFound);
    check(&bench, "removed");
}

#[test]
fn a_route_returns_that_was_deleted_by_hand_or_went_with_its_link() {
    let bench = host();
    add(&bench, "10.200.0.0/16", "a");
    bench.world.remove_host_route(subnet("10.200.0.0/16"));
    bench.until("the route is back", |bench| routes(bench) == [FAR]);
    bench.world.remove_link(&eth9());
    bench.until("the route is missed", |bench| {
        let status = bench.wait(bench.engine().status()).unwrap();
        status
            .problems
            .iter()
            .any(|problem| problem.contains("10.200.0.0/16"))
    });
    plug_in(&bench.world, &["192.0.2.1/24"]);
    bench.until("the route is back with its link", |bench| {
        routes(bench) == [FAR]
            && bench
                .wait(bench.engine().status())
                .unwrap()
                .problems
                .is_empty()
    });
    check(&bench, "back");
}

#[test]
fn the_gateway_may_move_to_another_link() {
    let bench = host();
    add(&bench, "10.200.0.0/16", "");
    bench.world.remove_link(&eth9());
    let bond = "bond0".parse().unwrap();
    bench
        .world
        .add_foreign_link(&bond, false, &["192.0.2.1/24".parse().unwrap()]);
    bench.until("the rules know the link", |bench| {
        let rules = bench.world.rules();
        rules.peers.values().all(|peer| peer.device == bond)
    });
    bench.until("the route is back", |bench| routes(bench) == [FAR]);
    check(&bench, "moved");
}

#[test]
fn what_cannot_be_routed_is_refused_with_the_reason() {
    let bench = host();
    let mut closed = crate::bench::request("closed", "10.3.0.0/24");
    closed.internal = true;
    bench.wait(bench.engine().create_network(closed)).unwrap();
    let lan = "lan0".parse().unwrap();
    bench
        .world
        .add_foreign_link(&lan, false, &["172.31.0.1/24".parse().unwrap()]);
    bench.world.add_host_route(subnet("10.9.0.0/16"), &lan);
    add(&bench, "10.200.0.0/16", "a");
    let refused = |to: &str, gateway: &str, network: &str| {
        let request = route(to, gateway, network);
        let error = bench.wait(bench.engine().add_route(request)).unwrap_err();
        (error.code(), error.sentence())
    };
    use ErrorCode::{InvalidRequest, NetworkNotFound, RouteExists, SubnetOverlap};
    for (to, gateway, network, code, words) in [
        (
            "0.0.0.0/0",
            "192.0.2.2",
            "",
            InvalidRequest,
            "the default route",
        ),
        (
            "10.7.0.0/16",
            "fe80::1",
            "",
            InvalidRequest,
            "gateway fe80::1 of IPv6",
        ),
        (
            "127.8.0.0/16",
            "192.0.2.2",
            "",
            InvalidRequest,
            "no container has such",
        ),
        (
            "::ffff:10.0.0.0/104",
            "fd00::1",
            "",
            InvalidRequest,
            "no container has such",
        ),
        (
            "224.1.0.0/16",
            "192.0.2.2",
            "",
            InvalidRequest,
            "no container has such",
        ),
        (
            "10.1.0.0/16",
            "192.0.2.2",
            "",
            SubnetOverlap,
            "overlaps 10.1.0.0/24 of network a",
        ),
        (
            "10.9.8.0/24",
            "192.0.2.2",
            "",
            SubnetOverlap,
            "10.9.0.0/16 that the host routes through lan0",
        ),
        (
            "192.0.0.0/16",
            "172.31.0.9",
            "",
            SubnetOverlap,
            "192.0.2.0/24 that the host routes through eth9",
        ),
        (
            "10.200.1.0/24",
            "192.0.2.3",
            "",
            SubnetOverlap,
            "of another host's containers",
        ),
        (
            "10.200.0.0/16",
            "192.0.2.2",
            "",
            RouteExists,
            "via 192.0.2.2 --network a; remove it first with `net route rm 10.200.0.0/16`",
        ),
        (
            "10.200.0.0/16",
            "192.0.2.3",
            "a",
            RouteExists,
            "via 192.0.2.2",
        ),
        (
            "10.7.0.0/16",
            "203.0.113.1",
            "",
            InvalidRequest,
            "which has 192.0.2.1/24 on eth9, 172.31.0.1/24 on lan0",
        ),
        (
            "10.7.0.0/16",
            "192.0.2.1",
            "",
            InvalidRequest,
            "this host's own address on eth9",
        ),
        (
            "10.7.0.0/16",
            "10.1.0.9",
            "",
            InvalidRequest,
            "the bridge of network a",
        ),
        ("10.7.0.0/16", "10.7.0.1", "", InvalidRequest, "lies in it"),
        (
            "10.7.0.0/16",
            "10.200.0.1",
            "",
            InvalidRequest,
            "in the other's subnet",
        ),
        (
            "10.7.0.0/16",
            "192.0.2.2",
            "host",
            InvalidRequest,
            "host is no bridge network",
        ),
        (
            "10.7.0.0/16",
            "192.0.2.2",
            "closed",
            InvalidRequest,
            "closed is internal",
        ),
        (
            "10.7.0.0/16",
            "192.0.2.2",
            "nowhere",
            NetworkNotFound,
            "nowhere not found",
        ),
    ] {
        let (is, sentence) = refused(to, gateway, network);
        assert_eq!(is, code, "{to} {gateway}: {sentence}");
        assert!(sentence.contains(words), "{to} {gateway}: {sentence}");
    }
    assert_eq!(routes(&bench), [FAR]);
    check(&bench, "refused");
}

#[test]
fn no_network_gets_a_subnet_of_another_host() {
    let world = World::new();
    plug_in(&world, &["192.0.2.1/24"]);
    let config = r#"{"bip": "10.3.0.1/24",
                     "default-address-pools": [{"base": "10.200.0.0/16", "size": 17}]}"#;
    let mut bench = Bench::idle(world, config);
    bench.start().unwrap();
    add(&bench, "10.200.0.0/24", "");
    // Whether the route stands just now or not.
    bench.world.remove_link(&eth9());
    let chosen = bench.create("chosen", "").unwrap();
    assert_eq!(chosen.pools[0].subnet, subnet("10.200.128.0/17"));
    let asked = bench.create("asked", "10.200.0.0/25").unwrap_err();
    assert_eq!(asked.code(), ErrorCode::SubnetOverlap);
    assert!(
        asked.sentence().contains("via 192.0.2.2"),
        "{}",
        asked.sentence()
    );
}

#[test]
fn a_network_that_a_route_names_stays() {
    let bench = host();
    add(&bench, "10.200.0.0/16", "a");
    let engine = bench.engine();
    let a = bench.wait(engine.find_network("a")).unwrap().id;
    let refused = bench.wait(engine.remove_network(a)).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NetworkInUse);
    assert!(refused.sentence().contains("the route to 10.200.0.0/16"));
    let report = bench.wait(engine.prune_networks()).unwrap();
    assert_eq!(report.failures, [""; 0]);
    assert_eq!(report.networks.len(), 1, "b alone");
    bench
        .wait(engine.remove_route(subnet("10.200.0.0/16")))
        .unwrap();
    bench.wait(engine.remove_network(a)).unwrap();
    check(&bench, "removed");
}

#[test]
fn a_refusal_leaves_all_as_it_was() {
    let bench = host();
    let engine = bench.engine();
    let request = || route("10.200.0.0/16", "192.0.2.2", "");
    bench.world.refuse_next_rules("no room");
    assert!(bench.wait(engine.add_route(request())).is_err());
    check(&bench, "refused by the firewall");
    bench
        .world
        .fail_next(|op| matches!(op, netd_model::Op::AddRoute { netns: None, .. }));
    assert!(bench.wait(engine.add_route(request())).is_err());
    check(&bench, "refused by the kernel");
    bench.disk.fill_after(0);
    assert!(bench.wait(engine.add_route(request())).is_err());
    bench.disk.clear();
    assert_eq!(routes(&bench), [""; 0]);
    check(&bench, "refused by the store");
    bench.disk.fill_after(1);
    assert!(bench.wait(engine.add_route(request())).is_err());
    bench.disk.clear();
    bench.wait(engine.reconcile()).unwrap();
    check(&bench, "not acknowledged");
    add(&bench, "10.200.0.0/16", "");
    bench
        .world
        .fail_next(|op| matches!(op, netd_model::Op::RemoveRoute { .. }));
    let kept = bench.wait(engine.remove_route(subnet("10.200.0.0/16")));
    assert!(kept.is_err());
    bench.wait(engine.reconcile()).unwrap();
    assert_eq!(routes(&bench), [""; 0], "the reconcile goes on with it");
    check(&bench, "after the refusals");
}
