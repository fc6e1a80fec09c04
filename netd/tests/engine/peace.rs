//! What users may count on while nothing goes wrong: names, addresses, ports, and the order of things.

use netd::engine::{Absent, Ending, EngineError, NewContainer, Wish};
use netd_api::ErrorCode;
use netd_model::desired::FlowFilter;
use netd_model::{Container, ContainerState, NamespaceMode};

use crate::bench::{Bench, at, process, publishing, request};
use crate::steps::remove_all;
use crate::whole::check;

fn code<T: std::fmt::Debug>(result: Result<T, EngineError>) -> (ErrorCode, String) {
    let error = result.expect_err("a refusal");
    (error.code(), error.sentence())
}

#[test]
fn everything_that_was_made_can_be_removed() {
    let bench = Bench::new();
    let baseline = bench.baseline();
    bench.create("front", "").unwrap();
    let back = bench.create("back", "10.9.0.0/24").unwrap();
    let (_, web) = bench.run("web", "front", publishing(&["8080:80"])).unwrap();
    bench.run("db", "back", Wish::default()).unwrap();
    let engine = bench.engine();
    bench
        .wait(engine.connect(back.id, web.id, at("10.9.0.77")))
        .unwrap();
    assert_eq!(bench.addresses("web")[1], "10.9.0.77");
    check(&bench, "all of it stands");
    assert_eq!(
        code(bench.wait(engine.remove_network(back.id))).0,
        ErrorCode::NetworkInUse
    );
    remove_all(&bench);
    check(&bench, "nothing is left");
    assert_eq!(bench.baseline(), baseline);
}

#[test]
fn the_same_wish_again_gives_the_same_answer() {
    let bench = Bench::new();
    let network = bench.create("n", "10.9.0.0/24").unwrap();
    let (_, container) = bench.run("web", "bridge", Wish::default()).unwrap();
    let engine = bench.engine();
    let wish = || Wish {
        ports: publishing(&["8080:80"]).ports,
        ..at("10.9.0.5")
    };
    let (first, second) = bench.wait(async {
        tokio::join!(
            engine.connect(network.id, container.id, wish()),
            engine.connect(network.id, container.id, wish()),
        )
    });
    assert_eq!(first.unwrap(), second.unwrap());
    let other = bench.wait(engine.connect(network.id, container.id, at("10.9.0.6")));
    assert_eq!(code(other).0, ErrorCode::AlreadyConnected);
    bench
        .wait(engine.disconnect(network.id, container.id, Absent::Refuse))
        .unwrap();
    let again = bench.wait(engine.disconnect(network.id, container.id, Absent::Refuse));
    assert_eq!(code(again).0, ErrorCode::NotConnected);
    bench
        .wait(engine.disconnect(network.id, container.id, Absent::Accept))
        .unwrap();
    check(&bench, "after the twins");
}

#[test]
fn of_two_with_one_name_one_wins() {
    let bench = Bench::new();
    let engine = bench.engine();
    let (first, second) = bench.wait(async {
        tokio::join!(
            engine.create_network(request("n", "")),
            engine.create_network(request("n", "")),
        )
    });
    assert!(first.is_ok() != second.is_ok());
    let pids = [bench.world.spawn_process(), bench.world.spawn_process()];
    let run = |pid| engine.run_container(process(pid, "web", "n", Wish::default()));
    let (first, second) = bench.wait(async { tokio::join!(run(pids[0]), run(pids[1])) });
    assert!(first.is_ok() != second.is_ok());
    let refused = first.and(second);
    assert_eq!(code(refused).0, ErrorCode::NameTaken);
    check(&bench, "the loser left nothing");
}

#[test]
fn one_namespace_is_one_container() {
    let bench = Bench::new();
    let engine = bench.engine();
    let pid = bench.world.spawn_process();
    let run = |name| engine.run_container(process(pid, name, "bridge", Wish::default()));
    let (a, b, c) = bench.wait(async { tokio::join!(run("a"), run("b"), run("c")) });
    let made = [&a, &b, &c].iter().filter(|result| result.is_ok()).count();
    assert_eq!(made, 1, "{a:?} {b:?} {c:?}");
    check(&bench, "one of three has the namespace");
}

#[test]
fn addresses_go_round_and_come_back_to_their_names() {
    let mut bench = Bench::new();
    bench.create("n", "10.9.0.0/29").unwrap();
    let engine = bench.engine();
    for name in ["a", "b"] {
        bench.run(name, "n", Wish::default()).unwrap();
    }
    assert_eq!(bench.addresses("a"), ["10.9.0.2"]);
    let a = bench.wait(engine.find_container("a")).unwrap();
    bench
        .wait(engine.end_container(a.id, Ending::Exited(0)))
        .unwrap();
    bench.run("c", "n", Wish::default()).unwrap();
    assert_eq!(
        bench.addresses("c"),
        ["10.9.0.4"],
        "not the one just given up"
    );
    drop(engine);
    bench.restart();
    let (_, again) = bench.run("a", "n", Wish::default()).unwrap();
    assert_eq!(again.id, a.id, "the record goes on");
    assert_eq!(bench.addresses("a"), ["10.9.0.2"]);
    for name in ["d", "e"] {
        bench.run(name, "n", Wish::default()).unwrap();
    }
    let full = code(bench.run("f", "n", Wish::default()));
    assert_eq!(full.0, ErrorCode::AddressesExhausted);
    check(&bench, "a full network");
}

#[test]
fn a_requested_address_waits_for_its_stopped_container() {
    let bench = Bench::new();
    bench.create("n", "10.9.0.0/24").unwrap();
    let (_, a) = bench.run("a", "n", at("10.9.0.9")).unwrap();
    let taken = code(bench.run("b", "n", at("10.9.0.9")));
    assert_eq!(taken.0, ErrorCode::AddressTaken);
    assert!(taken.1.contains("container a"), "{}", taken.1);
    let engine = bench.engine();
    bench
        .wait(engine.end_container(a.id, Ending::Exited(0)))
        .unwrap();
    let kept = code(bench.run("b", "n", at("10.9.0.9")));
    assert!(kept.1.contains(" a"), "{}", kept.1);
    bench
        .wait(engine.end_container(a.id, Ending::Forgotten))
        .unwrap();
    bench.run("b", "n", at("10.9.0.9")).unwrap();
    check(&bench, "the next holder");
}

#[test]
fn a_port_has_one_holder_who_is_named() {
    let bench = Bench::new();
    let (_, web) = bench
        .run("web", "bridge", publishing(&["8080:80"]))
        .unwrap();
    let (port_taken, sentence) = code(bench.run("b", "bridge", publishing(&["8080:81"])));
    assert_eq!(port_taken, ErrorCode::PortTaken);
    assert!(sentence.contains("container web"), "{sentence}");
    let anywhere = "0.0.0.0".parse().unwrap();
    bench
        .world
        .occupy_port(netd_model::Protocol::Tcp, anywhere, 443, "nginx (pid 7)");
    let (port_taken, sentence) = code(bench.run("b", "bridge", publishing(&["443:443"])));
    assert_eq!(port_taken, ErrorCode::PortTaken);
    assert!(sentence.contains("nginx (pid 7)"), "{sentence}");
    let engine = bench.engine();
    let publish = |port: &str| bench.wait(engine.publish(web.id, vec![port.parse().unwrap()]));
    assert_eq!(code(publish("443:443")).0, ErrorCode::PortTaken);
    check(&bench, "nothing of the refused is left");
    publish("9090:90").unwrap();
    publish("9090:90").unwrap();
    check(&bench, "published while it runs");
    let (_, b) = bench.run("b", "bridge", Wish::default()).unwrap();
    let other = bench.wait(engine.publish(b.id, publishing(&["9090:1"]).ports));
    assert!(code(other).1.contains("container web"));
}

#[test]
fn a_port_of_the_daemon_s_choice_moves_aside_and_moves_no_other() {
    let bench = Bench::new();
    let anywhere = "0.0.0.0".parse().unwrap();
    bench
        .world
        .occupy_port(netd_model::Protocol::Tcp, anywhere, 32768, "nginx (pid 7)");
    let (_, web) = bench
        .run("web", "bridge", publishing(&["8080:80"]))
        .unwrap();
    let engine = bench.engine();
    bench
        .wait(engine.publish(web.id, publishing(&["80"]).ports))
        .unwrap();
    let ports = bench.look(move |state| state.endpoints_of(web.id)[0].ports.clone());
    let told: Vec<String> = ports.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["0.0.0.0:8080->80/tcp", "0.0.0.0:32769->80/tcp"]);
    check(&bench, "two ports");
}

#[test]
fn an_ended_container_gives_everything_back() {
    let bench = Bench::new();
    let baseline = bench.baseline();
    let (pid, web) = bench
        .run("web", "bridge", publishing(&["8080:80"]))
        .unwrap();
    let id = web.id;
    bench.world.end_process(pid);
    bench.until("its end is noticed", |bench| {
        bench.look(move |state| state.container(id).is_some_and(|web| web.has_ended()))
    });
    check(&bench, "after the end of its namespace");
    assert_eq!(bench.baseline(), baseline);
    let temporary = NewContainer {
        auto_remove: true,
        ..process(bench.world.spawn_process(), "tmp", "bridge", at("10.9.0.3"))
    };
    let engine = bench.engine();
    let refused = bench.wait(engine.run_container(temporary.clone()));
    assert_eq!(code(refused).0, ErrorCode::AddressNotAllowed);
    let wish = Wish::default();
    let tmp = bench
        .wait(engine.run_container(NewContainer { wish, ..temporary }))
        .unwrap();
    bench
        .wait(engine.end_container(tmp.id, Ending::Exited(3)))
        .unwrap();
    bench.look(move |state| assert!(state.container(tmp.id).is_none()));
    check(&bench, "after --rm");
}

#[test]
fn ended_containers_are_forgotten_and_no_other() {
    let bench = Bench::new();
    let engine = bench.engine();
    bench.create("n", "10.9.0.0/24").unwrap();
    let (_, old) = bench.run("old", "n", at("10.9.0.9")).unwrap();
    bench
        .wait(engine.end_container(old.id, Ending::Exited(0)))
        .unwrap();
    let report = bench.wait(engine.prune_containers()).unwrap();
    assert_eq!(report.containers, ["old".parse().unwrap()]);
    assert_eq!(report.failures, Vec::<String>::new());
    // What it had reserved is anybody's.
    let (_, again) = bench.run("again", "n", at("10.9.0.9")).unwrap();
    bench
        .wait(engine.end_container(again.id, Ending::Exited(0)))
        .unwrap();
    let pid = bench.world.spawn_process();
    let start = engine.run_container(process(pid, "again", "n", Wish::default()));
    let (started, report) = bench.wait(async { tokio::join!(start, engine.prune_containers()) });
    // Whoever was first: it runs, and is not taken for one that has ended.
    started.unwrap();
    assert_eq!(report.unwrap().failures, Vec::<String>::new());
    let again = bench.wait(engine.find_container("again")).unwrap();
    assert!(again.is_running());
    assert!(
        bench
            .wait(engine.prune_containers())
            .unwrap()
            .containers
            .is_empty()
    );
    check(&bench, "one is left");
}

#[test]
fn containers_in_another_s_namespace_have_nothing_of_their_own() {
    let mut bench = Bench::new();
    let (pid, owner) = bench.run("owner", "bridge", Wish::default()).unwrap();
    let (guest, host) = (
        bench.world.spawn_process_in(pid),
        bench.world.spawn_host_process(),
    );
    let shared = NewContainer {
        supervisor_pid: Some(guest),
        ..process(guest, "guest", "container:owner", Wish::default())
    };
    let hosted = NewContainer {
        supervisor_pid: Some(host),
        ..process(host, "hosted", "host", Wish::default())
    };
    let engine = bench.engine();
    let guest_record = bench.wait(engine.run_container(shared)).unwrap();
    assert_eq!(guest_record.namespace, NamespaceMode::Container(owner.id));
    let hosted = bench.wait(engine.run_container(hosted)).unwrap();
    let network = bench.create("n", "").unwrap();
    for id in [guest_record.id, hosted.id] {
        let refused = bench.wait(engine.connect(network.id, id, Wish::default()));
        assert_eq!(code(refused).0, ErrorCode::NotConnectable);
    }
    bench
        .wait(engine.end_container(owner.id, Ending::Exited(0)))
        .unwrap();
    check(&bench, "the owner ended before its guest");
    drop(engine);
    bench.restart();
    check(&bench, "the guest goes on after a restart");
    let running = move |bench: &Bench, id| {
        bench.look(move |state| state.container(id).is_some_and(|c| c.is_running()))
    };
    assert!(running(&bench, guest_record.id) && running(&bench, hosted.id));
    bench.world.end_process(guest);
    bench.world.end_process(host);
    bench.until("both ends are done", |bench| {
        let is_over = |container: &Container| container.has_ended() && !container.is_kept();
        bench.look(move |state| state.containers().all(|container| is_over(container)))
    });
    check(&bench, "all ended");
}

#[test]
fn no_network_means_loopback_only() {
    let bench = Bench::new();
    let (_, alone) = bench.run("alone", "none", Wish::default()).unwrap();
    assert_eq!(alone.state, ContainerState::Running);
    let netns = alone.sandbox.as_ref().unwrap().netns;
    let inside = bench.world.snapshot().sandboxes[&netns].clone();
    assert!(inside.loopback_up && inside.interfaces.is_empty());
    let network = bench.create("n", "").unwrap();
    let refused = bench.wait(
        bench
            .engine()
            .connect(network.id, alone.id, Wish::default()),
    );
    assert_eq!(code(refused).0, ErrorCode::NotConnectable);
    check(&bench, "alone");
}

#[test]
fn a_stopped_container_has_ended_when_the_answer_comes() {
    let bench = Bench::new();
    let pid = bench.world.spawn_process();
    let new = NewContainer {
        supervisor_pid: Some(pid),
        ..process(pid, "web", "bridge", publishing(&["8080:80"]))
    };
    let engine = bench.engine();
    let web = bench.wait(engine.run_container(new)).unwrap();
    bench
        .wait(engine.stop_container(web.id, crate::bench::DEADLINE))
        .unwrap();
    let id = web.id;
    assert!(bench.look(move |state| state.container(id).unwrap().has_ended()));
    check(&bench, "stopped");
    let again = bench.wait(engine.stop_container(id, crate::bench::DEADLINE));
    assert_eq!(code(again).0, ErrorCode::NotRunning);
    let (_, other) = bench.run("other", "bridge", Wish::default()).unwrap();
    let refused = bench.wait(engine.stop_container(other.id, crate::bench::DEADLINE));
    assert!(matches!(refused, Err(EngineError::NoSupervisor(_))));
}

#[test]
fn the_reconcile_of_a_restart_counts_and_has_nothing_to_do() {
    let mut bench = Bench::new();
    bench.create("n", "10.9.0.0/24").unwrap();
    bench
        .run("web", "n", publishing(&["8080:80", "53:53/udp"]))
        .unwrap();
    bench.restart();
    let counts = bench.wait(bench.engine().status()).unwrap().reconciles;
    assert_eq!((counts.runs, counts.repairs), (1, 0));
}

#[test]
fn flows_past_a_new_or_a_withdrawn_port_are_forgotten() {
    let bench = Bench::new();
    let (_, web) = bench
        .run("web", "bridge", publishing(&["53:53/udp"]))
        .unwrap();
    let to_port = |port| FlowFilter::ToHostPort {
        protocol: netd_model::Protocol::Udp,
        port,
    };
    assert_eq!(bench.world.forgotten_flows(), [to_port(53)]);
    let engine = bench.engine();
    bench
        .wait(engine.unpublish(web.id, publishing(&["53:53/udp"]).ports))
        .unwrap();
    assert_eq!(bench.world.forgotten_flows(), [to_port(53), to_port(53)]);
    check(&bench, "withdrawn");
}
