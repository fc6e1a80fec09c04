//! A container is on one network several times, each time by an interface of its own.

use netd::engine::{Absent, Ending, EngineError, Leave, NewContainer, Which, Wish};
use netd_api::{ErrorCode, Retained, WantedNetwork};
use netd_kernel::NetnsHandle;
use netd_kernel::fake::Fuel;
use netd_model::{Container, NetworkId, RuntimeKey};

use crate::bench::{Bench, at, publishing};
use crate::steps::{named, remove_all};
use crate::whole::check;

fn key(network: &str, interface: &str) -> RuntimeKey {
    RuntimeKey {
        network: network.parse().unwrap(),
        container: "pod".parse().unwrap(),
        interface: interface.parse().unwrap(),
    }
}

fn attach(bench: &Bench, (key, pid): (&RuntimeKey, u32), wish: Wish) -> Result<(), EngineError> {
    let new = NewContainer {
        netns: Some(NetnsHandle::Process { pid }),
        wish,
        ..NewContainer::default()
    };
    let wanted = WantedNetwork::Existing("n".to_owned());
    let work = bench.engine();
    let attached = bench.wait(work.attach_for_runtime(key.clone(), wanted, new));
    attached.map(|_| ())
}

fn release(bench: &Bench, key: &RuntimeKey) -> bool {
    let engine = bench.engine();
    bench.wait(engine.release_for_runtime(key.clone())).unwrap()
}

fn is_there(bench: &Bench, key: &RuntimeKey) -> bool {
    let engine = bench.engine();
    bench.wait(engine.check_for_runtime(key.clone())).is_ok()
}

/// Each interface with its addresses, by age.
fn places(bench: &Bench) -> Vec<String> {
    bench.look(|state| {
        let mut endpoints: Vec<_> = state.endpoints().collect();
        endpoints.sort_by_key(|endpoint| endpoint.rank);
        let place = |endpoint: &&std::sync::Arc<netd_model::Endpoint>| {
            let addresses: Vec<_> = endpoint
                .leases
                .iter()
                .map(|l| l.address.to_string())
                .collect();
            format!("{} {}", endpoint.inside().unwrap(), addresses.join(" "))
        };
        endpoints.iter().map(place).collect()
    })
}

/// How packets leave the only sandbox.
fn ways(bench: &Bench) -> Vec<String> {
    let seen = bench
        .world
        .snapshot()
        .sandboxes
        .into_values()
        .next()
        .unwrap();
    let way = |route: netd_model::desired::RouteState| {
        let interface = route.interface.unwrap();
        format!(
            "{} via {} dev {interface}",
            route.destination, route.gateway
        )
    };
    seen.routes.into_iter().map(way).collect()
}

fn leave(
    bench: &Bench,
    (network, container): (NetworkId, &Container),
    which: Which,
) -> Result<(), EngineError> {
    let absent = Absent::Refuse;
    let leave = Leave { which, absent };
    bench.wait(bench.engine().disconnect(network, container.id, leave))
}

fn refusal<T: std::fmt::Debug>(result: Result<T, EngineError>) -> (ErrorCode, String) {
    let error = result.expect_err("a refusal");
    (error.code(), error.sentence())
}

#[test]
fn two_keys_of_a_runtime_are_two_attachments_and_each_goes_by_itself() {
    let mut bench = Bench::new();
    let baseline = bench.baseline();
    bench.create("n", "10.1.0.0/24").unwrap();
    let pid = bench.world.spawn_process();
    let (one, two, three) = (key("n", "eth0"), key("n", "net1"), key("alias", "net2"));
    attach(&bench, (&one, pid), publishing(&["8080:80"])).unwrap();
    attach(&bench, (&two, pid), publishing(&["8081:80"])).unwrap();
    // Another configuration that names the same network.
    attach(&bench, (&three, pid), Wish::default()).unwrap();
    let all = ["eth0 10.1.0.2", "net1 10.1.0.3", "net2 10.1.0.4"];
    assert_eq!(places(&bench), all);
    check(&bench, "on it three times");
    // The same again is the same.
    attach(&bench, (&two, pid), publishing(&["8081:80"])).unwrap();
    assert_eq!(places(&bench), all);
    bench.restart();
    check(&bench, "after a restart");
    assert_eq!(places(&bench), all);
    assert!(
        [&one, &two, &three]
            .into_iter()
            .all(|key| is_there(&bench, key))
    );
    assert_eq!(ways(&bench), ["0.0.0.0/0 via 10.1.0.1 dev eth0"]);

    // What the runtime does not list any more goes, of this configuration only.
    let keep = Retained {
        container: two.container.clone(),
        interface: two.interface.clone(),
    };
    let engine = bench.engine();
    let report = bench.wait(engine.retain_for_runtime("n".parse().unwrap(), vec![keep]));
    assert_eq!(report.unwrap().removed, std::slice::from_ref(&one));
    drop(engine);
    assert_eq!(places(&bench), all[1..]);
    assert_eq!(ways(&bench), ["0.0.0.0/0 via 10.1.0.1 dev net1"]);
    check(&bench, "two are left");
    assert!(!is_there(&bench, &one) && is_there(&bench, &two));
    assert!(release(&bench, &two) && !release(&bench, &two));
    assert_eq!(places(&bench), all[2..]);
    assert_eq!(ways(&bench), ["0.0.0.0/0 via 10.1.0.1 dev net2"]);
    check(&bench, "one is left");
    assert!(release(&bench, &three));
    bench.look(|state| assert_eq!(state.containers().count(), 0));
    remove_all(&bench);
    check(&bench, "none is left");
    assert_eq!(bench.baseline(), baseline);
}

#[test]
fn the_end_of_the_namespace_gives_both_back() {
    let bench = Bench::new();
    let baseline = bench.baseline();
    bench.create("n", "10.1.0.0/24").unwrap();
    let pid = bench.world.spawn_process();
    for interface in ["eth0", "net1"] {
        attach(&bench, (&key("n", interface), pid), Wish::default()).unwrap();
    }
    bench.world.end_process(pid);
    bench.until("both are given back", |bench| places(bench).is_empty());
    remove_all(&bench);
    check(&bench, "all gone");
    assert_eq!(bench.baseline(), baseline);
}

#[test]
fn only_another_interface_is_another_attachment() {
    let bench = Bench::new();
    let network = bench.create("n", "10.1.0.0/24").unwrap();
    let (_, web) = bench.run("web", "n", publishing(&["8080:80"])).unwrap();
    let connect = |wish| bench.wait(bench.engine().connect(network.id, web.id, wish));
    let published = publishing(&["8080:80"]);
    let first = connect(published.clone()).unwrap();
    assert_eq!(
        connect(named("eth0", published.clone())).unwrap().id,
        first.id
    );
    assert_eq!(
        refusal(connect(at("10.1.0.9"))).0,
        ErrorCode::AlreadyConnected
    );
    assert_eq!(
        refusal(connect(named("eth0", at("10.1.0.9")))).0,
        ErrorCode::AlreadyConnected
    );
    // As Docker has it, whatever else is asked for.
    let anew = Wish {
        anew: true,
        ..named("net1", Wish::default())
    };
    assert_eq!(refusal(connect(anew)).0, ErrorCode::AlreadyConnected);

    let second = connect(named("net1", at("10.1.0.9"))).unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(connect(at("10.1.0.9")).unwrap().id, second.id);
    let (code, sentence) = refusal(connect(named("net2", published)));
    assert_eq!(code, ErrorCode::PortTaken);
    assert!(sentence.contains("taken by container web"), "{sentence}");
    assert_eq!(places(&bench), ["eth0 10.1.0.2", "net1 10.1.0.9"]);
    check(&bench, "twice");
    let (_, sentence) = refusal(bench.wait(bench.engine().remove_network(network.id)));
    assert!(sentence.contains("in use by web;"), "{sentence}");
}

#[test]
fn who_leaves_says_which_or_all() {
    let bench = Bench::new();
    let network = bench.create("n", "10.1.0.0/24").unwrap();
    let (_, web) = bench.run("web", "n", Wish::default()).unwrap();
    let connect = |name: &str| {
        let wish = named(name, Wish::default());
        bench
            .wait(bench.engine().connect(network.id, web.id, wish))
            .unwrap()
    };
    connect("net1");
    let by = |name: &str| Which::Interface(name.parse().unwrap());
    let both = (network.id, &*web);
    assert_eq!(
        refusal(leave(&bench, both, Which::Only)),
        (
            ErrorCode::Ambiguous,
            "container web is on network n by eth0 (10.1.0.2) and by net1 (10.1.0.3); say which one with --interface, \
             or --force for all"
                .to_owned()
        )
    );
    assert_eq!(
        refusal(leave(&bench, both, by("net7"))),
        (
            ErrorCode::NotConnected,
            "container web is not on network n by net7, but by eth0 (10.1.0.2) and by net1 (10.1.0.3)".to_owned()
        )
    );
    leave(&bench, both, by("eth0")).unwrap();
    assert_eq!(places(&bench), ["net1 10.1.0.3"]);
    assert_eq!(ways(&bench), ["0.0.0.0/0 via 10.1.0.1 dev net1"]);
    check(&bench, "one left");
    connect("eth0");
    // Each has the address that it had.
    assert_eq!(places(&bench), ["net1 10.1.0.3", "eth0 10.1.0.2"]);
    leave(&bench, both, Which::All).unwrap();
    assert!(places(&bench).is_empty());
    assert_eq!(
        refusal(leave(&bench, both, Which::All)).0,
        ErrorCode::NotConnected
    );
    check(&bench, "none left");
}

#[test]
fn a_container_that_returns_has_the_address_of_each_interface_again() {
    let bench = Bench::new();
    let network = bench.create("n", "10.1.0.0/24").unwrap();
    let run = || bench.run("web", "n", named("lan", at("10.1.0.9"))).unwrap();
    let (_, web) = run();
    let connect = |name: &str| {
        let wish = named(name, Wish::default());
        bench
            .wait(bench.engine().connect(network.id, web.id, wish))
            .unwrap()
    };
    connect("net1");
    connect("net2");
    let all = ["lan 10.1.0.9", "net1 10.1.0.2", "net2 10.1.0.3"];
    assert_eq!(places(&bench), all);
    let engine = bench.engine();
    bench
        .wait(engine.end_container(web.id, Ending::Exited(0)))
        .unwrap();
    assert!(places(&bench).is_empty());
    bench.run("other", "n", Wish::default()).unwrap();
    bench
        .run("web", "n", named("net2", Wish::default()))
        .unwrap();
    connect("net1");
    connect("lan");
    let now = places(&bench);
    assert_eq!(now[1..], ["net2 10.1.0.3", "net1 10.1.0.2", "lan 10.1.0.9"]);
    check(&bench, "returned");
}

/// Killed at each step: what was acknowledged is there, and what is added again comes to the same.
#[test]
fn killed_between_two_attachments_each_is_there_or_not_at_all() {
    let (one, two) = (key("n", "eth0"), key("more", "net1"));
    for fuel in 0.. {
        let mut bench = Bench::new();
        bench.create("n", "10.1.0.0/24").unwrap();
        let baseline = bench.baseline();
        let pid = bench.world.spawn_process();
        attach(&bench, (&one, pid), Wish::default()).unwrap();
        bench.world.set_fuel(Fuel::limited(fuel));
        let added = attach(&bench, (&two, pid), publishing(&["8081:80"])).is_ok();
        let engine = bench.engine();
        let released = added && bench.wait(engine.release_for_runtime(one.clone())).is_ok();
        drop(engine);
        bench.settle();
        let survived = bench.world.fuel().check().is_ok();
        bench.kill();
        bench.start().unwrap();
        let context = format!("killed at step {fuel}, added {added}, released {released}");
        check(&bench, &context);
        assert!(!added || is_there(&bench, &two), "{context}");
        assert!(!released || !is_there(&bench, &one), "{context}");
        attach(&bench, (&two, pid), publishing(&["8081:80"])).unwrap();
        attach(&bench, (&one, pid), Wish::default()).unwrap();
        assert_eq!(places(&bench).len(), 2, "{context}");
        check(&bench, &context);
        assert!(release(&bench, &one) && release(&bench, &two), "{context}");
        bench.world.end_process(pid);
        check(&bench, &context);
        assert_eq!(bench.baseline(), baseline, "{context}");
        if survived {
            assert!(released, "{context}: refused without being killed");
            return;
        }
    }
}
