//! Many at once: nobody is lost, nobody waits for ever.

use std::collections::BTreeSet;
use std::sync::Arc;

use netd::engine::{Absent, Ending, Engine, EngineError, Wish};
use netd_api::ErrorCode;

use crate::bench::{Bench, process, request};
use crate::steps::remove_all;
use crate::whole::check;

#[test]
fn sixty_four_containers_by_eight_callers_are_all_right() {
    let bench = Bench::new();
    let baseline = bench.baseline();
    bench.create("n", "10.9.0.0/24").unwrap();
    let callers: Vec<_> = (0..8)
        .map(|number| bench.spawn(caller(&bench, number)))
        .collect();
    bench.wait(async {
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
    });
    let addresses = bench.look(|state| {
        let leases = state
            .endpoints()
            .flat_map(|endpoint| endpoint.leases.clone());
        leases.map(|lease| lease.address).collect::<BTreeSet<_>>()
    });
    assert_eq!(addresses.len(), 64);
    check(&bench, "a crowd");
    remove_all(&bench);
    check(&bench, "an empty house");
    assert_eq!(bench.baseline(), baseline);
}

fn caller(
    bench: &Bench,
    number: u16,
) -> impl Future<Output = Result<(), EngineError>> + Send + 'static {
    let engine = bench.engine();
    let new: Vec<_> = (0..8)
        .map(|own| {
            let wish = Wish {
                ports: vec![format!("{}:80", 9000 + number * 8 + own).parse().unwrap()],
                ..Wish::default()
            };
            let name = format!("c{number}-{own}");
            process(bench.world.spawn_process(), &name, "n", wish)
        })
        .collect();
    async move {
        for new in new {
            engine.run_container(new).await?;
        }
        Ok(())
    }
}

/// Connects, disconnects, publishes, removes and ends against each other, with reconciles and ends of processes in
/// between. Every answer is allowed but none.
#[test]
fn a_storm_of_contrary_wishes_passes() {
    let bench = Bench::new();
    let baseline = bench.baseline();
    let names = ["a", "b", "c"];
    for round in 0..8 {
        let engine = bench.engine();
        let pids: Vec<u32> = names.iter().map(|_| bench.world.spawn_process()).collect();
        let mut storm = Vec::new();
        for (name, pid) in names.iter().zip(&pids) {
            storm.push(bench.spawn(life(Arc::clone(&engine), name, *pid)));
        }
        for number in 0..3 {
            storm.push(bench.spawn(network_life(Arc::clone(&engine), number)));
        }
        let looking = Arc::clone(&engine);
        storm.push(bench.spawn(async move {
            for _ in 0..5 {
                let _ = looking.reconcile().await;
                let _ = looking.prune_networks().await;
            }
        }));
        if round % 2 == 0 {
            bench.world.end_process(pids[0]);
        }
        bench.wait(async {
            for task in storm {
                task.await.unwrap();
            }
        });
        bench.until("nobody is half-way", |bench| {
            bench.look(|state| {
                state
                    .containers()
                    .all(|container| container.is_running() || container.has_ended())
                    && state.endpoints().all(|endpoint| state.stands(endpoint))
            })
        });
        if round % 2 == 0 {
            bench.until("the end is noticed", |bench| {
                bench.look(|state| {
                    let name = "a".parse().unwrap();
                    state.container_named(&name).is_none_or(|a| a.has_ended())
                })
            });
        }
        check(&bench, "after the storm");
        remove_all(&bench);
        check(&bench, "after the storm, all removed");
        assert_eq!(bench.baseline(), baseline);
    }
}

/// Whatever a start has come to when its process ends: nothing is left of it but, at most, the record of its end.
#[test]
fn a_process_that_ends_during_its_start_is_noticed_at_any_moment() {
    let bench = Bench::new();
    bench.create("n", "10.9.0.0/24").unwrap();
    for round in 0..240 {
        let pid = bench.world.spawn_process();
        let engine = bench.engine();
        let new = process(pid, "brief", "n", Wish::default());
        let start = bench.spawn(async move { engine.run_container(new).await });
        // A look takes a turn, as each part of a start does: one moment later in each round.
        for _ in 0..round % 12 {
            bench.look(|_| ());
        }
        bench.world.end_process(pid);
        let _ = bench.wait(start).unwrap();
        bench.until("the end is noticed", |bench| {
            bench.look(|state| {
                let brief = state.container_named(&"brief".parse().unwrap());
                brief.is_none_or(|brief| brief.has_ended())
            })
        });
    }
    remove_all(&bench);
    check(&bench, "brief lives");
    assert_eq!(bench.world.pinned().len(), 0);
}

async fn life(engine: Arc<Engine>, name: &'static str, pid: u32) {
    let new = process(pid, name, "bridge", Wish::default());
    let Ok(container) = engine.run_container(new).await else {
        return;
    };
    for _ in 0..3 {
        for network in ["n0", "n1", "n2"] {
            if let Ok(network) = engine.find_network(network).await {
                let _ = engine
                    .connect(network.id, container.id, Wish::default())
                    .await;
                let _ = engine
                    .publish(container.id, vec!["80".parse().unwrap()])
                    .await;
                let _ = engine
                    .disconnect(network.id, container.id, Absent::Accept)
                    .await;
            }
        }
    }
    if name == "b" {
        let _ = engine.end_container(container.id, Ending::Exited(0)).await;
    }
}

async fn network_life(engine: Arc<Engine>, number: u8) {
    for _ in 0..4 {
        let made = engine
            .create_network(request(&format!("n{number}"), ""))
            .await;
        if let Ok(network) = made {
            tokio::task::yield_now().await;
            let _ = engine.remove_network(network.id).await;
        }
    }
}

#[test]
fn a_namespace_handed_over_many_times_at_once_is_one_container() {
    let bench = Bench::new();
    bench.create("n", "10.9.0.0/24").unwrap();
    let pid = bench.world.spawn_process();
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let engine = bench.engine();
            let new = process(pid, "web", "n", Wish::default());
            bench.spawn(async move { engine.run_container(new).await })
        })
        .collect();
    let ids: BTreeSet<_> = callers
        .into_iter()
        .map(|caller| bench.wait(caller).unwrap().unwrap().id)
        .collect();
    assert_eq!(ids.len(), 1, "each got the same answer");
    assert_eq!(bench.addresses("web").len(), 1);
    check(&bench, "one container");
}

#[test]
fn of_two_who_want_to_be_the_first_one_is_refused() {
    let bench = Bench::new();
    let network = bench.create("n", "10.9.0.0/24").unwrap();
    let (_, container) = bench.run("web", "bridge", Wish::default()).unwrap();
    let engine = bench.engine();
    let connect = || {
        let anew = Wish {
            anew: true,
            ..Wish::default()
        };
        engine.connect(network.id, container.id, anew)
    };
    let (first, second) = bench.wait(async { tokio::join!(connect(), connect()) });
    let mut refused = [first, second].into_iter().filter_map(Result::err);
    assert_eq!(refused.next().unwrap().code(), ErrorCode::AlreadyConnected);
    assert!(refused.next().is_none());
}
