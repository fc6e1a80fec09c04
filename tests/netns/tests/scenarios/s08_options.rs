//! S8, S9, S10, S11: the daemon's options, under the names of Docker's daemon.json.

use netns_tests::lab::HOST;
use netns_tests::oracle::curl;
use netns_tests::serve::OUTSIDE_ANSWER;
use netns_tests::{HostOptions, Lab};

fn lab_with(config: &str) -> Lab {
    Lab::with(HostOptions {
        config: config.to_owned(),
        flags: Vec::new(),
    })
}

#[test]
fn s08_bip_moves_docker0_and_its_pool() {
    let lab = lab_with(r#"{"bip": "192.168.100.1/24"}"#);
    assert_eq!(lab.h1.ipv4_of("docker0"), ["192.168.100.1/24"]);
    lab.h1.idle("c1", "bridge", &[]);
    assert_eq!(lab.h1.address_of("c1", "bridge"), "192.168.100.2");
}

#[test]
fn s08_the_same_names_work_as_flags() {
    let lab = Lab::with(HostOptions {
        config: String::new(),
        flags: vec!["--bip".into(), "192.168.101.1/24".into()],
    });
    assert_eq!(lab.h1.ipv4_of("docker0"), ["192.168.101.1/24"]);
}

#[test]
fn s08_flags_are_taken_in_the_spelling_of_dockerd_too() {
    let flags = "--default-address-pool base=10.77.0.0/16,size=24 --dns-opt ndots:2";
    let lab = Lab::with(HostOptions {
        config: String::new(),
        flags: flags.split_whitespace().map(str::to_owned).collect(),
    });
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.idle("c", "app", &[]);
    assert!(lab.h1.address_of("c", "app").starts_with("10.77."));
    let file = lab.h1.in_container("c", &["cat", "/etc/resolv.conf"]).ok();
    assert!(file.stdout.contains("ndots:2"), "{file}");
}

#[test]
fn s09_a_bridge_made_by_hand_is_used_and_never_deleted() {
    let lab = Lab::without_daemon(HostOptions {
        config: r#"{"bridge": "cusbr0"}"#.to_owned(),
        flags: Vec::new(),
    });
    let _ = lab
        .h1
        .sh("ip link add cusbr0 type bridge && ip addr add 192.168.100.1/24 dev cusbr0")
        .ok();
    lab.h1.start();
    assert!(lab.h1.link("docker0").is_none());
    lab.h1.idle("c1", "bridge", &[]);
    let address = lab.h1.address_of("c1", "bridge");
    assert!(address.starts_with("192.168.100."), "{address}");
    let _ = lab
        .h1
        .in_container("c1", &["ping", "-c1", "-W2", "192.168.100.1"])
        .ok();
    let _ = lab.h1.net(&["stop", "c1"]).ok();
    lab.h1.restart();
    assert_eq!(lab.h1.ipv4_of("cusbr0"), ["192.168.100.1/24"]);
}

#[test]
fn s10_without_icc_neighbours_do_not_talk_but_published_ports_work() {
    let lab = lab_with(r#"{"icc": false}"#);
    lab.h1.web("web", 80, &["-p", "8080:80"]);
    lab.h1.idle("c2", "bridge", &[]);
    let url = format!("http://{}/", lab.h1.address_of("web", "bridge"));
    assert!(!lab.h1.in_container("c2", &curl(&url)).is_ok());
    let page = lab.outside.get(&format!("http://{HOST}:8080/")).ok();
    assert_eq!(page.text(), "web");
}

#[test]
fn s11_resolvers_of_the_daemon_of_the_container_of_the_host() {
    let lab = lab_with(r#"{"dns": ["10.0.0.200"], "dns-search": ["corp.test"]}"#);
    let file = |flags: &[&str]| {
        let mut args = vec!["run", "--rm"];
        args.extend(flags);
        args.extend(["--", "cat", "/etc/resolv.conf"]);
        lab.h1.net(&args).ok().stdout
    };
    assert!(file(&[]).contains("nameserver 10.0.0.200\n"));
    assert!(file(&[]).contains("search corp.test"));
    let own = file(&["--dns", "10.0.0.9"]);
    assert!(
        own.contains("nameserver 10.0.0.9\n") && !own.contains("10.0.0.200"),
        "{own}"
    );
    let lab = Lab::new();
    let hosts = lab
        .h1
        .net(&["run", "--rm", "--", "cat", "/etc/resolv.conf"])
        .ok();
    assert!(hosts.stdout.contains("nameserver 198.18.0.2"), "{hosts}");
}

#[test]
fn s11_search_domains_and_options_of_the_daemon_and_of_the_container() {
    let lab = lab_with(
        r#"{"dns-search": ["corp.test", "sub.corp.test"], "dns-opts": ["timeout:1", "attempts:1"]}"#,
    );
    let _resolver = lab.outside.resolver();
    let _ = lab.h1.net(&["create", "app"]).ok();
    let lines = |flags: &[&str]| -> Vec<String> {
        let mut args = vec!["run", "--rm"];
        args.extend(flags);
        args.extend(["--", "cat", "/etc/resolv.conf"]);
        let text = lab.h1.net(&args).ok().stdout;
        let wanted = |line: &&str| line.starts_with("search") || line.starts_with("options");
        text.lines().filter(wanted).map(str::to_owned).collect()
    };
    let search = "search corp.test sub.corp.test";
    assert_eq!(lines(&[]), [search, "options timeout:1 attempts:1"]);
    // With the embedded resolver a name without a dot is asked as it is, as in Docker, unless said otherwise.
    let named = ["--network", "app"];
    assert_eq!(
        lines(&named),
        [search, "options ndots:0 timeout:1 attempts:1"]
    );
    let own = [
        "--network",
        "app",
        "--dns-search",
        "own.test",
        "--dns-opt",
        "ndots:2",
    ];
    assert_eq!(lines(&own), ["search own.test", "options ndots:2"]);
    let none = ["--network", "app", "--dns-search", "."];
    assert_eq!(lines(&none), ["options ndots:0 timeout:1 attempts:1"]);
    // And it is so: a single word is completed by what was said.
    let zone = [
        "--network",
        "app",
        "--name",
        "c",
        "--dns-search",
        "outside.test",
    ];
    lab.h1.run_detached(&zone, &["sleep", "infinity"]);
    let found = lab.h1.in_container("c", &["getent", "hosts", "www"]).ok();
    assert!(found.text().contains(OUTSIDE_ANSWER), "{found}");
    let refused = lab.h1.net(&["run", "--dns-search", "a b", "--", "true"]);
    assert!(!refused.is_ok(), "{refused}");
}

#[test]
fn pools_range_and_mtu_are_heeded() {
    let lab = lab_with(
        r#"{"default-address-pools": [{"base": "10.10.0.0/16", "size": 24}], "mtu": 1400}"#,
    );
    assert_eq!(lab.h1.ipv4_of("docker0"), ["10.10.0.1/24"]);
    let _ = lab.h1.net(&["create", "app"]).ok();
    let pool = lab.h1.inspect("app")["IPAM"]["Config"][0]["Subnet"].clone();
    assert_eq!(pool, "10.10.1.0/24");
    lab.h1.idle("c", "bridge", &[]);
    let show = ["ip", "-o", "link", "show", "dev", "eth0"];
    let link = lab.h1.in_container("c", &show).ok();
    assert!(link.stdout.contains("mtu 1400"), "{link}");
    let lab = lab_with(r#"{"bip": "10.9.0.1/16", "fixed-cidr": "10.9.7.0/24"}"#);
    lab.h1.idle("c", "bridge", &[]);
    let address = lab.h1.address_of("c", "bridge");
    assert!(address.starts_with("10.9.7."), "{address}");
}

#[test]
fn ports_are_published_on_the_address_that_ip_names() {
    let lab = lab_with(r#"{"ip": "127.0.0.1"}"#);
    lab.h1.web("web", 80, &["-p", "8080:80"]);
    let listed = lab.h1.net(&["port", "web"]).ok();
    assert_eq!(listed.text(), "80/tcp -> 127.0.0.1:8080");
    let page = lab.h1.get("http://127.0.0.1:8080/").ok();
    assert_eq!(page.text(), "web");
    assert!(!lab.outside.get(&format!("http://{HOST}:8080/")).is_ok());
}

#[test]
fn what_netd_shall_leave_alone_it_leaves_alone() {
    let lab = lab_with(r#"{"ip-forward": false, "ip-masq": false}"#);
    let forward = lab.h1.exec(&["cat", "/proc/sys/net/ipv4/ip_forward"]).ok();
    assert_eq!(forward.text(), "0");
    assert!(
        lab.h1
            .rules("filter")
            .contains(&":FORWARD ACCEPT".to_owned())
    );
    let nat = lab.h1.rules("nat");
    let masks = |rule: &&String| rule.contains("172.17.0.0/16 ! -o docker0 -j MASQUERADE");
    assert_eq!(nat.iter().find(masks), None);
    let lab = lab_with(r#"{"iptables": false}"#);
    lab.h1.idle("c", "bridge", &[]);
    let rules = lab.h1.all_rules();
    assert!(
        !rules.iter().any(|rule| rule.contains("DOCKER")),
        "{rules:#?}"
    );
}
