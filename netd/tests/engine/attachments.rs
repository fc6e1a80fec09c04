//! What runtimes ask for that have keys of their own: again, late, at once, and killed at every instant.

use netd::engine::{EngineError, Joined, NewContainer, Wish};
use netd_api::{ErrorCode, NetworkRequest, Retained, WantedNetwork};
use netd_kernel::NetnsHandle;
use netd_kernel::fake::Fuel;
use netd_model::{ContainerRoute, RuntimeKey};

use crate::bench::{Bench, at, publishing, request};
use crate::steps::remove_all;
use crate::whole::check;

fn key(network: &str, container: &str, interface: &str) -> RuntimeKey {
    RuntimeKey {
        network: network.parse().unwrap(),
        container: container.parse().unwrap(),
        interface: interface.parse().unwrap(),
    }
}

fn new(pid: u32, wish: Wish) -> NewContainer {
    NewContainer {
        netns: Some(NetnsHandle::Process { pid }),
        auto_remove: true,
        wish,
        ..NewContainer::default()
    }
}

fn described(name: &str, subnet: &str) -> WantedNetwork {
    WantedNetwork::Described(Box::new(request(name, subnet)))
}

fn attach(bench: &Bench, key: &RuntimeKey, pid: u32) -> Result<Joined, EngineError> {
    let wanted = described("cni", "10.9.0.0/24");
    let work = bench.engine();
    bench.wait(work.attach_for_runtime(key.clone(), wanted, new(pid, Wish::default())))
}

fn release(bench: &Bench, key: &RuntimeKey) -> bool {
    bench
        .wait(bench.engine().release_for_runtime(key.clone()))
        .unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, EngineError>) -> (ErrorCode, String) {
    let error = result.expect_err("a refusal");
    (error.code(), error.sentence())
}

#[test]
fn fifty_at_once_describe_a_network_and_it_is_made_once() {
    let bench = Bench::new();
    let baseline = bench.baseline();
    let engine = bench.engine();
    let all = (0..50).map(|number| {
        let pid = bench.world.spawn_process();
        let key = key("cni", &format!("c{number}"), "eth0");
        engine.attach_for_runtime(key, described("cni", ""), new(pid, Wish::default()))
    });
    let all: Vec<_> = all.collect();
    for joined in bench.wait(futures::future::join_all(all)) {
        joined.unwrap();
    }
    let networks = bench.look(|state| state.networks().filter(|n| !n.is_builtin()).count());
    assert_eq!(networks, 1);
    check(&bench, "fifty");
    remove_all(&bench);
    check(&bench, "none");
    assert_eq!(bench.baseline(), baseline);
}

#[test]
fn what_was_added_is_the_same_when_it_is_added_again_and_may_be_released_thrice() {
    let bench = Bench::new();
    let pid = bench.world.spawn_process();
    let web = key("cni", "web", "lan0");
    assert!(!release(&bench, &web));
    let first = attach(&bench, &web, pid).unwrap();
    assert_eq!(attach(&bench, &web, pid).unwrap(), first);
    assert_eq!(
        first.nameservers,
        ["127.0.0.11".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(first.mtu_bytes, 1500);
    let gateway: std::net::IpAddr = "10.9.0.1".parse().unwrap();
    assert_eq!(first.default_gateways, [gateway]);
    check(&bench, "added");
    let engine = bench.engine();
    assert_eq!(
        bench.wait(engine.check_for_runtime(web.clone())).unwrap(),
        first
    );
    // The id is in use, by a namespace that is another one.
    let other = attach(&bench, &web, bench.world.spawn_process());
    assert_eq!(code(other).0, ErrorCode::NameTaken);
    for other in [key("cni", "web", "eth0"), key("other", "web", "lan0")] {
        assert!(!release(&bench, &other));
        let nothing = bench.wait(engine.check_for_runtime(other));
        assert_eq!(code(nothing).0, ErrorCode::NotConnected);
    }
    assert!(release(&bench, &web));
    assert!(!release(&bench, &web) && !release(&bench, &web));
    bench.look(|state| assert_eq!(state.containers().count(), 0));
    check(&bench, "released");
    // And again from the start.
    attach(&bench, &web, pid).unwrap();
    check(&bench, "added anew");
}

#[test]
fn one_container_joins_several_networks_and_ends_with_the_last() {
    let bench = Bench::new();
    let pid = bench.world.spawn_process();
    let engine = bench.engine();
    let (one, two) = (key("cni", "pod", "eth0"), key("more", "pod", "net1"));
    attach(&bench, &one, pid).unwrap();
    let wanted = described("more", "10.8.0.0/24");
    let second =
        bench.wait(engine.attach_for_runtime(two.clone(), wanted, new(pid, Wish::default())));
    assert!(second.unwrap().default_gateways.is_empty());
    check(&bench, "on two");
    // An interface has one name and one key.
    let of_another = code(attach(&bench, &key("alias", "pod", "eth0"), pid)).0;
    assert_eq!(of_another, ErrorCode::AlreadyConnected);
    let taken = code(attach(&bench, &key("cni", "pod", "net1"), pid)).0;
    assert_eq!(taken, ErrorCode::NotConnectable);
    assert!(release(&bench, &one));
    bench.look(|state| assert!(state.containers().all(|pod| pod.is_running())));
    check(&bench, "on one");
    assert!(release(&bench, &two));
    bench.look(|state| assert_eq!(state.containers().count(), 0));
    check(&bench, "on none");
}

#[test]
fn what_others_made_is_nobodys_to_release() {
    let bench = Bench::new();
    bench.create("cni", "10.9.0.0/24").unwrap();
    let (pid, web) = bench.run("web", "cni", Wish::default()).unwrap();
    let engine = bench.engine();
    for network in ["cni", "bridge"] {
        assert!(!release(&bench, &key(network, "web", "eth0")));
    }
    assert_eq!(
        code(attach(&bench, &key("cni", "web", "eth0"), pid)).0,
        ErrorCode::NameTaken
    );
    let nothing = bench.wait(engine.retain_for_runtime("cni".parse().unwrap(), Vec::new()));
    assert_eq!(nothing.unwrap().removed, []);
    bench.look(move |state| assert!(state.container(web.id).unwrap().is_running()));
    check(&bench, "untouched");
}

#[test]
fn what_a_runtime_does_not_know_any_more_goes_of_this_network_only() {
    let bench = Bench::new();
    let engine = bench.engine();
    let keys = ["a", "b", "c"].map(|name| key("cni", name, "eth0"));
    for key in &keys {
        attach(&bench, key, bench.world.spawn_process()).unwrap();
    }
    let other = key("more", "d", "eth0");
    let pid = bench.world.spawn_process();
    let wanted = described("more", "10.8.0.0/24");
    bench
        .wait(engine.attach_for_runtime(other.clone(), wanted, new(pid, publishing(&["8080:80"]))))
        .unwrap();
    let kept = |name: &str, interface: &str| Retained {
        container: name.parse().unwrap(),
        interface: interface.parse().unwrap(),
    };
    let keep = vec![
        kept("b", "eth0"),
        kept("c", "eth1"),
        kept("unknown", "eth0"),
    ];
    let report = bench
        .wait(engine.retain_for_runtime("cni".parse().unwrap(), keep))
        .unwrap();
    let mut removed = report.removed;
    removed.sort();
    assert_eq!(removed, [keys[0].clone(), keys[2].clone()]);
    assert_eq!(report.failures, Vec::<String>::new());
    assert_eq!(bench.look(|state| state.live_endpoints()), 2);
    check(&bench, "two are left");
}

#[test]
fn a_description_that_contradicts_the_network_is_refused() {
    let bench = Bench::new();
    let engine = bench.engine();
    attach(
        &bench,
        &key("cni", "a", "eth0"),
        bench.world.spawn_process(),
    )
    .unwrap();
    let other = |change: fn(&mut NetworkRequest)| {
        let mut asked = request("cni", "10.9.0.0/24");
        change(&mut asked);
        let wanted = WantedNetwork::Described(Box::new(asked));
        let pid = bench.world.spawn_process();
        bench.wait(engine.attach_for_runtime(
            key("cni", "b", "eth0"),
            wanted,
            new(pid, Wish::default()),
        ))
    };
    type Change = fn(&mut NetworkRequest);
    let changes: [(Change, &str); 5] = [
        (
            |asked| asked.pools[0].subnet = Some("10.7.0.0/24".parse().unwrap()),
            "10.7.0.0/24",
        ),
        (
            |asked| asked.pools[0].gateway = Some("10.9.0.9".parse().unwrap()),
            "10.9.0.9",
        ),
        (
            |asked| asked.pools[0].range = Some("10.9.0.128/25".parse().unwrap()),
            "10.9.0.128/25",
        ),
        (|asked| asked.internal = true, "internal true"),
        (
            |asked| {
                let key = "com.docker.network.driver.mtu".to_owned();
                asked.options.insert(key, "1400".to_owned());
            },
            "mtu=1400",
        ),
    ];
    for (change, named) in changes {
        let (word, sentence) = code(other(change));
        assert_eq!(word, ErrorCode::NetworkDiffers);
        assert!(sentence.contains(named), "{sentence}");
    }
    for builtin in ["host", "none", "bridge"] {
        let wanted = described(builtin, "10.7.0.0/24");
        let pid = bench.world.spawn_process();
        let key = key("cni", "b", "eth0");
        let refused = bench.wait(engine.attach_for_runtime(key, wanted, new(pid, Wish::default())));
        assert_eq!(code(refused).0, ErrorCode::Builtin);
    }
    assert_eq!(bench.look(|state| state.containers().count()), 1);
    check(&bench, "refused");
}

/// Half of those who describe the network cannot come onto it: each of these takes away what it made.
#[test]
fn who_does_not_come_onto_a_described_network_leaves_none_and_takes_none() {
    let bench = Bench::new();
    let baseline = bench.baseline();
    let engine = bench.engine();
    let all = (0..24).map(|number| {
        let pid = bench.world.spawn_process();
        let wish = if number % 2 == 0 {
            at("10.9.0.1")
        } else {
            Wish::default()
        };
        let key = key("cni", &format!("c{number}"), "eth0");
        engine.attach_for_runtime(key, described("cni", "10.9.0.0/24"), new(pid, wish))
    });
    let all: Vec<_> = all.collect();
    let (came, refused): (Vec<_>, Vec<_>) = bench
        .wait(futures::future::join_all(all))
        .into_iter()
        .partition(Result::is_ok);
    assert_eq!((came.len(), refused.len()), (12, 12));
    for refusal in refused {
        assert_eq!(code(refusal).0, ErrorCode::AddressTaken);
    }
    check(&bench, "half of them");
    remove_all(&bench);
    assert_eq!(bench.baseline(), baseline);
    let pid = bench.world.spawn_process();
    let alone = engine.attach_for_runtime(
        key("cni", "a", "eth0"),
        described("cni", "10.9.0.0/24"),
        new(pid, at("10.9.0.1")),
    );
    assert_eq!(code(bench.wait(alone)).0, ErrorCode::AddressTaken);
    check(&bench, "refused alone");
    bench.world.end_process(pid);
    assert_eq!(bench.baseline(), baseline);
}

#[test]
fn routes_come_and_go_with_their_network() {
    let bench = Bench::new();
    let engine = bench.engine();
    let to = |destination: &str, gateway: &str| ContainerRoute {
        destination: destination.parse().unwrap(),
        gateway: Some(gateway)
            .filter(|hop| !hop.is_empty())
            .map(|hop| hop.parse().unwrap()),
    };
    let add = |routes: &[ContainerRoute]| {
        let pid = bench.world.spawn_process();
        let wish = Wish {
            routes: routes.to_vec(),
            ..Wish::default()
        };
        let wanted = described("cni", "10.9.0.0/24");
        bench.wait(engine.attach_for_runtime(key("cni", "a", "eth0"), wanted, new(pid, wish)))
    };
    for bad in [
        to("0.0.0.0/0", ""),
        to("10.0.0.0/8", "10.8.0.1"),
        to("fd00::/8", ""),
    ] {
        assert_eq!(code(add(&[bad])).0, ErrorCode::NotConnectable);
    }
    add(&[to("10.0.0.0/8", ""), to("192.0.2.0/24", "10.9.0.7")]).unwrap();
    let seen = bench.world.snapshot();
    let routes = seen.sandboxes.values().flat_map(|inside| &inside.routes);
    let routes: Vec<_> = routes
        .map(|route| format!("{} {}", route.destination, route.gateway))
        .collect();
    assert_eq!(
        routes,
        [
            "0.0.0.0/0 10.9.0.1",
            "10.0.0.0/8 10.9.0.1",
            "192.0.2.0/24 10.9.0.7"
        ]
    );
    check(&bench, "routed");
    assert!(release(&bench, &key("cni", "a", "eth0")));
    check(&bench, "released");
}

/// Killed at each step, started again: what was acknowledged is there and released by its key, what was not is not.
#[test]
fn killed_at_every_step_it_is_there_entirely_or_not_at_all() {
    let web = key("cni", "web", "eth0");
    for fuel in 0.. {
        let mut bench = Bench::new();
        let baseline = bench.baseline();
        let pid = bench.world.spawn_process();
        bench.world.set_fuel(Fuel::limited(fuel));
        let added = attach(&bench, &web, pid).is_ok();
        let engine = bench.engine();
        let released = added && bench.wait(engine.release_for_runtime(web.clone())).is_ok();
        drop(engine);
        bench.settle();
        let survived = bench.world.fuel().check().is_ok();
        bench.kill();
        bench.start().unwrap();
        let context = format!("killed at step {fuel}, added {added}, released {released}");
        check(&bench, &context);
        let engine = bench.engine();
        let there = bench.wait(engine.check_for_runtime(web.clone())).is_ok();
        assert!(!(released && there), "{context}");
        // Whatever came of it: the runtime adds it again, and has it.
        attach(&bench, &web, pid).unwrap();
        check(&bench, &context);
        assert!(release(&bench, &web), "{context}");
        drop(engine);
        remove_all(&bench);
        check(&bench, &context);
        assert_eq!(bench.baseline(), baseline, "{context}");
        if survived {
            assert!(released, "{context}: refused without being killed");
            return;
        }
    }
}
