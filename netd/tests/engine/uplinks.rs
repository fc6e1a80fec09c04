//! Cards of the host on networks: what is kept, what comes back, and what is another's.

use netd_api::{ErrorCode, UplinkRequest};
use netd_model::{IfName, Op};

use crate::bench::Bench;
use crate::whole::check;

fn card() -> IfName {
    "eth7".parse().unwrap()
}

/// A daemon with networks `a` and `b` on a host with a card.
fn host() -> Bench {
    let bench = Bench::new();
    bench.world.add_foreign_link(&card(), false, &[]);
    bench.create("a", "10.1.0.0/24").unwrap();
    bench.create("b", "10.2.0.0/24").unwrap();
    bench
}

fn uplink(bench: &Bench, network: &str) -> Result<(), netd::engine::EngineError> {
    let engine = bench.engine();
    let id = bench.wait(engine.find_network(network)).unwrap().id;
    let (device, force) = (card(), false);
    bench.wait(engine.add_uplink(id, UplinkRequest { device, force }))
}

fn unplug(bench: &Bench, network: &str) -> Result<(), netd::engine::EngineError> {
    let engine = bench.engine();
    let id = bench.wait(engine.find_network(network)).unwrap().id;
    bench.wait(engine.remove_uplink(id, card()))
}

#[test]
fn a_card_stays_on_its_network_until_it_is_taken_off() {
    let mut bench = host();
    uplink(&bench, "a").unwrap();
    uplink(&bench, "a").unwrap();
    check(&bench, "joined");
    bench.restart();
    check(&bench, "after a restart");
    let refused = uplink(&bench, "b").unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidRequest);
    assert!(refused.sentence().contains("net uplink --rm a eth7"));
    assert_eq!(
        unplug(&bench, "b").unwrap_err().code(),
        ErrorCode::NotConnected
    );
    unplug(&bench, "a").unwrap();
    assert_eq!(bench.world.holder_of(&card()), None);
    uplink(&bench, "b").unwrap();
    check(&bench, "on the other");
    let engine = bench.engine();
    let b = bench.wait(engine.find_network("b")).unwrap().id;
    bench.wait(engine.remove_network(b)).unwrap();
    check(&bench, "went with its network");
    assert!(
        bench.world.links().contains(&card()),
        "the card itself stays"
    );
}

#[test]
fn a_card_comes_back_that_was_taken_off_or_unplugged() {
    let bench = host();
    uplink(&bench, "a").unwrap();
    bench.world.take_off(&card());
    bench.until("the card is back", |bench| {
        bench.world.holder_of(&card()).is_some()
    });
    bench.world.remove_link(&card());
    bench.until("the card is missed", |bench| {
        let status = bench.wait(bench.engine().status()).unwrap();
        status
            .problems
            .iter()
            .any(|problem| problem.starts_with("uplink eth7"))
    });
    bench.world.add_foreign_link(&card(), false, &[]);
    bench.until("the card is back", |bench| {
        let status = bench.wait(bench.engine().status()).unwrap();
        bench.world.holder_of(&card()).is_some() && status.problems.is_empty()
    });
    check(&bench, "back");
}

#[test]
fn a_refusal_leaves_the_card_where_it_was() {
    let bench = host();
    bench
        .world
        .fail_next(|op| matches!(op, Op::SetLink { name, .. } if *name == card()));
    assert!(uplink(&bench, "a").is_err());
    check(&bench, "refused by the kernel");
    for commits in 0..2 {
        bench.disk.fill_after(commits);
        assert!(uplink(&bench, "a").is_err());
        bench.disk.clear();
        bench.wait(bench.engine().reconcile()).unwrap();
        check(&bench, "refused by the store");
    }
    uplink(&bench, "a").unwrap();
    bench
        .world
        .fail_next(|op| matches!(op, Op::SetLink { name, .. } if *name == card()));
    assert!(unplug(&bench, "a").is_err());
    bench.wait(bench.engine().reconcile()).unwrap();
    assert_eq!(
        bench.world.holder_of(&card()),
        None,
        "the reconcile goes on with it"
    );
    check(&bench, "after the refusals");
}
