//! The daemon is killed at every single step of the kernel, of the firewall and of the store, and started again.

use std::collections::BTreeMap;

use netd_kernel::fake::Fuel;

use crate::bench::Bench;
use crate::plugin::Docker;
use crate::steps::{Step, remove_all, story, take};
use crate::whole::check;

type Story = BTreeMap<String, String>;

const N1: Step = Step::Create("n1", "10.1.0.0/24");
/// With IPv6, which nobody forwarded before.
const N2: Step = Step::Create("n2", "10.2.0.0/24 fd00:2::/64");

/// A change of all that can change.
const EVERYTHING: &str = r#"{
    "labels": {"a": "b"}, "add_dns": ["192.0.2.53"], "internal": true,
    "options": {
        "com.docker.network.driver.mtu": "1400",
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.enable_ip_masquerade": "false"
    }
}"#;

/// Address of eth9.
const WIRE: &str = "192.0.2.1/24";

/// How the daemon is killed.
#[derive(Clone, Copy, PartialEq)]
enum Killing {
    /// Once.
    Once,
    /// And again, at every third step of its next start.
    AtItsStartToo,
}

/// Takes `before` in peace, then dies at each step of `script` in turn. What was acknowledged is there after the
/// restart, the step that was under way is there entirely or not at all, and all of it can be removed.
fn die_everywhere(before: &[Step], script: &[Step], killing: Killing) {
    let stories = chapters(before, script);
    for fuel in 0.. {
        let mut bench = Bench::new();
        bench
            .world
            .add_foreign_link(&"eth9".parse().unwrap(), false, &[WIRE.parse().unwrap()]);
        bench
            .world
            .add_foreign_link(&"br-foreign".parse().unwrap(), true, &[]);
        bench
            .world
            .add_foreign_link(&"eth7".parse().unwrap(), false, &[]);
        let baseline = bench.baseline();
        before.iter().for_each(|step| take(&bench, step).unwrap());
        bench.world.set_fuel(Fuel::limited(fuel));
        let acknowledged = script
            .iter()
            .take_while(|step| take(&bench, step).is_ok())
            .count();
        bench.settle();
        let survived = bench.world.fuel().check().is_ok();
        let context = format!("killed at step {fuel} of {script:?} ({acknowledged} acknowledged)");
        bench.kill();
        if killing == Killing::AtItsStartToo {
            for fuel in (0..40).step_by(3) {
                bench.world.set_fuel(Fuel::limited(fuel));
                // Whether it dies in its start or after it, the next one stands on what it left.
                let _ = bench.start();
                bench.kill();
            }
        }
        bench
            .start()
            .unwrap_or_else(|error| panic!("{context}: {}", error.sentence()));
        check(&bench, &context);
        let told = story(&bench);
        let possible = &stories[acknowledged..(acknowledged + 2).min(stories.len())];
        assert!(
            possible.contains(&told),
            "{context}: {told:#?} is none of {possible:#?}"
        );
        remove_all(&bench);
        check(&bench, &context);
        assert_eq!(bench.baseline(), baseline, "{context}");
        if survived {
            assert_eq!(
                acknowledged,
                script.len(),
                "{context}: refused without being killed"
            );
            return;
        }
    }
}

/// The story after each step of the script, the one before it first.
fn chapters(before: &[Step], script: &[Step]) -> Vec<Story> {
    let bench = Bench::new();
    bench
        .world
        .add_foreign_link(&"eth9".parse().unwrap(), false, &[WIRE.parse().unwrap()]);
    bench
        .world
        .add_foreign_link(&"eth7".parse().unwrap(), false, &[]);
    before.iter().for_each(|step| take(&bench, step).unwrap());
    let mut chapters = vec![story(&bench)];
    for step in script {
        take(&bench, step).unwrap();
        chapters.push(story(&bench));
        check(&bench, &format!("in peace, after {step:?}"));
    }
    chapters
}

fn run(name: &'static str, network: &'static str) -> Step {
    Step::Run(name, network, None, vec![])
}

#[test]
fn create_and_remove_network() {
    die_everywhere(&[], &[N1, Step::Remove("n1")], Killing::AtItsStartToo);
}

#[test]
fn run_with_ports() {
    let web = Step::Run("web", "n1", Some("10.1.0.9"), vec!["8080:80", "53/udp"]);
    die_everywhere(&[N1], &[web], Killing::AtItsStartToo);
}

#[test]
fn run_on_the_default_network() {
    let web = Step::Run("web", "bridge", None, vec!["8080:80"]);
    die_everywhere(&[], &[web, run("b", "bridge")], Killing::Once);
}

#[test]
fn connect_a_second_network() {
    let before = [N1, N2, run("a", "n1")];
    die_everywhere(&before, &[Step::Connect("n2", "a")], Killing::AtItsStartToo);
}

#[test]
fn publish_and_unpublish() {
    let script = [
        Step::Publish("a", "8080:80"),
        Step::Unpublish("a", "8080:80"),
    ];
    die_everywhere(&[N1, run("a", "n1")], &script, Killing::Once);
}

#[test]
fn disconnect() {
    let before = [N1, N2, run("a", "n1"), Step::Connect("n2", "a")];
    die_everywhere(
        &before,
        &[Step::Disconnect("n1", "a")],
        Killing::AtItsStartToo,
    );
}

#[test]
fn twice_on_one_network() {
    let script = [
        Step::ConnectBy("n1", "a", "net1", vec!["8080:80", "53/udp"]),
        Step::ConnectBy("n1", "a", "net2", vec![]),
        Step::DisconnectBy("n1", "a", "eth0"),
        Step::DisconnectBy("n1", "a", "net1"),
        Step::End("a"),
    ];
    die_everywhere(&[N1, run("a", "n1")], &script, Killing::AtItsStartToo);
}

#[test]
fn the_end_of_a_container_that_is_twice_on_a_network_and_returns() {
    let web = || Step::Run("web", "n2", Some("10.2.0.9"), vec!["8080:80"]);
    let again = || Step::ConnectBy("n2", "web", "net1", vec!["8081:81"]);
    let script = [Step::End("web"), web(), again(), Step::Forget("web")];
    die_everywhere(&[N2, web(), again()], &script, Killing::Once);
}

#[test]
fn end() {
    let web = Step::Run("web", "n1", Some("10.1.0.9"), vec!["8080:80"]);
    let before = [N1, N2, web, Step::Connect("n2", "web")];
    die_everywhere(&before, &[Step::End("web")], Killing::AtItsStartToo);
}

#[test]
fn return_under_the_same_name() {
    let web = || Step::Run("web", "n1", Some("10.1.0.9"), vec!["8080:80"]);
    let before = [N1, web(), Step::End("web")];
    die_everywhere(&before, &[run("web", "n1")], Killing::Once);
}

#[test]
fn forget_a_running_container() {
    let before = [N1, Step::Run("web", "n1", None, vec!["8080:80"])];
    die_everywhere(&before, &[Step::Forget("web")], Killing::AtItsStartToo);
}

#[test]
fn a_network_that_is_kept_and_taken_up_again() {
    let web = Step::Run("web", "n1", Some("10.1.0.9"), vec!["8080:80"]);
    let script = [
        Step::Join("db", "web"),
        Step::End("web"),
        Step::Return("web", "n1"),
        Step::Forget("web"),
        Step::End("db"),
    ];
    die_everywhere(&[N1, web], &script, Killing::AtItsStartToo);
}

#[test]
fn link_local_addresses() {
    let web = || Step::Run("web", "n2", Some("169.254.7.7 fe80::7"), vec![]);
    let db = Step::Run("db", "n1", Some("169.254.7.7"), vec!["8080:80"]);
    let script = [web(), db, Step::End("web"), web(), Step::Forget("web")];
    die_everywhere(&[N1, N2], &script, Killing::AtItsStartToo);
}

#[test]
fn limits() {
    let script = [
        Step::RunLimited("web", "n1"),
        Step::ConnectLimited("n2", "web"),
        Step::Forget("web"),
    ];
    die_everywhere(&[N1, N2], &script, Killing::AtItsStartToo);
}

#[test]
fn limits_of_what_changes_and_returns() {
    let script = [
        Step::Disconnect("n1", "web"),
        Step::Update(
            "n2",
            r#"{"options": {"com.docker.network.driver.mtu": "9000"}}"#,
        ),
        Step::End("web"),
        Step::RunLimited("web", "n2"),
    ];
    let both = Step::ConnectLimited("n2", "web");
    let before = [N1, N2, Step::RunLimited("web", "n1"), both];
    die_everywhere(&before, &script, Killing::Once);
}

#[test]
fn allow_and_deny() {
    let script = [
        Step::Allow("n2", "n1"),
        Step::Deny("n1", "n2"),
        Step::Allow("n1", "bridge"),
        Step::Allow("n1", "n2"),
        Step::Remove("n1"),
    ];
    die_everywhere(&[N1, N2], &script, Killing::AtItsStartToo);
}

#[test]
fn update_a_living_network() {
    let web = Step::Run("web", "n1", Some("10.1.0.9"), vec!["8080:80"]);
    let before = [N1, N2, web, run("db", "n1"), Step::Connect("n2", "web")];
    let script = [
        Step::Update("n1", EVERYTHING),
        Step::Update("n1", r#"{"internal": false, "remove_labels": ["a"]}"#),
    ];
    die_everywhere(&before, &script, Killing::AtItsStartToo);
}

#[test]
fn route_and_unroute() {
    let script = [
        Step::Route("10.200.0.0/16", "192.0.2.2", ""),
        Step::Route("10.201.0.0/16", "192.0.2.3", "n1"),
        Step::Unroute("10.200.0.0/16"),
        Step::Unroute("10.201.0.0/16"),
    ];
    die_everywhere(&[N1], &script, Killing::AtItsStartToo);
}

#[test]
fn uplink_and_unplug() {
    let script = [
        Step::Uplink("n1", "eth7"),
        Step::Unplug("n1", "eth7"),
        Step::Uplink("n2", "eth7"),
        Step::Remove("n2"),
    ];
    die_everywhere(&[N1, N2], &script, Killing::AtItsStartToo);
}

#[test]
fn what_a_docker_engine_calls() {
    let script = Docker::LIFE.map(Step::Docker);
    die_everywhere(&[N1], &script, Killing::AtItsStartToo);
}

#[test]
fn a_mixture() {
    let script = [
        N1,
        Step::Run("web", "n1", None, vec!["8080:80"]),
        N2,
        Step::Connect("n2", "web"),
        run("db", "n2"),
        Step::Publish("web", "9090:90"),
        Step::Disconnect("n1", "web"),
        Step::End("db"),
        run("db", "n2"),
        Step::Forget("web"),
        Step::Prune,
    ];
    die_everywhere(&[], &script, Killing::Once);
}
