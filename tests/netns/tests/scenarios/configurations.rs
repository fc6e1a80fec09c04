//! `--config-only` and `--config-from`: what is shown, what comes of it, what is refused.

use netns_tests::Lab;

const CONF: &str = "create --config-only --subnet 10.8.0.0/24 --ip-range 10.8.0.128/25 \
                    -o com.docker.network.driver.mtu=1400 --label team=red conf";

fn net(lab: &Lab, line: &str) -> netns_tests::Ran {
    lab.h1.net(&line.split_whitespace().collect::<Vec<_>>())
}

#[test]
fn s16_a_network_from_a_configuration() {
    let lab = Lab::new();
    let links = lab.h1.link_names();
    let rules = lab.h1.all_rules();
    let _ = net(&lab, CONF).ok();
    assert_eq!(lab.h1.link_names(), links);
    assert_eq!(lab.h1.all_rules(), rules);
    let shown = lab.h1.inspect("conf");
    assert_eq!(shown["ConfigOnly"], true);
    assert_eq!(
        (&shown["Driver"], &shown["Scope"]),
        (&"null".into(), &"local".into())
    );
    assert_eq!(shown["IPAM"]["Config"][0]["Subnet"], "10.8.0.0/24");
    assert_eq!(shown["IPAM"]["Config"][0]["IPRange"], "10.8.0.128/25");
    let _ = net(&lab, "create --config-from conf --attachable app").ok();
    let shown = lab.h1.inspect("app");
    assert_eq!(shown["ConfigFrom"]["Network"], "conf");
    assert_eq!(
        (&shown["ConfigOnly"], &shown["Attachable"]),
        (&false.into(), &true.into())
    );
    assert_eq!(shown["Labels"]["team"], "red");
    assert_eq!(shown["IPAM"]["Config"][0]["Gateway"], "10.8.0.128");
    lab.h1.idle("c", "app", &[]);
    assert_eq!(lab.h1.address_of("c", "app"), "10.8.0.129");
    let link = lab
        .h1
        .in_container("c", &["ip", "-o", "link", "show", "dev", "eth0"])
        .ok();
    assert!(link.stdout.contains("mtu 1400"), "{link}");
    for (filter, names) in [
        ("type=custom", &["app", "conf"][..]),
        ("type=builtin", &["bridge", "host", "none"]),
        ("driver=null", &["conf", "none"]),
        ("dangling=true", &["conf"]),
        ("scope=local", &["app", "bridge", "conf", "host", "none"]),
        ("scope=swarm", &[]),
    ] {
        let listed = net(&lab, &format!("ls --format {{{{.Name}}}} -f {filter}")).ok();
        assert_eq!(listed.stdout.lines().collect::<Vec<_>>(), names, "{filter}");
    }
    let _ = net(&lab, "rm conf")
        .fails(1)
        .names(&["conf", "configuration of app"]);
    let _ = net(&lab, "stop -t 0 c").ok();
    let _ = net(&lab, "prune -f").ok();
    let _ = net(&lab, "prune -f --filter label=team=red").ok();
    assert_eq!(lab.h1.inspect("conf")["Name"], "conf");
    let _ = net(&lab, "rm conf").ok();
    lab.h1.comes_back_to(&links);
}

#[test]
fn s19_contradictions_about_configurations_are_refused() {
    let lab = Lab::new();
    let _ = net(&lab, CONF).ok();
    for (line, code, words) in [
        (
            "create --config-only --internal x",
            2,
            &["--config-only", "--internal"][..],
        ),
        (
            "create --config-only --attachable x",
            2,
            &["--config-only", "--attachable"],
        ),
        (
            "create --config-only --scope local x",
            2,
            &["--config-only", "--scope"],
        ),
        (
            "create --config-only --config-from conf x",
            2,
            &["--config-only", "--config-from"],
        ),
        (
            "create --config-from conf --subnet 10.9.0.0/24 x",
            2,
            &["--config-from", "--subnet"],
        ),
        (
            "create --config-from conf --label a=b x",
            2,
            &["--config-from", "--label"],
        ),
        (
            "create --config-from bridge x",
            1,
            &["bridge is no configuration"],
        ),
        (
            "create --config-from nothing x",
            1,
            &["nothing", "not found"],
        ),
        (
            "connect conf c",
            1,
            &["only a configuration", "--config-from"],
        ),
        ("run --network conf -- true", 125, &["only a configuration"]),
        ("update --label a=b conf", 1, &["only a configuration"]),
        ("allow conf bridge", 1, &["conf is no bridge network"]),
    ] {
        if line.starts_with("connect") {
            lab.h1.idle("c", "bridge", &[]);
        }
        let _ = net(&lab, line).fails(code).names(words);
    }
}
