//! Requests by chance, with crashes, faults and sudden ends in between. NETD_SEED replays one run, NETD_STEPS makes it
//! longer; a failure prints the seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use netd_kernel::fake::Fuel;
use netd_model::container::Anchor;
use netd_model::{Container, ContainerState, Sandbox, Supervisor};

use crate::bench::Bench;
use crate::steps::{Step, remove_all, take};
use crate::whole::check;

/// Requests of one run, unless NETD_STEPS says otherwise.
const STEPS: u64 = 400;

/// Random numbers from a seed: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators").
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }

    fn below(&mut self, sides: u64) -> u64 {
        self.throw() % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

fn request(dice: &mut Dice) -> Step {
    let network = dice.pick(&["n1", "n2", "n3", "bridge"]);
    let own = dice.pick(&["n1", "n2", "n3"]);
    let subnet = dice.pick(&[
        "",
        "ipv6",
        "10.1.0.0/28",
        "10.2.0.0/24",
        "10.2.0.0/24 fd00:2::/125",
    ]);
    let container = dice.pick(&["a", "b", "c", "d", "e"]);
    let address = dice.pick(&[
        None,
        None,
        None,
        Some("10.1.0.5"),
        Some("10.2.0.5"),
        Some("fd00:2::5"),
        Some("169.254.1.5"),
        Some("10.2.0.5 169.254.1.6 fe80::5"),
    ]);
    let ports = dice.pick::<&[&str]>(&[&[], &[], &["80"], &["8080:80"], &["9000-9003:90-93/udp"]]);
    let port = dice.pick(&["80", "8080:80", "9000-9003:90-93/udp", "53:53/udp"]);
    let change = dice.pick(&[
        r#"{"internal": true}"#,
        r#"{"internal": false}"#,
        r#"{"options": {"com.docker.network.driver.mtu": "1400"}}"#,
        r#"{"options": {"com.docker.network.driver.mtu": "1500"}, "labels": {"a": "b"}}"#,
        r#"{"options": {"com.docker.network.bridge.enable_icc": "false"}, "add_dns": ["192.0.2.53"]}"#,
        r#"{"options": {"com.docker.network.bridge.enable_icc": "true"}, "remove_dns": ["192.0.2.53"]}"#,
    ]);
    let peer = dice.pick(&["10.200.0.0/16", "10.2.0.0/16", "192.168.9.0/24"]);
    let gateway = dice.pick(&["192.0.2.2", "192.0.2.3", "203.0.113.1"]);
    let interface = dice.pick(&["eth0", "net1", "net2"]);
    match dice.below(49) {
        0..=3 => Step::Create(own, subnet),
        4 => dice.pick(&[&Step::Remove(own), &Step::Prune]).clone(),
        31..=33 => Step::Join(container, dice.pick(&["a", "b"])),
        34 => Step::Return(container, network),
        5..=10 => Step::Run(container, network, address, ports.to_vec()),
        11..=14 => Step::Connect(own, container),
        15..=16 => Step::Disconnect(network, container),
        17..=18 => Step::Publish(container, port),
        19 => Step::Unpublish(container, port),
        20..=22 => Step::End(container),
        23..=24 => Step::Allow(own, network),
        25 => Step::Deny(network, own),
        26..=29 => Step::Update(own, change),
        35..=37 => Step::Route(peer, gateway, dice.pick(&["", own])),
        38 => Step::Unroute(peer),
        39..=40 => Step::Uplink(network, dice.pick(&["eth7", "eth8"])),
        46..=47 => Step::RunLimited(container, own),
        48 => Step::ConnectLimited(own, container),
        41 => Step::Unplug(network, dice.pick(&["eth7", "eth8"])),
        42..=44 => Step::ConnectBy(network, container, interface, ports.to_vec()),
        45 => Step::DisconnectBy(network, container, interface),
        _ => Step::Forget(container),
    }
}

/// Ends the process of some container, without a word to the daemon.
fn kill_a_process(bench: &Bench, dice: &mut Dice) {
    let anchors = bench.look(|state| {
        let sandboxes = state.containers().filter_map(|c| c.sandbox.clone());
        sandboxes.map(|sandbox| sandbox.anchor).collect::<Vec<_>>()
    });
    if anchors.is_empty() {
        return;
    }
    let at = usize::try_from(dice.below(anchors.len() as u64)).unwrap();
    if let Anchor::Process(process) = &anchors[at] {
        bench.world.end_process(process.pid);
    }
}

/// Waits until every end is noticed, then compares the whole.
fn settle(bench: &Bench, context: &str) {
    let world = bench.world.clone();
    bench.until("every end is noticed", |bench| {
        let living = world.snapshot().sandboxes;
        let pinned = world.pinned();
        let inside = world.clone();
        bench.look(move |state| {
            let sandboxes = state.containers().filter_map(|c| c.sandbox.as_ref());
            let known: Vec<_> = sandboxes.collect();
            // Of who is in another's namespace no namespace tells the end: that is noticed in a round, and may be under way.
            let lives = |process: &Supervisor| inside.netns_of(process.pid).is_some();
            let stands = |one: &Container| match &one.state {
                ContainerState::Running => one.supervisor.as_ref().is_none_or(lives),
                ContainerState::Exited { .. } => true,
                ContainerState::Starting { .. } | ContainerState::Ending { .. } => false,
            };
            // The daemon's own pin keeps a namespace whose end it has not been told of yet.
            let is_held = |sandbox: &Sandbox| match &sandbox.anchor {
                Anchor::Process(process) => inside.netns_of(process.pid) == Some(sandbox.netns),
                Anchor::Path(_) => true,
            };
            pinned.len() == known.len()
                && state.containers().all(|one| stands(one))
                && known
                    .iter()
                    .all(|one| living.contains_key(&one.netns) && is_held(one))
        }) && bench
            .wait(bench.engine().reconcile())
            .is_ok_and(|repairs| repairs == 0)
    });
    check(bench, context);
}

/// One leg of the way: some requests of one or several hands, perhaps with a fault, a full disk, a theft or an end in between, perhaps until
/// the daemon dies.
fn leg(bench: &mut Bench, dice: &mut Dice, (taken, hands): (&mut u64, usize)) {
    let armed = Arc::new(AtomicBool::new(true));
    let trouble = dice.below(8);
    match trouble {
        0 => {
            let (switch, countdown) = (Arc::clone(&armed), AtomicU64::new(dice.below(30)));
            bench.world.fail_next(move |_| {
                let due = countdown.load(Ordering::SeqCst) == 0;
                if !due {
                    countdown.fetch_sub(1, Ordering::SeqCst);
                }
                due && switch.load(Ordering::SeqCst)
            });
        }
        1 => bench
            .disk
            .fill_after(i64::try_from(dice.below(12)).unwrap()),
        2..=4 => bench.world.set_fuel(Fuel::limited(dice.below(120))),
        5 => kill_a_process(bench, dice),
        6 => bench.world.flush_rules(),
        _ => {}
    }
    let steps: Vec<Step> = (0..=dice.below(8)).map(|_| request(dice)).collect();
    *taken += steps.len() as u64;
    let hand = |steps: &[Step]| {
        for step in steps {
            let said = take(bench, step).err().map(|error| error.sentence());
            println!("{step:?} {}", said.unwrap_or_default());
        }
    };
    let (hand, share) = (&hand, steps.len().div_ceil(hands));
    std::thread::scope(|scope| {
        for share in steps.chunks(share) {
            scope.spawn(move || hand(share));
        }
    });
    armed.store(false, Ordering::SeqCst);
    bench.disk.clear();
    if bench.world.fuel().check().is_err() || dice.below(6) == 0 {
        println!("{taken}: killed");
        bench.restart();
    }
    bench.world.set_fuel(Fuel::unlimited());
}

fn go(hands: usize) {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = from_environment("NETD_SEED").unwrap_or(now | 1);
    let steps = from_environment("NETD_STEPS").unwrap_or(STEPS);
    println!("NETD_SEED={seed} NETD_STEPS={steps}");
    let mut dice = Dice(seed);
    let mut bench = Bench::new();
    let wire = "192.0.2.1/24".parse().unwrap();
    let eth9 = "eth9".parse().unwrap();
    bench.world.add_foreign_link(&eth9, false, &[wire]);
    for card in ["eth7", "eth8"] {
        bench
            .world
            .add_foreign_link(&card.parse().unwrap(), false, &[]);
    }
    let baseline = bench.baseline();
    let mut taken = 0;
    while taken < steps {
        leg(&mut bench, &mut dice, (&mut taken, hands));
        settle(&bench, &format!("seed {seed}, after {taken} requests"));
    }
    remove_all(&bench);
    settle(&bench, &format!("seed {seed}, all removed"));
    assert_eq!(bench.baseline(), baseline, "seed {seed}");
}

#[test]
fn chance_breaks_no_promise() {
    go(1);
}

/// The seed gives the same requests again, if not in the same order.
#[test]
fn chance_in_three_hands_breaks_no_promise() {
    go(3);
}
