//! Others do things to the machine: what is netd's is mended, what is not is left alone.

use std::time::{Duration, Instant};

use netd::engine::{Absent, Ending, Wish};
use netd_kernel::fake::World;
use netd_model::container::Anchor;
use netd_model::desired::Op;

use crate::bench::{Bench, process, publishing};
use crate::steps::remove_all;
use crate::whole::check;

#[test]
fn a_stolen_link_and_flushed_rules_come_back() {
    let bench = Bench::new();
    bench.create("n", "10.9.0.0/24").unwrap();
    let (_, web) = bench.run("web", "n", publishing(&["8080:80"])).unwrap();
    let outside = bench.look(move |state| {
        let interface = state.endpoints_of(web.id)[0].interface.clone();
        interface.unwrap().outside
    });
    let rules = bench.world.rules();
    let index = bench.world.link_index(&outside).unwrap();
    bench.world.remove_link(&outside);
    bench.until("the link is there again", |bench| {
        bench
            .world
            .link_index(&outside)
            .is_some_and(|now| now != index)
    });
    bench.world.flush_rules();
    bench.until("the rules stand again", |bench| {
        bench.world.rules() == rules
    });
    bench.until("all is mended", |bench| {
        bench.wait(bench.engine().reconcile()).unwrap() == 0
    });
    let bridge = "docker0".parse().unwrap();
    bench.world.remove_link(&bridge);
    bench.until("the bridge is there again", |bench| {
        bench.world.links().contains(&bridge)
    });
    bench.until("all is mended", |bench| {
        bench.wait(bench.engine().reconcile()).unwrap() == 0
    });
    check(&bench, "mended");
}

#[test]
fn own_changes_of_the_rules_are_not_looked_into_and_a_stranger_s_among_them_is() {
    let bench = Bench::new();
    let network = bench.create("n", "10.9.0.0/24").unwrap();
    let (_, web) = bench.run("web", "bridge", Wish::default()).unwrap();
    let engine = bench.engine();
    let join = || bench.wait(engine.connect(network.id, web.id, publishing(&["8080:80"])));
    let leave = || bench.wait(engine.disconnect(network.id, web.id, Absent::Refuse));
    // The start looked once.
    let before = bench.world.verifications();
    // Longer than what is told may wait to be looked into.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        join().unwrap();
        leave().unwrap();
    }
    assert_eq!(bench.world.verifications(), before);
    join().unwrap();
    let rules = bench.world.rules();
    bench.world.flush_rules();
    // It makes the rules whole again, and is told together with the flush.
    leave().unwrap();
    join().unwrap();
    bench.until("the flush was noticed", |bench| {
        bench.world.verifications() == before + 1
    });
    assert_eq!(bench.world.rules().networks, rules.networks);
    check(&bench, "looked into");
}

#[test]
fn links_and_addresses_of_others_stay_as_they_are() {
    let mut bench = Bench::new();
    let card = "eth9".parse().unwrap();
    let foreign = "br-foreign".parse().unwrap();
    bench
        .world
        .add_foreign_link(&card, false, &["172.18.0.5/16".parse().unwrap()]);
    bench
        .world
        .add_foreign_link(&foreign, true, &["10.55.0.1/24".parse().unwrap()]);
    let baseline = bench.baseline();
    let indexes = [&card, &foreign].map(|name| bench.world.link_index(name));
    // 172.18.0.0/16 is the card's, so the next one is chosen; and one that overlaps is refused.
    let network = bench.create("n", "").unwrap();
    assert_eq!(network.pools[0].subnet.to_string(), "172.19.0.0/16");
    let error = bench.create("m", "10.55.0.0/16").unwrap_err().sentence();
    assert!(error.contains("br-foreign"), "{error}");
    bench.run("web", "n", Wish::default()).unwrap();
    bench.restart();
    check(&bench, "beside others");
    remove_all(&bench);
    check(&bench, "beside others, all removed");
    assert_eq!(bench.baseline(), baseline);
    assert_eq!(
        [&card, &foreign].map(|name| bench.world.link_index(name)),
        indexes
    );
}

#[test]
fn a_namespace_that_ends_in_the_midst_of_it_frees_everything() {
    for step in 0..12 {
        let bench = Bench::new();
        let baseline = bench.baseline();
        bench.create("n", "10.9.0.0/24").unwrap();
        let pid = bench.world.spawn_process();
        let (world, seen) = (bench.world.clone(), std::sync::atomic::AtomicUsize::new(0));
        let (sender, steps) = std::sync::mpsc::channel();
        // Sees each step before it is made, and lets none fail.
        bench.world.fail_next(move |_: &Op| {
            let _ = sender.send(seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
            false
        });
        let killer = std::thread::spawn(move || {
            while let Ok(made) = steps.recv_timeout(std::time::Duration::from_millis(300)) {
                if made == step {
                    break;
                }
            }
            world.end_process(pid);
        });
        let new = process(pid, "web", "n", publishing(&["8080:80"]));
        let engine = bench.engine();
        let _ = bench.wait(engine.run_container(new));
        killer.join().unwrap();
        bench.until("it ended", |bench| {
            bench.world.pinned().is_empty()
                && bench.look(|state| state.endpoints().count() == 0)
                && bench.look(|state| state.containers().all(|container| container.has_ended()))
        });
        check(&bench, "after an early end");
        remove_all(&bench);
        assert_eq!(bench.baseline(), baseline);
    }
}

#[test]
fn a_namespace_that_ended_while_nobody_watched_is_noticed() {
    let mut bench = Bench::new();
    let (pid, web) = bench
        .run("web", "bridge", publishing(&["8080:80"]))
        .unwrap();
    bench.kill();
    bench.world.end_process(pid);
    bench.start().unwrap();
    let id = web.id;
    bench.look(move |state| assert!(state.container(id).unwrap().has_ended()));
    check(&bench, "after the restart");
    // A later process with the number of the dead is somebody else.
    let (pid, db) = bench.run("db", "bridge", Wish::default()).unwrap();
    bench.kill();
    bench.world.reuse_pid(pid);
    bench.start().unwrap();
    let id = db.id;
    bench.look(move |state| assert!(state.container(id).unwrap().has_ended()));
    check(&bench, "after the number was given out again");
}

#[test]
fn two_daemons_on_one_machine_leave_each_other_alone() {
    // The fake machine has one daemon's pins and one rule set, so the second one comes after the first.
    let world = World::new();
    let mut first = Bench::idle(world.clone(), "{}");
    first.start().unwrap();
    first.create("n", "10.9.0.0/24").unwrap();
    let (pid, _) = first.run("web", "n", Wish::default()).unwrap();
    let of_first = world.links();
    first.kill();
    let mut second = Bench::idle(world.clone(), r#"{"bridge": "none"}"#);
    second.start().unwrap();
    let pid_of_second = world.spawn_process();
    second.create("m", "10.8.0.0/24").unwrap();
    let new = process(pid_of_second, "db", "m", Wish::default());
    let db = second.wait(second.engine().run_container(new)).unwrap();
    second.wait(second.engine().reconcile()).unwrap();
    assert!(world.links().is_superset(&of_first));
    second
        .wait(second.engine().end_container(db.id, Ending::Forgotten))
        .unwrap();
    second.wait(second.engine().prune_networks()).unwrap();
    assert_eq!(world.links(), of_first);
    second.kill();
    first.start().unwrap();
    check(&first, "after the other one");
    world.end_process(pid);
}

#[test]
fn a_reboot_ends_every_container_and_keeps_every_network() {
    let mut bench = Bench::new();
    bench.create("n", "10.9.0.0/24").unwrap();
    let (_, web) = bench.run("web", "n", publishing(&["8080:80"])).unwrap();
    bench.kill();
    bench.world.reboot();
    bench.start().unwrap();
    let id = web.id;
    bench.look(move |state| assert!(state.container(id).unwrap().has_ended()));
    check(&bench, "after a reboot");
    bench.run("web", "n", publishing(&["8080:80"])).unwrap();
    assert_eq!(bench.addresses("web"), ["10.9.0.2"]);
    check(&bench, "it returned");
}

#[test]
fn a_namespace_that_another_process_keeps_is_found_after_a_restart() {
    let mut bench = Bench::new();
    let (first, _) = bench.run("web", "bridge", Wish::default()).unwrap();
    let second = bench.world.spawn_process_in(first);
    bench.world.end_process(first);
    bench.until("the other holder is written down", |bench| {
        bench.look(move |state| {
            let kept = |anchor: &Anchor| matches!(anchor, Anchor::Process(process) if process.pid == second);
            let container = state.container_named(&"web".parse().unwrap());
            let sandbox = container.and_then(|container| container.sandbox.clone());
            sandbox.is_some_and(|sandbox| kept(&sandbox.anchor))
        })
    });
    let addresses = bench.addresses("web");
    bench.restart();
    check(&bench, "it lives on");
    assert_eq!(bench.addresses("web"), addresses);
}

#[test]
fn flushed_rules_come_back_although_nobody_tells() {
    let world = World::new();
    world.silence_rules();
    let mut bench = Bench::idle(world, "{}");
    bench.start().unwrap();
    bench
        .run("web", "bridge", publishing(&["8080:80"]))
        .unwrap();
    let rules = bench.world.rules();
    bench.world.flush_rules();
    bench.until("the rules are there again", |bench| {
        bench.world.rules() == rules
    });
    check(&bench, "rules restored without a notice");
}
