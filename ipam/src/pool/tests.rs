//! The promises of a pool: by example, by the answers of a real Docker engine, and against a naive model.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netd_model::{ContainerName, PoolSpec};
use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn name(text: &str) -> ContainerName {
    text.parse().unwrap()
}

fn spec(subnet: &str, range: Option<&str>, gateway: &str) -> PoolSpec {
    PoolSpec {
        subnet: subnet.parse().unwrap(),
        range: range.map(|range| range.parse().unwrap()),
        gateway: ip(gateway),
        gateway_given: true,
        aux: BTreeMap::new(),
        subnet_given: true,
    }
}

/// Allocates and leases.
fn take(pool: &mut Pool, wish: Wish, who: &str) -> Result<IpAddr, AllocateError> {
    let address = pool.allocate(wish, &name(who))?;
    pool.lease(address, name(who))?;
    Ok(address)
}

fn taken(address: &str, by: Holder) -> AllocateError {
    AllocateError::Taken {
        address: ip(address),
        by,
    }
}

#[test]
fn a_range_is_handed_out_from_its_first_address_as_docker_does() {
    let mut pool = Pool::new(&spec("172.28.0.0/16", Some("172.28.5.0/29"), "172.28.5.6"));
    for last in [0, 1, 2, 3, 4, 5, 7] {
        let wanted = ip(&format!("172.28.5.{last}"));
        assert_eq!(take(&mut pool, Wish::Any, "c"), Ok(wanted));
    }
    let full = pool.allocate(Wish::Any, &name("c")).unwrap_err();
    assert_eq!(
        full.to_string(),
        "no free address in 172.28.5.0/29: 7 are leased, 0 are kept for stopped containers; disconnect or remove a container, or use a network with a larger subnet"
    );
    let outside_range = Wish::Exactly(ip("172.28.200.1"));
    assert_eq!(take(&mut pool, outside_range, "s"), Ok(ip("172.28.200.1")));
    pool.release(ip("172.28.5.2"));
    assert_eq!(take(&mut pool, Wish::Any, "n"), Ok(ip("172.28.5.2")));
}

#[test]
fn a_released_address_rests_until_the_others_were_used() {
    let mut pool = Pool::new(&spec("10.0.0.0/29", None, "10.0.0.1"));
    assert_eq!(take(&mut pool, Wish::Any, "a"), Ok(ip("10.0.0.2")));
    pool.release(ip("10.0.0.2"));
    for last in [3, 4, 5, 6, 2] {
        let wanted = ip(&format!("10.0.0.{last}"));
        assert_eq!(take(&mut pool, Wish::Any, "b"), Ok(wanted));
    }
}

#[test]
fn an_address_asked_for_by_number_does_not_move_the_round() {
    let mut pool = Pool::new(&spec("10.0.0.0/24", None, "10.0.0.1"));
    let far = Wish::Exactly(ip("10.0.0.200"));
    assert_eq!(take(&mut pool, far, "a"), Ok(ip("10.0.0.200")));
    assert_eq!(take(&mut pool, Wish::Any, "b"), Ok(ip("10.0.0.2")));
}

#[test]
fn every_refusal_names_the_holder() {
    let mut spec = spec("10.0.0.0/24", None, "10.0.0.1");
    spec.aux.insert("router".to_owned(), ip("10.0.0.9"));
    let mut pool = Pool::new(&spec);
    take(&mut pool, Wish::Exactly(ip("10.0.0.5")), "web").unwrap();
    pool.reserve(ip("10.0.0.6"), name("db"), Claim::Requested)
        .unwrap();
    let cases = [
        ("10.0.0.0", Holder::NetworkAddress),
        ("10.0.0.255", Holder::Broadcast),
        ("10.0.0.1", Holder::Gateway),
        ("10.0.0.9", Holder::Auxiliary("router".to_owned())),
        ("10.0.0.5", Holder::Container(name("web"))),
        ("10.0.0.6", Holder::Stopped(name("db"))),
    ];
    for (address, by) in cases {
        assert_eq!(pool.holder(ip(address)), Some(by.clone()));
        let refused = taken(address, by);
        let wish = Wish::Exactly(ip(address));
        assert_eq!(pool.allocate(wish, &name("new")), Err(refused.clone()));
        assert_eq!(pool.lease(ip(address), name("new")), Err(refused.clone()));
        assert_eq!(
            pool.reserve(ip(address), name("new"), Claim::Requested),
            Err(refused)
        );
        let elsewhere = pool.allocate(Wish::Sticky(ip(address)), &name("new"));
        assert_eq!(elsewhere, Ok(ip("10.0.0.2")));
    }
    for stranger in ["10.0.1.5", "fd00::5"] {
        let error = pool.allocate(Wish::Exactly(ip(stranger)), &name("new"));
        assert!(matches!(error, Err(AllocateError::OutsideSubnet { .. })));
    }
    let error = taken("10.0.0.6", Holder::Stopped(name("db")));
    assert_eq!(
        error.to_string(),
        "address 10.0.0.6 is taken by container db, which is stopped and keeps it; ask for another, or for none to get a free one"
    );
}

#[test]
fn a_requested_address_waits_for_its_stopped_container() {
    let mut pool = Pool::new(&spec("10.0.0.0/29", None, "10.0.0.1"));
    let wanted = ip("10.0.0.2");
    pool.reserve(wanted, name("db"), Claim::Requested).unwrap();
    take(&mut pool, Wish::Exactly(wanted), "db").unwrap();
    pool.release(wanted);
    let others: Vec<_> = std::iter::from_fn(|| take(&mut pool, Wish::Any, "other").ok()).collect();
    assert_eq!(
        others,
        ["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"].map(ip)
    );
    assert_eq!(
        pool.allocate(Wish::Any, &name("other")),
        Err(AllocateError::Exhausted {
            subnet: pool.subnet(),
            leased: 4,
            reserved: 1
        })
    );
    let usage = pool.usage();
    assert_eq!((usage.capacity, usage.leased, usage.reserved), (5, 4, 1));
    assert_eq!(take(&mut pool, Wish::Sticky(wanted), "db"), Ok(wanted));
    assert_eq!(pool.usage().reserved, 0);
    pool.release(wanted);
    pool.unreserve(wanted, &name("stranger"));
    assert_eq!(pool.holder(wanted), Some(Holder::Stopped(name("db"))));
    pool.unreserve(wanted, &name("db"));
    assert_eq!(take(&mut pool, Wish::Any, "other"), Ok(wanted));
}

#[test]
fn a_remembered_address_is_avoided_while_others_are_free() {
    let mut pool = Pool::new(&spec("10.0.0.0/29", None, "10.0.0.1"));
    let last = take(&mut pool, Wish::Any, "web").unwrap();
    pool.release(last);
    pool.reserve(last, name("web"), Claim::Remembered).unwrap();
    for _ in 0..4 {
        assert_ne!(take(&mut pool, Wish::Any, "other"), Ok(last));
    }
    assert_eq!(pool.allocate(Wish::Sticky(last), &name("web")), Ok(last));
    // Nothing else is left, and a hint must not make a pool full.
    assert_eq!(take(&mut pool, Wish::Any, "other"), Ok(last));
    assert_eq!(pool.release(last), Some(name("other")));
    assert_eq!(pool.allocate(Wish::Exactly(last), &name("third")), Ok(last));
}

#[test]
fn a_large_subnet_costs_nothing() {
    for (subnet, gateway) in [("10.0.0.0/8", "10.0.0.1"), ("fd00::/16", "fd00::1")] {
        let mut pool = Pool::new(&spec(subnet, None, gateway));
        assert_eq!(pool.busy.runs(), 2);
        for _ in 0..100 {
            take(&mut pool, Wish::Any, "c").unwrap();
        }
        assert_eq!(pool.busy.runs(), 2);
        let last = pool.subnet().last();
        assert!(pool.allocate(Wish::Exactly(last), &name("c")).is_err());
    }
}

/// 60,000 of 65,536 leased in the worst pattern, every other address: a search that walked would take minutes here.
#[test]
fn a_nearly_full_pool_answers_as_fast_as_an_empty_one() {
    let mut pool = Pool::new(&spec("10.0.0.0/16", None, "10.0.0.1"));
    for _ in 0..60_000 {
        take(&mut pool, Wish::Any, "c").unwrap();
    }
    for offset in (2..60_000).step_by(2) {
        pool.release(pool.subnet().nth(offset).unwrap());
    }
    for _ in 0..100_000 {
        let address = take(&mut pool, Wish::Any, "c").unwrap();
        pool.release(address);
    }
    assert_eq!(pool.leases().count(), pool.usage().leased);
}

#[derive(Clone, Debug)]
enum Step {
    Any(u8),
    Sticky(u8, u8),
    Exactly(u8, u8),
    Release(u8),
    Reserve(u8, u8, bool),
    Unreserve(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // A /28: 16 addresses, asked for by 4 containers; two addresses past the end, too.
    let (at, who) = (0_u8..18, 0_u8..4);
    let step = prop_oneof![
        4 => who.clone().prop_map(Step::Any),
        1 => (at.clone(), who.clone()).prop_map(|(at, who)| Step::Sticky(at, who)),
        2 => (at.clone(), who.clone()).prop_map(|(at, who)| Step::Exactly(at, who)),
        3 => at.clone().prop_map(Step::Release),
        2 => (at.clone(), who.clone(), any::<bool>()).prop_map(|(at, who, firm)| Step::Reserve(at, who, firm)),
        1 => (at, who).prop_map(|(at, who)| Step::Unreserve(at, who)),
    ];
    prop::collection::vec(step, 0..120)
}

/// What a pool shall be, written down without any thought of speed.
#[derive(Default)]
struct Naive {
    leases: BTreeMap<IpAddr, ContainerName>,
    firm: BTreeMap<IpAddr, ContainerName>,
}

impl Naive {
    fn free_for(&self, spec: &PoolSpec, address: IpAddr, asker: Option<&ContainerName>) -> bool {
        spec.subnet.contains(address)
            && ![spec.subnet.first(), spec.subnet.last(), spec.gateway].contains(&address)
            && !spec.aux.values().any(|aux| *aux == address)
            && !self.leases.contains_key(&address)
            && self
                .firm
                .get(&address)
                .is_none_or(|holder| Some(holder) == asker)
    }
}

fn small_spec(v6: bool, ranged: bool) -> PoolSpec {
    let mut spec = match (v6, ranged) {
        (false, false) => spec("10.0.0.0/28", None, "10.0.0.1"),
        (false, true) => spec("10.0.0.0/28", Some("10.0.0.8/29"), "10.0.0.1"),
        (true, false) => spec("fd00::/124", None, "fd00::1"),
        (true, true) => spec("fd00::/124", Some("fd00::8/125"), "fd00::1"),
    };
    spec.aux
        .insert("x".to_owned(), spec.subnet.nth(10).unwrap());
    spec
}

proptest! {
    #[test]
    fn it_behaves_as_the_naive_model(v6 in any::<bool>(), ranged in any::<bool>(), steps in steps()) {
        let spec = small_spec(v6, ranged);
        let range = spec.range.unwrap_or(spec.subnet);
        let (mut pool, mut naive) = (Pool::new(&spec), Naive::default());
        let beyond = if v6 { ip("fd00::1:0") } else { ip("10.0.1.0") };
        let at = |offset: u8| spec.subnet.nth(u128::from(offset)).unwrap_or(beyond);
        let who = |number: u8| name(&format!("c{number}"));
        for step in steps {
            let (wish, asker) = match step {
                Step::Any(asker) => (Wish::Any, who(asker)),
                Step::Sticky(offset, asker) => (Wish::Sticky(at(offset)), who(asker)),
                Step::Exactly(offset, asker) => (Wish::Exactly(at(offset)), who(asker)),
                Step::Release(offset) => {
                    prop_assert_eq!(pool.release(at(offset)), naive.leases.remove(&at(offset)));
                    continue;
                }
                Step::Reserve(offset, asker, firm) => {
                    let (address, asker) = (at(offset), who(asker));
                    let claim = if firm { Claim::Requested } else { Claim::Remembered };
                    if pool.reserve(address, asker.clone(), claim).is_ok() && firm {
                        prop_assert!(naive.firm.get(&address).is_none_or(|holder| *holder == asker));
                        naive.firm.insert(address, asker);
                    }
                    continue;
                }
                Step::Unreserve(offset, asker) => {
                    pool.unreserve(at(offset), &who(asker));
                    naive.firm.retain(|address, holder| *address != at(offset) || *holder != who(asker));
                    continue;
                }
            };
            let some_free = (0..16).map(at).any(|address| range.contains(address) && naive.free_for(&spec, address, None));
            let possible = match wish {
                Wish::Any => some_free,
                Wish::Sticky(address) => some_free || naive.free_for(&spec, address, Some(&asker)),
                Wish::Exactly(address) | Wish::Held(address) => naive.free_for(&spec, address, Some(&asker)),
            };
            let answer = pool.allocate(wish, &asker);
            prop_assert_eq!(answer.is_ok(), possible, "{:?}", answer);
            let Ok(address) = answer else { continue };
            prop_assert!(naive.free_for(&spec, address, Some(&asker)), "{} was not free", address);
            match wish {
                Wish::Any => prop_assert!(range.contains(address) && naive.free_for(&spec, address, None)),
                Wish::Sticky(wanted) => prop_assert!(address == wanted || !naive.free_for(&spec, wanted, Some(&asker))),
                Wish::Exactly(wanted) | Wish::Held(wanted) => prop_assert_eq!(address, wanted),
            }
            prop_assert_eq!(pool.lease(address, asker.clone()), Ok(()));
            prop_assert!(naive.leases.insert(address, asker).is_none());
        }
        prop_assert!(pool.leases().map(|(address, who)| (address, who.clone())).eq(naive.leases));
    }

    #[test]
    fn every_address_is_handed_out_before_any_is_repeated(ranged in any::<bool>(), start in 0_usize..40) {
        let mut pool = Pool::new(&small_spec(false, ranged));
        let mut next = || {
            let address = take(&mut pool, Wish::Any, "c").unwrap();
            pool.release(address);
            address
        };
        for _ in 0..start {
            next();
        }
        let free = if ranged { 6 } else { 12 };
        let mut round: Vec<_> = (0..free).map(|_| next()).collect();
        prop_assert_eq!(next(), round[0]);
        round.sort();
        round.dedup();
        prop_assert_eq!(round.len(), free);
    }
}

#[test]
fn what_docker_holds_is_its_containers_alone_until_it_lets_go() {
    let mut pool = Pool::new(&spec("10.0.0.0/29", None, "10.0.0.1"));
    let [web, dockers] = ["web", "dockers"].map(name);
    let held = ip("10.0.0.3");
    pool.hold(held).unwrap();
    assert_eq!(pool.holder(held), Some(Holder::Docker));
    let refused = Err(taken("10.0.0.3", Holder::Docker));
    assert_eq!(pool.allocate(Wish::Exactly(held), &web), refused);
    for expected in ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"] {
        assert_eq!(take(&mut pool, Wish::Any, "web"), Ok(ip(expected)));
    }
    assert!(!pool.has_room(), "the one that is held is passed over");
    assert_eq!(pool.allocate(Wish::Held(held), &dockers), Ok(held));
    pool.lease(held, dockers.clone()).unwrap();
    assert_eq!(pool.holder(held), Some(Holder::Container(dockers.clone())));
    assert!(
        pool.allocate(Wish::Held(held), &web).is_err(),
        "it is leased"
    );
    pool.release(held);
    assert_eq!(pool.holder(held), Some(Holder::Docker), "the lease is over");
    pool.let_go(held);
    assert_eq!(pool.holder(held), None);
    pool.let_go(held);
    assert!(pool.hold(ip("10.0.1.3")).is_err(), "not inside");
}
