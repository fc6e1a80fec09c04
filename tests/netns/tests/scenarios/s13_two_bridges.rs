//! S13: two bridges do not talk, and the rules are those that Docker's users know.
//!
//! Two rules stand besides Docker's, and nothing else: DOCKER begins with a DROP per bridge for what was not translated
//! (nobody gets past the published ports by routing), and STAGE-2 begins with a RETURN for what was (a container
//! reaches another network's published port, for which Docker needs its proxy).

use netns_tests::Lab;
use netns_tests::lab::HOST;
use netns_tests::oracle::curl;

/// Two networks with three containers each, of which every one publishes 6379 and 16379.
fn six_containers() -> (Lab, String) {
    let lab = Lab::new();
    let id = lab.h1.net(&["create", "net-redis"]).ok().text().to_owned();
    let bridge = format!("br-{}", &id[..12]);
    for number in 0..6 {
        let name = format!("redis{number}");
        let network = ["bridge", "net-redis"][number / 3];
        let ports = [6379, 16379].map(|port| format!("{}:{port}", port + number));
        let flags = ["--network", network, "-p", &ports[0], "-p", &ports[1]];
        lab.h1.web(&name, 6379, &flags);
    }
    (lab, bridge)
}

fn of_chain(rules: &[String], chain: &str) -> Vec<String> {
    let start = format!("-A {chain} ");
    let own = rules.iter().filter_map(|rule| rule.strip_prefix(&start));
    own.map(str::to_owned).collect()
}

fn sorted(mut rules: Vec<String>) -> Vec<String> {
    rules.sort();
    rules
}

#[test]
fn s13_two_bridges_do_not_talk() {
    let (lab, _) = six_containers();
    let inside = |name: &str, target: &str, network: &str| {
        let url = format!("http://{}:6379/", lab.h1.address_of(target, network));
        lab.h1.in_container(name, &curl(&url))
    };
    assert_eq!(inside("redis0", "redis1", "bridge").ok().text(), "redis1");
    assert_eq!(
        inside("redis3", "redis4", "net-redis").ok().text(),
        "redis4"
    );
    assert!(!inside("redis0", "redis3", "net-redis").is_ok());
    assert!(!inside("redis3", "redis0", "bridge").is_ok());
    // An address of the other bridge's subnet, added by hand inside, does not get through either.
    let add = ["ip", "address", "add", "172.18.0.99/16", "dev", "eth0"];
    let _ = lab.h1.in_container("redis0", &add).ok();
    assert!(!inside("redis0", "redis3", "net-redis").is_ok());
}

#[test]
fn s13_the_filter_rules_are_dockers_rule_for_rule() {
    let (lab, bridge) = six_containers();
    let filter = lab.h1.rules("filter");
    assert!(filter.contains(&":FORWARD DROP".to_owned()), "{filter:#?}");
    let forward = of_chain(&filter, "FORWARD");
    assert_eq!(
        forward[..2],
        ["-j DOCKER-USER", "-j DOCKER-ISOLATION-STAGE-1"]
    );
    for name in [bridge.as_str(), "docker0"] {
        let wanted = [
            format!("-o {name} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
            format!("-o {name} -j DOCKER"),
            format!("-i {name} ! -o {name} -j ACCEPT"),
            format!("-i {name} -o {name} -j ACCEPT"),
        ];
        assert!(
            forward.windows(4).any(|four| four == wanted),
            "{name}: {forward:#?}"
        );
    }
    assert_eq!(forward.len(), 10, "{forward:#?}");
    let stage1 = of_chain(&filter, "DOCKER-ISOLATION-STAGE-1");
    let stage2 = of_chain(&filter, "DOCKER-ISOLATION-STAGE-2");
    assert_eq!(stage1.last().unwrap(), "-j RETURN");
    assert_eq!(stage2.last().unwrap(), "-j RETURN");
    let both = [bridge.as_str(), "docker0"];
    let jump = |name| format!("-i {name} ! -o {name} -j DOCKER-ISOLATION-STAGE-2");
    assert_eq!(
        sorted(stage1[..2].to_vec()),
        sorted(both.map(jump).to_vec())
    );
    let drop = |name| format!("-o {name} -j DROP");
    assert_eq!(stage2[0], "-m conntrack --ctstate DNAT -j RETURN");
    assert_eq!(
        sorted(stage2[1..3].to_vec()),
        sorted(both.map(drop).to_vec())
    );
    assert_eq!((stage1.len(), stage2.len()), (3, 4), "{filter:#?}");
    assert_eq!(of_chain(&filter, "DOCKER-USER"), ["-j RETURN"]);
    let not_translated =
        |name| format!("! -i {name} -o {name} -m conntrack ! --ctstate DNAT -j DROP");
    let mut wanted = both.map(not_translated).to_vec();
    for number in 0..6 {
        let (network, name) = [("bridge", "docker0"), ("net-redis", bridge.as_str())][number / 3];
        let address = lab.h1.address_of(&format!("redis{number}"), network);
        for port in [6379, 16379] {
            wanted.push(format!(
                "-d {address}/32 ! -i {name} -o {name} -p tcp -m tcp --dport {port} -j ACCEPT"
            ));
        }
    }
    assert_eq!(sorted(of_chain(&filter, "DOCKER")), sorted(wanted));
}

#[test]
fn s13_the_nat_rules_are_dockers() {
    let (lab, bridge) = six_containers();
    let nat = lab.h1.rules("nat");
    let prerouting = of_chain(&nat, "PREROUTING");
    assert_eq!(prerouting, ["-m addrtype --dst-type LOCAL -j DOCKER"]);
    let postrouting = of_chain(&nat, "POSTROUTING");
    for (subnet, name) in [
        ("172.17.0.0/16", "docker0"),
        ("172.18.0.0/16", bridge.as_str()),
    ] {
        let rule = format!("-s {subnet} ! -o {name} -j MASQUERADE");
        assert!(postrouting.contains(&rule), "{postrouting:#?}");
    }
    let docker = of_chain(&nat, "DOCKER");
    let translated = docker
        .iter()
        .filter(|rule| rule.contains("-j DNAT"))
        .count();
    assert_eq!(translated, 12, "{docker:#?}");
}

#[test]
fn s13_the_rules_go_with_what_they_were_for() {
    let lab = Lab::new();
    let before = lab.h1.all_rules();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.web(
        "web",
        80,
        &[
            "--network",
            "app",
            "-p",
            "8080:80",
            "-p",
            "127.0.0.1:8081:80",
        ],
    );
    assert_ne!(lab.h1.all_rules(), before);
    let _ = lab.h1.net(&["stop", "web"]).ok();
    let _ = lab.h1.net(&["rm", "app"]).ok();
    assert_eq!(lab.h1.all_rules(), before);
}

#[test]
fn rules_and_policies_of_others_are_left_alone() {
    let lab = Lab::without_daemon(netns_tests::HostOptions::default());
    let own = [
        "iptables -N MINE",
        "iptables -A MINE -s 192.0.2.1 -j DROP",
        "iptables -I FORWARD -j MINE",
        "iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE",
    ];
    let _ = lab.h1.sh(&own.join(" && ")).ok();
    lab.h1.start();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1
        .web("web", 80, &["--network", "app", "-p", "8080:80"]);
    assert_eq!(
        lab.outside.get(&format!("http://{HOST}:8080/")).ok().text(),
        "web"
    );
    lab.h1.restart();
    let _ = lab.h1.net(&["stop", "web"]).ok();
    let _ = lab.h1.net(&["rm", "app"]).ok();
    for (table, rule) in [
        ("filter", "-A MINE -s 192.0.2.1/32 -j DROP"),
        ("filter", "-A FORWARD -j MINE"),
        ("nat", "-A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE"),
    ] {
        let rules = lab.h1.rules(table);
        assert!(rules.contains(&rule.to_owned()), "{rule} in {rules:#?}");
    }
}
