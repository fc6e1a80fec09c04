//! Containers in another's namespace: its network lives as long as the last of them, and takes its owner back.

use netd::engine::{Ending, EngineError, NewContainer, Wish};
use netd_api::ErrorCode;
use netd_model::container::Anchor;

use crate::bench::{Bench, at, process, publishing};
use crate::steps::{Step, story, take};
use crate::whole::check;

/// A container of `net run`: its process is its supervisor.
fn supervised(pid: u32, name: &str, network: &str, wish: Wish) -> NewContainer {
    NewContainer {
        supervisor_pid: Some(pid),
        ..process(pid, name, network, wish)
    }
}

fn guest(pid: u32, name: &str, network: &str) -> NewContainer {
    NewContainer {
        netns: None,
        ..supervised(pid, name, network, Wish::default())
    }
}

fn run(bench: &Bench, new: NewContainer) -> Result<(), EngineError> {
    bench.wait(bench.engine().run_container(new)).map(|_| ())
}

/// `web` with a published port on a network of its own, and `db` in its namespace. Gives their processes.
fn pair(bench: &Bench) -> (u32, u32) {
    bench.create("n", "10.9.0.0/24").unwrap();
    let web = bench.world.spawn_process();
    let wish = Wish {
        ports: publishing(&["8080:80"]).ports,
        ..at("10.9.0.9")
    };
    run(bench, supervised(web, "web", "n", wish)).unwrap();
    let db = bench.world.spawn_process_in(web);
    run(bench, guest(db, "db", "container:web")).unwrap();
    (web, db)
}

fn is_kept(bench: &Bench) -> bool {
    bench.look(|state| {
        let web = state.container_named(&"web".parse().unwrap());
        web.is_some_and(|web| web.is_kept())
    })
}

fn end(bench: &Bench, name: &str) {
    let engine = bench.engine();
    let id = bench.wait(engine.find_container(name)).unwrap().id;
    bench
        .wait(engine.end_container(id, Ending::Exited(0)))
        .unwrap();
}

fn has_place(bench: &Bench) -> bool {
    story(bench)
        .get("web on n by eth0")
        .is_some_and(|place| place.contains("10.9.0.9") && place.contains("8080"))
}

#[test]
fn the_network_outlives_its_container_for_those_who_share_it() {
    let mut bench = Bench::new();
    let baseline = bench.baseline();
    let (web, db) = pair(&bench);
    end(&bench, "web");
    bench.world.end_process(web);
    assert!(is_kept(&bench) && has_place(&bench));
    check(&bench, "kept");
    bench.restart();
    assert!(is_kept(&bench) && has_place(&bench));
    check(&bench, "kept over a restart");
    let pruned = bench.wait(bench.engine().prune_containers()).unwrap();
    assert_eq!(pruned.containers, []);
    end(&bench, "db");
    bench.world.end_process(db);
    assert!(!is_kept(&bench) && !has_place(&bench));
    check(&bench, "the last one ended");
    bench.wait(bench.engine().prune_containers()).unwrap();
    take(&bench, &Step::Remove("n")).unwrap();
    assert_eq!(bench.baseline(), baseline);
}

/// Whoever is killed first, and wherever the daemon is meanwhile.
#[test]
fn whoever_is_killed_the_rest_goes_on() {
    for daemon_is_away in [false, true] {
        let mut bench = Bench::new();
        let (web, db) = pair(&bench);
        if daemon_is_away {
            bench.kill();
        }
        bench.world.end_process(web);
        if daemon_is_away {
            bench.start().unwrap();
        }
        bench.until("the end of web is seen", is_kept);
        assert!(has_place(&bench));
        check(&bench, "web was killed");
        let again = bench.world.spawn_process_in(db);
        let wish = publishing(&["8080:80"]);
        run(&bench, supervised(again, "web", "n", wish)).unwrap();
        assert!(!is_kept(&bench) && has_place(&bench));
        check(&bench, "web is back");
        if daemon_is_away {
            bench.kill();
        }
        bench.world.end_process(db);
        if daemon_is_away {
            bench.start().unwrap();
        }
        bench.until("the end of db is seen", |bench| {
            story(bench)["container db"].starts_with("exited")
        });
        assert!(has_place(&bench));
        check(&bench, "db was killed");
        bench.world.end_process(again);
        bench.until("the end of the namespace is seen", |bench| {
            story(bench)["container web"].ends_with("kept false")
        });
        assert!(!has_place(&bench));
        check(&bench, "all were killed");
    }
}

#[test]
fn the_end_of_all_at_once_is_seen_also_afterwards() {
    let mut bench = Bench::new();
    let (web, db) = pair(&bench);
    bench.kill();
    bench.world.end_process(web);
    bench.world.end_process(db);
    bench.start().unwrap();
    assert!(!has_place(&bench));
    check(&bench, "all ended while no daemon ran");
}

#[test]
fn a_container_that_returns_says_what_it_wants_now() {
    let bench = Bench::new();
    let (web, db) = pair(&bench);
    end(&bench, "web");
    bench.world.end_process(web);
    let again = bench.world.spawn_process_in(db);
    let refused = |new: NewContainer| {
        let error = run(&bench, new).expect_err("a refusal");
        assert!(is_kept(&bench) && has_place(&bench), "{}", error.sentence());
        check(&bench, "refused");
        (error.code(), error.sentence())
    };
    let (code, sentence) = refused(supervised(again, "web", "bridge", Wish::default()));
    assert_eq!(code, ErrorCode::NamespaceKept);
    assert_eq!(
        sentence,
        "the network of container web is kept by db, which shares it; run web with --network n as 10.9.0.9, or stop db first"
    );
    assert_eq!(
        refused(supervised(again, "web", "n", at("10.9.0.8"))).0,
        ErrorCode::NamespaceKept
    );
    let elsewhere = bench.world.spawn_process();
    assert_eq!(
        refused(supervised(elsewhere, "web", "n", Wish::default())).0,
        ErrorCode::NamespaceKept
    );
    bench.world.end_process(elsewhere);
    bench.run("other", "n", publishing(&["9090:90"])).unwrap();
    assert_eq!(
        refused(supervised(again, "web", "n", publishing(&["9090:80"]))).0,
        ErrorCode::PortTaken
    );
    let wish = Wish {
        aliases: vec!["www".parse().unwrap()],
        ..publishing(&["8081:80", "443"])
    };
    run(&bench, supervised(again, "web", "n", wish)).unwrap();
    let place = story(&bench)["web on n by eth0"].clone();
    assert!(
        place.contains("10.9.0.9") && place.contains("8081") && !place.contains("8080"),
        "{place}"
    );
    check(&bench, "with other ports");
}

#[test]
fn another_runtime_comes_with_a_namespace_of_its_own() {
    let bench = Bench::new();
    let (web, db) = pair(&bench);
    end(&bench, "web");
    bench.world.end_process(web);
    let events = bench.engine().listen();
    bench.run("web", "n", Wish::default()).unwrap();
    check(&bench, "web has a new namespace");
    assert_eq!(bench.addresses("web"), ["10.9.0.9"]);
    let mut events = events;
    let told = std::iter::from_fn(|| events.try_recv().ok());
    let told: Vec<_> = told.map(|event| event.action).collect();
    assert!(
        told.iter().any(|action| action == "left_behind"),
        "{told:?}"
    );
    let late = bench.world.spawn_process_in(db);
    let error = run(&bench, guest(late, "late", "container:web")).expect_err("a refusal");
    assert_eq!(error.code(), ErrorCode::NamespaceUnusable);
    end(&bench, "db");
    check(&bench, "the one that was left behind ended");
}

#[test]
fn nothing_of_the_network_is_given_to_one_that_shares_it() {
    let bench = Bench::new();
    let (web, db) = pair(&bench);
    let beside = bench.world.spawn_process_in(web);
    // One that shares leads on to the owner; what is refused says whom to give it to.
    let wanted = NewContainer {
        wish: publishing(&["81:81"]),
        ..guest(beside, "third", "container:db")
    };
    let refused = run(&bench, wanted).expect_err("a refusal").sentence();
    assert_eq!(
        refused,
        "published ports cannot be given to a container in the network of web: publish on web"
    );
    run(&bench, guest(beside, "third", "container:db")).unwrap();
    let engine = bench.engine();
    let third = bench.wait(engine.find_container("third")).unwrap();
    let owner = bench.wait(engine.find_container("web")).unwrap();
    assert_eq!(third.shares(), Some(owner.id));
    assert_eq!(third.hostname, owner.hostname);
    let refused = bench.wait(engine.publish(third.id, publishing(&["81:81"]).ports));
    assert_eq!(
        refused.expect_err("a refusal").sentence(),
        "container third cannot publish ports: it shares the network of web; publish on web"
    );
    end(&bench, "web");
    end(&bench, "db");
    assert!(is_kept(&bench));
    bench.world.end_process(web);
    bench.world.end_process(db);
    let late = bench.world.spawn_process_in(beside);
    let refused = run(&bench, guest(late, "late", "container:web")).expect_err("a refusal");
    assert_eq!(refused.code(), ErrorCode::NotRunning);
    check(&bench, "kept by the third");
}

/// Nobody but the one that told of them can tell of their end.
#[test]
fn one_without_a_supervisor_outlives_the_daemon() {
    let mut bench = Bench::new();
    let (_, db) = pair(&bench);
    let quiet = |name: &str, network: &str| NewContainer {
        netns: None,
        ..process(1, name, network, Wish::default())
    };
    run(&bench, quiet("quiet", "container:web")).unwrap();
    run(&bench, quiet("hosted", "host")).unwrap();
    bench.restart();
    let running =
        |bench: &Bench, name: &'static str| story(bench)[&format!("container {name}")] == "Running";
    assert!(running(&bench, "quiet") && running(&bench, "hosted"));
    check(&bench, "after a restart");
    end(&bench, "web");
    assert!(is_kept(&bench));
    bench.kill();
    bench.world.reboot();
    bench.start().unwrap();
    let _ = db;
    for name in ["web", "db", "quiet", "hosted"] {
        assert!(!running(&bench, name), "{name}");
    }
    check(&bench, "after a reboot");
}

#[test]
fn a_container_of_another_runtime_ends_though_others_are_in_its_namespace() {
    let mut bench = Bench::new();
    bench.create("n", "10.9.0.0/24").unwrap();
    let first = bench.world.spawn_process();
    let second = bench.world.spawn_process_in(first);
    run(&bench, process(first, "web", "n", at("10.9.0.9"))).unwrap();
    let db = bench.world.spawn_process_in(first);
    run(&bench, guest(db, "db", "container:web")).unwrap();
    let state = |bench: &Bench| story(bench)["container web"].clone();
    bench.world.end_process(first);
    bench.until("another process of its own to be its anchor", |bench| {
        let anchor = bench.look(|state| {
            let web = state.container_named(&"web".parse().unwrap())?;
            web.sandbox.as_ref().map(|sandbox| sandbox.anchor.clone())
        });
        matches!(anchor, Some(Anchor::Process(process)) if process.pid == second)
    });
    assert_eq!(state(&bench), "Running");
    bench.world.end_process(second);
    bench.until("its end to be noticed", is_kept);
    check(&bench, "kept for db");
    bench.restart();
    assert!(is_kept(&bench));
    end(&bench, "db");
    bench.world.end_process(db);
    assert!(!is_kept(&bench));
    check(&bench, "released");
}
