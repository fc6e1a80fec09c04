//! What an attach and a detach cost, in what can be counted: commits, steps of the kernel, changes of threads. None of it
//! grows unseen.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use netd::engine::{Absent, NewContainer, Wish};
use netd_model::{ContainerId, NetworkId, Op};

use crate::bench::{Bench, process};
use crate::steps::limited;

/// What was done for one request.
#[derive(Debug)]
struct Bill {
    commits: usize,
    steps: Vec<Op>,
    threads: BTreeSet<String>,
}

/// Adds up what a request costs, what goes on after it was acknowledged left out.
fn bill<T>(bench: &Bench, request: impl FnOnce(&Bench) -> T) -> Bill {
    let made: Arc<Mutex<Vec<(Op, ThreadId)>>> = Arc::default();
    let noted = Arc::clone(&made);
    bench.world.fail_next(move |op| {
        let mut made = noted.lock().unwrap();
        made.push((op.clone(), std::thread::current().id()));
        false
    });
    bench.disk.writers.lock().unwrap().clear();
    request(bench);
    let mut made = made.lock().unwrap().clone();
    made.retain(|(op, _)| !matches!(op, Op::ForgetFlows(_)));
    let writers = bench.disk.writers.lock().unwrap().clone();
    // What is made beside is made by whoever is first at it, and nobody waits for a thread.
    let is_beside = |op: &Op| matches!(op, Op::RedirectDns { .. });
    let makers = made.iter().filter(|(op, _)| !is_beside(op));
    let threads = writers.iter().chain(makers.map(|(_, thread)| thread));
    Bill {
        commits: writers.len(),
        threads: threads.map(|id| format!("{id:?}")).collect(),
        steps: made.into_iter().map(|(op, _)| op).collect(),
    }
}

/// A container on the network `first`, and that it may join `second`.
fn ready(bench: &Bench) -> (NetworkId, ContainerId) {
    bench.create("first", "10.1.0.0/16").unwrap();
    let second = bench.create("second", "10.2.0.0/16").unwrap().id;
    let (_, web) = bench.run("web", "first", Wish::default()).unwrap();
    (second, web.id)
}

fn connect(bench: &Bench, (network, container): (NetworkId, ContainerId)) {
    let engine = bench.engine();
    bench
        .wait(engine.connect(network, container, Wish::default()))
        .unwrap();
}

fn disconnect(bench: &Bench, (network, container): (NetworkId, ContainerId)) {
    let engine = bench.engine();
    bench
        .wait(engine.disconnect(network, container, Absent::Refuse))
        .unwrap();
}

#[test]
fn an_attach_without_ports_is_one_piece_of_work() {
    let bench = Bench::new();
    let pair = ready(&bench);
    let attach = bill(&bench, |bench| connect(bench, pair));
    // The intent, and that it is done.
    assert_eq!(attach.commits, 2, "{attach:?}");
    // The pair; inside no IPv6, the address, up, and the route that the kernel may have dropped.
    assert_eq!(attach.steps.len(), 5, "{attach:?}");
    // One change of threads there, one back.
    assert_eq!(attach.threads.len(), 1, "{attach:?}");
    let own = format!("{:?}", std::thread::current().id());
    assert!(!attach.threads.contains(&own), "{attach:?}");
}

#[test]
fn limits_are_four_steps_more_and_no_limits_none() {
    let bench = Bench::new();
    let (second, web) = ready(&bench);
    let engine = bench.engine();
    let attach = bill(&bench, |bench| {
        bench.wait(engine.connect(second, web, limited())).unwrap();
    });
    assert_eq!(attach.commits, 2, "{attach:?}");
    // A device that what it sends goes through, with a bucket; a bucket for what comes to it, and the way to that device.
    assert_eq!(attach.steps.len(), 5 + 4, "{attach:?}");
    assert_eq!(attach.threads.len(), 1, "{attach:?}");
    let detach = bill(&bench, |bench| disconnect(bench, (second, web)));
    assert_eq!((detach.commits, detach.steps.len()), (2, 2), "{detach:?}");
}

#[test]
fn a_detach_is_one_piece_of_work() {
    let bench = Bench::new();
    let pair = ready(&bench);
    connect(&bench, pair);
    let detach = bill(&bench, |bench| disconnect(bench, pair));
    assert_eq!(detach.commits, 2, "{detach:?}");
    assert_eq!(detach.steps.len(), 1, "{detach:?}");
    assert_eq!(detach.threads.len(), 1, "{detach:?}");
}

#[test]
fn the_first_attach_writes_down_the_resolver_s_port_with_its_outcome() {
    let bench = Bench::new();
    bench.create("first", "10.1.0.0/16").unwrap();
    let run = bill(&bench, |bench| {
        bench.run("web", "first", Wish::default()).unwrap()
    });
    // That it starts, the intent to join, that it has joined and runs.
    assert_eq!(run.commits, 3, "{run:?}");
    // Its namespace, its record and its interface: one change of threads there, one back.
    assert_eq!(run.threads.len(), 1, "{run:?}");
    let own = format!("{:?}", std::thread::current().id());
    assert!(!run.threads.contains(&own), "{run:?}");
    let port = bench.look(|state| {
        let web = state.container_named(&"web".parse().unwrap()).unwrap();
        web.sandbox.as_ref().unwrap().dns_port
    });
    assert!(port.is_some());
}

#[test]
fn a_container_leaves_for_good_in_one_piece_of_work() {
    let bench = Bench::new();
    bench.create("first", "10.1.0.0/16").unwrap();
    let (_, web) = bench.run("web", "first", Wish::default()).unwrap();
    let end = bill(&bench, |bench| {
        let engine = bench.engine();
        let forgotten = netd::engine::Ending::Forgotten;
        bench.wait(engine.end_container(web.id, forgotten)).unwrap();
    });
    // That it ends, that it is on no network any more, that nothing is left of it.
    assert_eq!(end.commits, 3, "{end:?}");
    assert_eq!(end.steps.len(), 1, "{end:?}");
    // The first of them where the request was read, for it has to be known who else is in the namespace.
    assert_eq!(end.threads.len(), 2, "{end:?}");
}

#[test]
fn others_make_no_attach_dearer() {
    let bench = Bench::new();
    let pair = ready(&bench);
    let alone = bill(&bench, |bench| connect(bench, pair));
    disconnect(&bench, pair);
    bench.settle();
    for number in 0..20 {
        let pid = bench.world.spawn_process();
        let other = NewContainer {
            links: vec!["web:w".to_owned()],
            ..process(pid, &format!("other{number}"), "second", Wish::default())
        };
        bench.wait(bench.engine().run_container(other)).unwrap();
    }
    let beside = bill(&bench, |bench| connect(bench, pair));
    assert_eq!(beside.commits, alone.commits);
    assert_eq!(beside.steps.len(), alone.steps.len(), "{beside:?}");
    assert_eq!(beside.threads.len(), 1, "{beside:?}");
}

#[test]
fn links_are_followed_to_those_who_have_them_until_they_are_forgotten() {
    let bench = Bench::new();
    bench.create("first", "10.1.0.0/16").unwrap();
    let (_, web) = bench.run("web", "first", Wish::default()).unwrap();
    let pid = bench.world.spawn_process();
    let other = NewContainer {
        links: vec!["web:w".to_owned()],
        ..process(pid, "other", "first", Wish::default())
    };
    let other = bench.wait(bench.engine().run_container(other)).unwrap();
    let linked = |bench: &Bench| {
        let id = web.id;
        bench.look(move |state| state.linked_to(id).collect::<Vec<_>>())
    };
    assert_eq!(linked(&bench), [other.id]);
    bench.world.end_process(pid);
    let forgotten = netd::engine::Ending::Forgotten;
    bench
        .wait(bench.engine().end_container(other.id, forgotten))
        .unwrap();
    assert_eq!(linked(&bench), []);
}
