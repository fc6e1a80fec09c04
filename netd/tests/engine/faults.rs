//! One step fails, or all from one on: the request is refused, nothing of it is left, and the daemon goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use netd::engine::Wish;

use crate::bench::{Bench, publishing};
use crate::steps::{Step, remove_all, story, take};
use crate::whole::check;

/// What may be the case after a refusal.
#[derive(Clone, Copy, PartialEq)]
enum Refused {
    /// The request never happened.
    AsBefore,
    /// The same, or its removal is finished later.
    BeforeOrAfter,
}

/// The kernel's trouble: steps fail from the one numbered `first` on, `length` of them.
struct Trouble {
    armed: Arc<AtomicBool>,
    seen: Arc<AtomicUsize>,
}

impl Trouble {
    fn at(bench: &Bench, first: usize, length: usize) -> Self {
        let armed = Arc::new(AtomicBool::new(true));
        let seen = Arc::new(AtomicUsize::new(0));
        let trouble = Self { armed, seen };
        // The first fault sees every step and counts; the others follow it.
        for number in 0..length {
            let (armed, seen) = (Arc::clone(&trouble.armed), Arc::clone(&trouble.seen));
            bench.world.fail_next(move |_| {
                let count = match number {
                    0 => seen.fetch_add(1, Ordering::SeqCst),
                    _ => seen.load(Ordering::SeqCst),
                };
                armed.load(Ordering::SeqCst) && count >= first
            });
        }
        trouble
    }

    fn end(&self) -> bool {
        self.armed.store(false, Ordering::SeqCst);
        self.seen.load(Ordering::SeqCst) > 0
    }
}

/// A change that touches rules, links, routes and names.
const CLOSE: &str = r#"{
    "internal": true, "add_dns": ["192.0.2.53"],
    "options": {"com.docker.network.bridge.enable_icc": "false"}
}"#;

/// A change of every link.
const NARROW: &str = r#"{"options": {"com.docker.network.driver.mtu": "1400"}}"#;

/// Each request with what comes before it, and what its refusal may leave.
fn requests() -> Vec<(Vec<Step>, Step, Refused)> {
    use Refused::{AsBefore, BeforeOrAfter};
    let n1 = || Step::Create("n1", "10.1.0.0/24");
    let n2 = || Step::Create("n2", "10.2.0.0/24 fd00:2::/64");
    let web = || Step::Run("web", "n1", Some("10.1.0.9"), vec!["8080:80", "53:53/udp"]);
    let both = || vec![n1(), n2(), web(), Step::Connect("n2", "web")];
    vec![
        (vec![], n1(), AsBefore),
        (vec![n1()], web(), AsBefore),
        (vec![n1(), web(), Step::End("web")], web(), AsBefore),
        (
            vec![n1(), n2(), web()],
            Step::Connect("n2", "web"),
            AsBefore,
        ),
        (vec![n1(), web()], Step::Publish("web", "9090:90"), AsBefore),
        (
            vec![n1(), web()],
            Step::Unpublish("web", "8080:80"),
            BeforeOrAfter,
        ),
        (both(), Step::Disconnect("n1", "web"), BeforeOrAfter),
        (both(), Step::End("web"), BeforeOrAfter),
        (both(), Step::Forget("web"), BeforeOrAfter),
        (vec![n1()], Step::Remove("n1"), BeforeOrAfter),
        (both(), Step::Update("n1", CLOSE), AsBefore),
        (both(), Step::Update("n2", NARROW), AsBefore),
    ]
}

/// Takes the request on a bench with some trouble, until it is granted because the trouble comes too late.
fn refuse_everywhere(trouble: impl Fn(&Bench, usize) -> Box<dyn FnOnce(&Bench)>, rounds: usize) {
    for (before, step, refused) in requests() {
        for number in 0..rounds {
            let bench = Bench::new();
            let baseline = bench.baseline();
            before.iter().for_each(|step| take(&bench, step).unwrap());
            let told_before = story(&bench);
            let end = trouble(&bench, number);
            let result = take(&bench, &step);
            end(&bench);
            bench.wait(bench.engine().reconcile()).unwrap();
            let context = format!("{step:?} in trouble {number}: {result:?}");
            check(&bench, &context);
            let told = story(&bench);
            match (&result, refused) {
                (Err(_), Refused::AsBefore) => assert_eq!(told, told_before, "{context}"),
                (Ok(()), _) => assert_ne!(told, told_before, "{context}"),
                (Err(_), Refused::BeforeOrAfter) => {}
            }
            let granted = result.is_ok();
            // Granted or not, the same wish is fulfilled now: nothing stands in its way.
            if !granted && told == told_before {
                take(&bench, &step).unwrap_or_else(|e| panic!("{context}: {}", e.sentence()));
                check(&bench, &context);
            }
            remove_all(&bench);
            check(&bench, &context);
            assert_eq!(bench.baseline(), baseline, "{context}");
            if granted && number > 0 {
                break;
            }
        }
    }
}

#[test]
fn one_step_of_the_kernel_fails() {
    refuse_everywhere(
        |bench, number| {
            let trouble = Trouble::at(bench, number, 1);
            Box::new(move |_| _ = trouble.end())
        },
        24,
    );
}

#[test]
fn every_step_of_the_kernel_fails_from_one_on() {
    refuse_everywhere(
        |bench, number| {
            let trouble = Trouble::at(bench, number, 60);
            Box::new(move |_| _ = trouble.end())
        },
        24,
    );
}

#[test]
fn the_disk_is_full_from_one_commit_on() {
    refuse_everywhere(
        |bench, number| {
            bench.disk.fill_after(i64::try_from(number).unwrap());
            Box::new(|bench| bench.disk.clear())
        },
        8,
    );
}

#[test]
fn the_firewall_refuses_once() {
    refuse_everywhere(
        |bench, number| {
            if number == 0 {
                bench.world.refuse_next_rules("no room for rules");
            }
            Box::new(|_| ())
        },
        1,
    );
}

#[test]
fn what_could_not_be_undone_is_tried_again_without_being_asked() {
    let bench = Bench::new();
    take(&bench, &Step::Create("n1", "10.1.0.0/24")).unwrap();
    let (_, web) = bench.run("web", "n1", Wish::default()).unwrap();
    let trouble = Trouble::at(&bench, 0, 3);
    take(&bench, &Step::Forget("web")).unwrap_err();
    assert!(trouble.end());
    let id = web.id;
    bench.until("the leftover is gone", |bench| {
        bench.look(move |state| state.container(id).is_none())
    });
    check(&bench, "without being asked");
}

#[test]
fn nothing_comes_up_without_its_rules() {
    let mut bench = Bench::new();
    bench.run("web", "bridge", Wish::default()).unwrap();
    bench.kill();
    bench.world.reboot();
    let bridge = "docker0".parse().unwrap();
    bench.world.refuse_next_rules("no room for rules");
    bench.start().unwrap();
    let status = bench.wait(bench.engine().status()).unwrap();
    assert!(
        status.problems[0].contains("no room for rules"),
        "{status:?}"
    );
    assert!(!bench.world.links().contains(&bridge));
    bench.until("the bridge comes up", |bench| {
        bench.world.links().contains(&bridge)
    });
    bench.until("all is done", |bench| {
        bench
            .wait(bench.engine().status())
            .unwrap()
            .problems
            .is_empty()
    });
    check(&bench, "once the rules stand");
}

#[test]
fn a_port_that_was_refused_is_not_published_once_the_disk_has_room() {
    let bench = Bench::new();
    let (_, web) = bench
        .run("web", "bridge", publishing(&["8080:80"]))
        .unwrap();
    let told = story(&bench);
    bench.world.refuse_next_rules("no room for rules");
    bench.disk.fill_after(1);
    take(&bench, &Step::Publish("web", "9090:90")).unwrap_err();
    let ports = move |bench: &Bench| {
        let id = web.id;
        bench.look(move |state| state.endpoints_of(id)[0].ports.len())
    };
    assert_eq!(ports(&bench), 2, "the store does not take it back yet");
    bench.disk.clear();
    bench.wait(bench.engine().reconcile()).unwrap();
    assert_eq!(story(&bench), told);
    check(&bench, "as before");
    take(&bench, &Step::Publish("web", "9090:90")).unwrap();
    check(&bench, "asked again");
}

#[test]
fn files_that_cannot_be_written_refuse_a_start_and_hinder_no_end() {
    let bench = Bench::new();
    let baseline = bench.baseline();
    bench
        .run("web", "bridge", publishing(&["8080:80"]))
        .unwrap();
    let told = story(&bench);
    std::fs::remove_dir_all(bench.files()).unwrap();
    std::fs::write(bench.files(), "no directory").unwrap();
    let refused = bench.run("db", "bridge", Wish::default()).unwrap_err();
    assert!(refused.sentence().contains("cannot write"), "{refused}");
    assert_eq!(story(&bench), told);
    check(&bench, "the start was undone");
    take(&bench, &Step::End("web")).unwrap();
    check(&bench, "the end was not hindered");
    std::fs::remove_file(bench.files()).unwrap();
    remove_all(&bench);
    assert_eq!(bench.baseline(), baseline);
}
