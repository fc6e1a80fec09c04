//! Random wishes, one after the other, with thefts between: each comes true and then needs no step (I2).

use netd_model::NetnsId;
use netd_model::desired::KernelState;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::Machine;
use super::machine::{eventually, new_sandbox};
use super::wish::*;

/// Sandboxes that the wishes are about.
const SANDBOXES: usize = 3;

/// A random wish: networks, and which container is on which of them.
#[derive(Clone, Debug)]
struct RandomWish {
    nets: Vec<Net>,
    /// (sandbox, position of its network in `nets`), in the order of attaching.
    endpoints: Vec<(usize, usize)>,
    /// Position of a host link to remove afterwards, modulo their number.
    theft: Option<usize>,
}

fn any_net() -> impl Strategy<Value = Net> {
    let mtu = prop::sample::select(vec![1280_u32, 1400, 1500]);
    let flags = any::<[bool; 4]>();
    let limit = prop::option::of(prop::sample::select(vec![
        10_000_u64,
        2_000_000,
        100_000_000,
    ]));
    let net = (1..5_u8, 0..2_u8, mtu, flags, limit);
    net.prop_map(|(number, generation, mtu_bytes, flags, limit)| Net {
        number,
        generation,
        mtu_bytes,
        ipv6: flags[0],
        hairpin: flags[1],
        isolated: flags[2],
        filtered: flags[3],
        limit,
    })
}

fn any_wish() -> impl Strategy<Value = RandomWish> {
    let nets = prop::collection::vec(any_net(), 0..4);
    let endpoints = prop::collection::vec((0..SANDBOXES, 0..4_usize), 0..6);
    let theft = prop::option::of(0..8_usize);
    (nets, endpoints, theft).prop_map(|(mut nets, endpoints, theft)| {
        nets.sort_by_key(|net: &Net| net.number);
        nets.dedup_by_key(|net| net.number);
        RandomWish {
            nets,
            endpoints,
            theft,
        }
    })
}

impl RandomWish {
    fn state(&self, sandboxes: &[NetnsId]) -> KernelState {
        let mut state = nothing(sandboxes.iter().copied());
        for net in &self.nets {
            add_bridge(&mut state, net);
        }
        for (sandbox, net) in &self.endpoints {
            let Some(net) = self.nets.get(*net) else {
                continue;
            };
            let container = u8::try_from(*sandbox).unwrap();
            if !state.host.veths.contains_key(&outside(net, container)) {
                add_container(&mut state, net, (container, sandboxes[*sandbox]));
            }
        }
        state
    }
}

/// Runs `cases` sequences of wishes on one machine. The seed is fresh in each run and printed on failure; set
/// `NETD_SEED` to run one again.
pub fn random_wishes_come_true(machine: &mut dyn Machine, cases: u32) {
    let seed = std::env::var("NETD_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed: u64 = seed.unwrap_or_else(|| u64::from(clock.unwrap().subsec_nanos()));
    eprintln!("NETD_SEED={seed}");
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    };
    let sandboxes: Vec<NetnsId> = (0..SANDBOXES)
        .map(|_| new_sandbox(machine).1.netns)
        .collect();
    let machine = std::cell::RefCell::new(machine);
    let wishes = prop::collection::vec(any_wish(), 1..4);
    let outcome = TestRunner::new(config).run(&wishes, |wishes| {
        let mut machine = machine.borrow_mut();
        for wish in &wishes {
            let state = wish.state(&sandboxes);
            bring(&**machine, &state);
            let links: Vec<_> = machine.links().into_iter().collect();
            if let Some(theft) = wish.theft.filter(|_| !links.is_empty()) {
                machine.remove_link(&links[theft % links.len()]);
                bring(&**machine, &state);
            }
        }
        bring(&**machine, &nothing(sandboxes.iter().copied()));
        eventually("nothing is left", || machine.links().is_empty());
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}\nrun again with NETD_SEED={seed}"));
}
