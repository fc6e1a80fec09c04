//! Networks that may talk: what is refused, what is kept, and what goes with a network.

use netd_api::ErrorCode;
use netd_kernel::Firewall;
use netd_model::NetworkId;

use crate::bench::Bench;
use crate::whole::check;

/// Daemon with networks `a` and `b`.
fn two() -> (Bench, NetworkId, NetworkId) {
    let bench = Bench::new();
    let a = bench.create("a", "10.1.0.0/24").unwrap().id;
    let b = bench.create("b", "10.2.0.0/24").unwrap().id;
    (bench, a, b)
}

fn allowed(bench: &Bench) -> Vec<String> {
    bench.settle();
    assert_eq!(
        bench.world.rules().allowed,
        bench.look(|state| state.allowances().collect())
    );
    bench.look(|state| {
        let pairs = state.allowances().map(|pair| {
            let name = |id| state.network(id).unwrap().name.to_string();
            let mut names = [name(pair.first()), name(pair.second())];
            names.sort();
            names.join("-")
        });
        pairs.collect()
    })
}

#[test]
fn a_pair_is_kept_over_a_restart_until_it_is_denied() {
    let (mut bench, a, b) = two();
    let engine = bench.engine();
    let mut events = engine.listen();
    bench.wait(engine.allow(a, b)).unwrap();
    bench.wait(engine.allow(a, b)).unwrap();
    bench.wait(engine.allow(b, a)).unwrap();
    assert_eq!(allowed(&bench), ["a-b"]);
    let event = events.try_recv().unwrap();
    assert_eq!((event.action.as_str(), event.name.as_str()), ("allow", "a"));
    assert_eq!(event.attributes["with"], "b");
    assert!(events.try_recv().is_err(), "what is so already is no event");
    check(&bench, "allowed");
    drop((engine, events));
    bench.restart();
    assert_eq!(allowed(&bench), ["a-b"]);
    check(&bench, "after a restart");
    let engine = bench.engine();
    bench.wait(engine.deny(b, a)).unwrap();
    bench.wait(engine.deny(b, a)).unwrap();
    assert_eq!(allowed(&bench), Vec::<String>::new());
    drop(engine);
    bench.restart();
    check(&bench, "denied");
    assert_eq!(allowed(&bench), Vec::<String>::new());
}

#[test]
fn a_flushed_firewall_lets_the_pair_talk_again() {
    let (bench, a, b) = two();
    let engine = bench.engine();
    bench.wait(engine.allow(a, b)).unwrap();
    let mut flushed = bench.world.rules();
    flushed.allowed.clear();
    bench.world.firewall().apply(&flushed).unwrap();
    assert_eq!(bench.wait(engine.reconcile()).unwrap(), 1);
    assert_eq!(allowed(&bench), ["a-b"]);
    check(&bench, "restored");
}

#[test]
fn what_goes_with_a_network_does_not_come_back_with_its_name() {
    let (mut bench, a, b) = two();
    let engine = bench.engine();
    let bridge = bench.wait(engine.find_network("bridge")).unwrap().id;
    bench.wait(engine.allow(a, b)).unwrap();
    bench.wait(engine.allow(bridge, b)).unwrap();
    bench.wait(engine.remove_network(a)).unwrap();
    assert_eq!(allowed(&bench), ["b-bridge"]);
    bench.create("a", "10.1.0.0/24").unwrap();
    let gone = bench.wait(engine.allow(a, b)).unwrap_err();
    assert_eq!(gone.code(), ErrorCode::NetworkNotFound);
    drop(engine);
    bench.restart();
    assert_eq!(allowed(&bench), ["b-bridge"]);
    check(&bench, "a new one of that name");
}

#[test]
fn what_is_no_pair_of_open_bridges_is_refused() {
    let (bench, a, b) = two();
    let engine = bench.engine();
    let mut closed = crate::bench::request("closed", "10.3.0.0/24");
    closed.internal = true;
    let closed = bench.wait(engine.create_network(closed)).unwrap().id;
    let host = bench.wait(engine.find_network("host")).unwrap().id;
    for (one, other, word) in [
        (a, a, "one network"),
        (a, host, "host is no bridge network"),
        (closed, b, "closed is internal"),
    ] {
        let refused = bench.wait(engine.allow(one, other)).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidRequest);
        assert!(refused.sentence().contains(word), "{}", refused.sentence());
    }
    bench.wait(engine.deny(closed, b)).unwrap();
    assert!(bench.wait(engine.deny(a, a)).is_err());
    check(&bench, "refused");
}

#[test]
fn a_refusal_of_the_firewall_or_of_the_store_leaves_all_as_it_was() {
    let (bench, a, b) = two();
    let engine = bench.engine();
    bench.world.refuse_next_rules("no room");
    assert!(bench.wait(engine.allow(a, b)).is_err());
    assert_eq!(allowed(&bench), Vec::<String>::new());
    bench.disk.fill_after(0);
    assert!(bench.wait(engine.allow(a, b)).is_err());
    assert_eq!(allowed(&bench), Vec::<String>::new());
    bench.disk.clear();
    bench.wait(engine.allow(a, b)).unwrap();
    bench.disk.fill_after(0);
    assert!(bench.wait(engine.deny(a, b)).is_err());
    assert_eq!(allowed(&bench), ["a-b"]);
    bench.disk.clear();
    check(&bench, "after the refusals");
}

#[test]
fn many_hands_on_the_same_networks_wait_in_no_circle() {
    let (bench, a, b) = two();
    let hands: Vec<_> = (0..32)
        .map(|number| {
            let engine = bench.engine();
            bench.spawn(async move {
                match number % 4 {
                    0 => engine.allow(a, b).await,
                    1 => engine.allow(b, a).await,
                    2 => engine.deny(b, a).await,
                    _ => engine.deny(a, b).await,
                }
            })
        })
        .collect();
    for hand in hands {
        bench.wait(hand).unwrap().unwrap();
    }
    check(&bench, "after a crowd");
}
