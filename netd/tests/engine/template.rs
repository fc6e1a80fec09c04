//! Configurations without a network, and networks made from them.

use netd::engine::{EngineError, Wish};
use netd_api::{ErrorCode, NetworkRequest};
use netd_kernel::fake::Fuel;
use netd_model::{DriverSpec, Network};
use serde_json::json;

use crate::bench::Bench;
use crate::whole::check;

fn create(bench: &Bench, body: serde_json::Value) -> Result<std::sync::Arc<Network>, EngineError> {
    let request: NetworkRequest = serde_json::from_value(body).unwrap();
    bench.wait(bench.engine().create_network(request))
}

fn conf() -> serde_json::Value {
    json!({
        "name": "conf", "config_only": true,
        "pools": [{"subnet": "10.8.0.0/24", "gateway": "10.8.0.9"}],
        "options": {"com.docker.network.driver.mtu": "1400"},
        "labels": {"team": "red"}, "dns_servers": ["192.0.2.53"],
    })
}

#[test]
fn a_network_is_what_its_configuration_says() {
    let mut bench = Bench::new();
    let baseline = bench.baseline();
    let template = create(&bench, conf()).unwrap();
    assert_eq!(
        bench.baseline(),
        baseline,
        "a configuration is nothing to the kernel"
    );
    let made = create(
        &bench,
        json!({"name": "n", "config_from": "conf", "internal": true}),
    )
    .unwrap();
    assert_eq!(made.config_from, Some(template.id));
    assert_eq!(made.pools[0].gateway.to_string(), "10.8.0.9");
    assert_eq!(made.bridge().unwrap().mtu_bytes, Some(1400));
    assert_eq!(
        (&made.labels, &made.dns_servers),
        (&template.labels, &template.dns_servers)
    );
    assert!(made.policy.internal);
    check(&bench, "made");
    bench.restart();
    check(&bench, "after a restart");
    // The subnet is one network's at a time.
    let second = create(&bench, json!({"name": "m", "config_from": "conf"})).unwrap_err();
    assert_eq!(second.code(), ErrorCode::SubnetOverlap);
    let engine = bench.engine();
    let used = bench.wait(engine.remove_network(template.id)).unwrap_err();
    assert_eq!(
        used.sentence(),
        "network conf is the configuration of n; remove those first"
    );
    assert_eq!(used.code(), ErrorCode::NetworkInUse);
    bench.wait(engine.remove_network(made.id)).unwrap();
    let report = bench.wait(engine.prune_networks()).unwrap();
    assert!(
        report.networks.is_empty() && report.failures.is_empty(),
        "{report:?}"
    );
    bench.wait(engine.remove_network(template.id)).unwrap();
    check(&bench, "gone");
    assert_eq!(bench.baseline(), baseline);
}

#[test]
fn a_configuration_that_leaves_the_subnet_open_serves_many() {
    let bench = Bench::new();
    create(&bench, json!({"name": "conf", "config_only": true})).unwrap();
    let subnets = ["a", "b"].map(|name| {
        let made = create(&bench, json!({"name": name, "config_from": "conf"})).unwrap();
        made.pools[0].subnet.to_string()
    });
    assert_ne!(subnets[0], subnets[1]);
    check(&bench, "two");
}

#[test]
fn nobody_is_connected_to_a_configuration() {
    let bench = Bench::new();
    let template = create(&bench, conf()).unwrap();
    assert!(matches!(template.driver, DriverSpec::Template(_)));
    let refused = bench.run("web", "conf", Wish::default()).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NotConnectable);
    assert!(refused.sentence().contains("only a configuration"));
    let (_, web) = bench.run("web", "bridge", Wish::default()).unwrap();
    let refused = bench.wait(bench.engine().connect(template.id, web.id, Wish::default()));
    assert_eq!(refused.unwrap_err().code(), ErrorCode::NotConnectable);
    let change = serde_json::from_value(json!({"labels": {"a": "b"}})).unwrap();
    let refused = bench.wait(bench.engine().update_network(template.id, change));
    assert!(
        refused
            .unwrap_err()
            .sentence()
            .contains("only a configuration")
    );
    check(&bench, "after the refusals");
}

#[test]
fn contradictions_are_refused() {
    let bench = Bench::new();
    create(&bench, conf()).unwrap();
    bench.create("plain", "10.9.0.0/24").unwrap();
    for (body, code, words) in [
        (
            json!({"name": "x", "config_only": true, "config_from": "conf"}),
            ErrorCode::InvalidRequest,
            "cannot depend on another",
        ),
        (
            json!({"name": "x", "config_only": true, "internal": true}),
            ErrorCode::InvalidRequest,
            "--internal",
        ),
        (
            json!({"name": "x", "config_only": true, "attachable": true}),
            ErrorCode::InvalidRequest,
            "--attachable",
        ),
        (
            json!({"name": "x", "config_only": true, "options": {"mtu": "1"}}),
            ErrorCode::InvalidRequest,
            "com.docker.network.driver.mtu",
        ),
        (
            json!({"name": "x", "config_only": true, "pools": [{"subnet": "10.1.0.0/24", "gateway": "10.2.0.1"}]}),
            ErrorCode::InvalidRequest,
            "10.2.0.1",
        ),
        (
            json!({"name": "x", "config_from": "conf", "pools": [{"subnet": "10.1.0.0/24"}]}),
            ErrorCode::InvalidRequest,
            "--subnet and --config-from conf",
        ),
        (
            json!({"name": "x", "config_from": "conf", "options": {"a": "b"}}),
            ErrorCode::InvalidRequest,
            "--opt and",
        ),
        (
            json!({"name": "x", "config_from": "conf", "labels": {"a": "b"}}),
            ErrorCode::InvalidRequest,
            "--label and",
        ),
        (
            json!({"name": "x", "config_from": "conf", "dns_servers": ["192.0.2.1"]}),
            ErrorCode::InvalidRequest,
            "--dns and",
        ),
        (
            json!({"name": "x", "config_from": "plain"}),
            ErrorCode::InvalidRequest,
            "plain is no configuration",
        ),
        (
            json!({"name": "x", "config_from": "bridge"}),
            ErrorCode::InvalidRequest,
            "bridge is no configuration",
        ),
        (
            json!({"name": "x", "config_from": "nothing"}),
            ErrorCode::NetworkNotFound,
            "nothing",
        ),
        (
            json!({"name": "conf", "config_only": true}),
            ErrorCode::NameTaken,
            "conf exists",
        ),
    ] {
        let error = create(&bench, body.clone()).unwrap_err();
        assert_eq!(error.code(), code, "{body}: {}", error.sentence());
        assert!(
            error.sentence().contains(words),
            "{body}: {}",
            error.sentence()
        );
    }
    check(&bench, "after the refusals");
}

#[test]
fn a_crash_leaves_a_configuration_whole_or_not_at_all() {
    for fuel in 0.. {
        let mut bench = Bench::new();
        bench.world.set_fuel(Fuel::limited(fuel));
        let made = create(&bench, conf()).is_ok()
            && create(&bench, json!({"name": "n", "config_from": "conf"})).is_ok();
        let survived = bench.world.fuel().check().is_ok();
        bench.restart();
        check(&bench, &format!("killed at step {fuel}"));
        let names = bench.look(|state| {
            let own = state.networks().filter(|network| !network.is_builtin());
            own.map(|network| network.name.to_string())
                .collect::<Vec<_>>()
        });
        assert!(!made || names.len() == 2, "{names:?}");
        assert!(names.contains(&"conf".to_owned()) || !names.contains(&"n".to_owned()));
        if survived {
            return;
        }
    }
}
