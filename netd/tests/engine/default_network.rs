//! The network `bridge` as the configuration wants it: its address, somebody else's bridge, or none at all.

use netd::engine::{Ending, EngineError, Wish};
use netd_api::ErrorCode;
use netd_kernel::fake::{Fuel, World};

use crate::bench::{Bench, at};
use crate::whole::check;

fn addresses_of_docker0(bench: &Bench) -> Vec<String> {
    let name = "docker0".parse().unwrap();
    let bridge = &bench.world.snapshot().host.bridges[&name];
    bridge.addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn bip_and_fixed_cidr_say_where_it_is() {
    let config = r#"{"bip": "10.7.0.1/24", "fixed-cidr": "10.7.0.128/25", "mtu": 1400,
        "default-gateway": "10.7.0.200", "icc": false}"#;
    let bench = Bench::with_config(config);
    let (_, web) = bench.run("web", "bridge", Wish::default()).unwrap();
    assert_eq!(addresses_of_docker0(&bench), ["10.7.0.1/24"]);
    assert_eq!(bench.addresses("web"), ["10.7.0.128"]);
    let seen = bench.world.snapshot();
    let inside = &seen.sandboxes[&web.sandbox.as_ref().unwrap().netns];
    let route = inside.routes.iter().next().unwrap();
    assert_eq!(route.gateway.to_string(), "10.7.0.200");
    assert!(seen.host.veths.values().all(|veth| veth.mtu_bytes == 1400));
    assert!(
        bench
            .world
            .rules()
            .networks
            .values()
            .all(|rules| !rules.icc)
    );
    check(&bench, "as configured");
}

#[test]
fn it_moves_only_while_nobody_is_on_it() {
    let mut bench = Bench::with_config(r#"{"bip": "10.7.0.1/24"}"#);
    let (_, web) = bench.run("web", "bridge", Wish::default()).unwrap();
    bench.kill();
    bench.config = r#"{"bip": "10.8.0.1/24"}"#.to_owned();
    let error = bench.start().unwrap_err();
    assert!(matches!(error, EngineError::DefaultMoved { .. }), "{error}");
    assert!(error.sentence().contains("web"), "{error}");
    bench.config = r#"{"bip": "10.7.0.1/24"}"#.to_owned();
    bench.world.restart();
    bench.start().unwrap();
    check(&bench, "nothing happened");
    bench
        .wait(bench.engine().end_container(web.id, Ending::Exited(0)))
        .unwrap();
    bench.config = r#"{"bip": "10.8.0.1/24"}"#.to_owned();
    bench.restart();
    assert_eq!(addresses_of_docker0(&bench), ["10.8.0.1/24"]);
    bench.run("web", "bridge", Wish::default()).unwrap();
    assert_eq!(bench.addresses("web"), ["10.8.0.2"]);
    check(&bench, "moved");
}

#[test]
fn it_keeps_no_old_address_wherever_its_move_is_cut_off() {
    for fuel in 0..14 {
        let mut bench = Bench::with_config(r#"{"bip": "10.7.0.1/24"}"#);
        bench.kill();
        bench.config = r#"{"bip": "10.8.0.1/24"}"#.to_owned();
        bench.world.set_fuel(Fuel::limited(fuel));
        let _ = bench.start();
        bench.kill();
        bench.start().unwrap();
        assert_eq!(
            addresses_of_docker0(&bench),
            ["10.8.0.1/24"],
            "killed at {fuel}"
        );
        check(&bench, "moved");
    }
}

#[test]
fn a_new_default_gateway_does_not_forget_who_has_which_address() {
    let mut bench = Bench::with_config(r#"{"bip": "10.7.0.1/24"}"#);
    bench.run("a", "bridge", Wish::default()).unwrap();
    bench.config = r#"{"bip": "10.7.0.1/24", "default-gateway": "10.7.0.9"}"#.to_owned();
    bench.restart();
    bench.run("b", "bridge", Wish::default()).unwrap();
    assert_eq!(bench.addresses("a"), ["10.7.0.2"]);
    assert_eq!(bench.addresses("b"), ["10.7.0.3"]);
    check(&bench, "two containers");
}

#[test]
fn an_existing_bridge_is_used_and_left_as_it_is() {
    let world = World::new();
    let bridge = "br-mine".parse().unwrap();
    let mut bench = Bench::idle(world.clone(), r#"{"bridge": "br-mine"}"#);
    let error = bench.start().unwrap_err().sentence();
    assert!(error.contains("ip link add"), "{error}");
    world.restart();
    world.add_foreign_link(&bridge, true, &["10.6.0.1/24".parse().unwrap()]);
    bench.start().unwrap();
    let (pid, _) = bench.run("web", "bridge", Wish::default()).unwrap();
    assert_eq!(bench.addresses("web"), ["10.6.0.2"]);
    assert!(!world.links().contains(&"docker0".parse().unwrap()));
    check(&bench, "on a bridge of somebody's");
    world.end_process(pid);
    bench.until("its end is noticed", |_| world.pinned().is_empty());
    bench.config = "{}".to_owned();
    bench.restart();
    assert!(world.links().contains(&bridge));
    check(&bench, "back on docker0");
}

#[test]
fn none_means_none_unless_somebody_is_on_it() {
    let mut bench = Bench::new();
    let (_, web) = bench.run("web", "bridge", Wish::default()).unwrap();
    bench.kill();
    bench.config = r#"{"bridge": "none"}"#.to_owned();
    let error = bench.start().unwrap_err();
    assert_eq!(error.code(), ErrorCode::NetworkInUse);
    assert!(error.sentence().contains("web"), "{error}");
    bench.config = "{}".to_owned();
    bench.world.restart();
    bench.start().unwrap();
    bench
        .wait(bench.engine().end_container(web.id, Ending::Exited(0)))
        .unwrap();
    bench.config = r#"{"bridge": "none"}"#.to_owned();
    bench.restart();
    check(&bench, "without a default network");
    assert!(bench.world.links().is_empty());
    let error = bench.run("b", "bridge", Wish::default()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NetworkNotFound);
    bench.config = "{}".to_owned();
    bench.restart();
    bench.run("c", "bridge", Wish::default()).unwrap();
    assert!(bench.run("d", "bridge", at("172.17.0.9")).is_err());
    check(&bench, "with it again");
}
