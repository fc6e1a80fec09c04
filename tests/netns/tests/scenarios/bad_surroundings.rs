//! Bad surroundings: a full disk, a read-only one, a second daemon, wrong configuration, missing programs.

use netns_tests::host::{DATA_ROOT, STATE_DIR};
use netns_tests::{HostOptions, Lab, OrFail, programs};

fn lab_with(config: &str) -> Lab {
    Lab::without_daemon(HostOptions {
        config: config.to_owned(),
        flags: Vec::new(),
    })
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room_again() {
    let lab = Lab::without_daemon(HostOptions::default());
    let _ = lab
        .h1
        .sh(&format!(
            "mkdir -p {DATA_ROOT} && mount -t tmpfs -o size=2m,mode=700 tmpfs {DATA_ROOT}"
        ))
        .ok();
    lab.h1.start();
    let _ = lab.h1.net(&["create", "before"]).ok();
    let rules = lab.h1.all_rules();
    let links = lab.h1.link_names();
    let _ = lab
        .h1
        .sh(&format!(
            "cat /dev/zero > {DATA_ROOT}/filler 2>/dev/null; true"
        ))
        .ok();
    let mut refused = None;
    for number in 0..200 {
        let ran = lab.h1.net(&["create", &format!("n{number}")]);
        if !ran.is_ok() {
            refused = Some(ran);
            break;
        }
        let _ = lab.h1.net(&["rm", &format!("n{number}")]);
    }
    let refused = refused.expect("a full disk is noticed").fails(1);
    let said = refused.stderr.to_lowercase();
    assert!(
        said.contains("disk") || said.contains("space") || said.contains("full"),
        "{refused}"
    );
    assert!(lab.h1.daemon_runs());
    let _ = lab.h1.sh(&format!("rm {DATA_ROOT}/filler")).ok();
    let names = lab.h1.net(&["ls"]).ok().stdout;
    for line in names.lines().skip(1) {
        let name = line.split_whitespace().nth(1).unwrap();
        if name.starts_with('n') && name != "none" {
            let _ = lab.h1.net(&["rm", name]).ok();
        }
    }
    assert_eq!(lab.h1.all_rules(), rules);
    assert_eq!(lab.h1.link_names(), links);
    let _ = lab.h1.net(&["create", "after"]).ok();
    lab.h1.restart();
    let names = lab.h1.net(&["ls"]).ok().stdout;
    assert!(
        names.contains("before") && names.contains("after"),
        "{names}"
    );
}

#[test]
fn a_read_only_data_root_is_refused_at_the_start() {
    let lab = Lab::without_daemon(HostOptions::default());
    let _ = lab
        .h1
        .sh(&format!(
            "mkdir -p {DATA_ROOT} && mount -t tmpfs -o ro tmpfs {DATA_ROOT}"
        ))
        .ok();
    let said = lab.h1.start_refused();
    assert!(said.stderr.contains(DATA_ROOT), "{said}");
    assert!(lab.h1.link("docker0").is_none());
}

#[test]
fn a_second_daemon_on_the_same_data_root_is_refused() {
    let lab = Lab::new();
    let rules = lab.h1.all_rules();
    let mut line = lab.h1.daemon_line();
    let place = line.iter().position(|word| word == "--socket").unwrap();
    "/run/netd/second.sock".clone_into(&mut line[place + 1]);
    let mut argv = vec!["timeout", "-s", "KILL", "15"];
    argv.extend(line.iter().map(String::as_str));
    let ran = lab.h1.exec(&argv);
    assert!(ran.code != 0 && ran.code != 137, "{ran}");
    assert!(ran.stderr.contains(DATA_ROOT), "{ran}");
    assert!(lab.h1.daemon_runs());
    assert_eq!(lab.h1.all_rules(), rules);
    let _ = lab.h1.net(&["ls"]).ok();
}

#[test]
fn a_second_daemon_on_the_same_socket_is_refused() {
    let lab = Lab::new();
    let mut line = lab.h1.daemon_line();
    let place = line.iter().position(|word| word == "--data-root").unwrap();
    "/run/netd/data2".clone_into(&mut line[place + 1]);
    let mut argv = vec!["timeout", "-s", "KILL", "15"];
    argv.extend(line.iter().map(String::as_str));
    let ran = lab.h1.exec(&argv);
    assert!(ran.code != 0 && ran.code != 137, "{ran}");
    let _ = lab.h1.net(&["ls"]).ok();
}

#[test]
fn wrong_configuration_is_refused_with_file_key_and_reason() {
    for (config, key, reason) in [
        (r#"{"bipp": "10.0.0.1/8"}"#, "bipp", "unknown"),
        (r#"{"bip": "10.0.0.300/8"}"#, "bip", "10.0.0.300"),
        (r#"{"mtu": "big"}"#, "mtu", "big"),
        (r#"{"mtu": 1}"#, "mtu", "68"),
        (r#"{"icc": "perhaps"}"#, "icc", "perhaps"),
        (r#"{"dns": ["not-an-address"]}"#, "dns", "address"),
        (
            r#"{"fixed-cidr": "10.9.0.0/16", "bip": "10.8.0.1/16"}"#,
            "fixed-cidr",
            "10.9.0.0/16",
        ),
        (
            r#"{"default-address-pools": [{"base": "10.0.0.0/16", "size": 8}]}"#,
            "default-address-pools",
            "8",
        ),
        (r#"{"bip": "#, "daemon.json", "JSON"),
    ] {
        let lab = lab_with(config);
        let mut line = lab.h1.daemon_line();
        line.push("--validate".to_owned());
        let argv: Vec<_> = line.iter().map(String::as_str).collect();
        let checked = lab.h1.exec(&argv);
        let started = lab.h1.start_refused();
        for ran in [checked, started] {
            assert_ne!(ran.code, 0, "{ran}");
            let _ = ran.names(&["daemon.json", key, reason]);
        }
        assert!(lab.h1.link("docker0").is_none());
    }
}

#[test]
fn right_configuration_is_checked_and_nothing_is_done() {
    let lab = lab_with(
        r#"{"bip": "192.168.100.1/24", "icc": false, "dns": ["1.1.1.1"], "log-driver": "json-file"}"#,
    );
    let mut line = lab.h1.daemon_line();
    line.push("--validate".to_owned());
    let argv: Vec<_> = line.iter().map(String::as_str).collect();
    let _ = lab.h1.exec(&argv).ok();
    assert!(lab.h1.link("docker0").is_none());
    assert!(!lab.h1.path(DATA_ROOT).exists());
}

#[test]
fn log_lines_are_json_on_request() {
    let lab = Lab::with(HostOptions {
        config: String::new(),
        flags: vec!["--log-format".into(), "json".into()],
    });
    let _ = lab.h1.net(&["create", "app"]).ok();
    let log = lab.h1.log_tail(1000);
    assert!(!log.is_empty());
    for line in log.lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "{line}");
    }
}

#[test]
fn several_daemons_run_side_by_side() {
    let one = Lab::new();
    let two = Lab::new();
    let _ = one.h1.net(&["create", "only-one"]).ok();
    assert!(!two.h1.net(&["ls"]).ok().stdout.contains("only-one"));
    let net = programs::built("net");
    assert!(net.exists());
}

/// The daemon's command line with other values for some flags.
fn line_with(lab: &Lab, flags: &[(&str, &str)]) -> Vec<String> {
    let mut line = lab.h1.daemon_line();
    for (flag, value) in flags {
        let place = line
            .iter()
            .position(|word| word == flag)
            .or_fail("find the flag");
        (*value).clone_into(&mut line[place + 1]);
    }
    line
}

#[test]
fn a_second_daemon_in_the_same_namespace_is_refused_whatever_its_directories() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    let rules = lab.h1.all_rules();
    let flags = [
        ("--socket", "/run/second/socket"),
        ("--data-root", "/run/second/data"),
        ("--state-dir", "/run/second/state"),
    ];
    let mut argv = vec!["timeout".to_owned(), "10".to_owned()];
    argv.extend(line_with(&lab, &flags));
    let argv: Vec<_> = argv.iter().map(String::as_str).collect();
    let ran = lab.h1.exec(&argv).fails(1);
    let _ = ran.names(&[&lab.h1.daemon_pid().to_string(), "net:["]);
    assert!(!lab.h1.path("/run/second/socket").exists());
    assert_eq!(lab.h1.all_rules(), rules);
    lab.h1.kill();
    lab.h1.start();
    assert_eq!(lab.h1.all_rules(), rules);
}

#[test]
fn directories_that_others_can_change_are_refused() {
    for directory in [DATA_ROOT, STATE_DIR] {
        let lab = Lab::without_daemon(HostOptions::default());
        let _ = lab.h1.sh(&format!("mkdir -p -m 1777 {directory}")).ok();
        let _ = lab.h1.start_refused().names(&[directory, "1777"]);
        assert!(lab.h1.link("docker0").is_none());
    }
}

#[test]
fn containers_can_read_their_files_whatever_umask_the_daemon_was_started_with() {
    let lab = Lab::without_daemon(HostOptions::default());
    let mut line = line_with(&lab, &[]).join(" ");
    line.insert_str(0, "umask 077; exec ");
    let _daemon = lab
        .h1
        .spawn(&["sh", "-c", &line], &[], "/run/lab/umask.log");
    netns_tests::wait::eventually("the daemon answers", || {
        lab.h1.net(&["version"]).is_ok().then_some(())
    });
    let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let mut argv = vec!["run", "--", "setpriv"];
    argv.extend(user);
    argv.extend(["cat", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname"]);
    let _ = lab.h1.net(&argv).ok();
}

#[test]
fn a_namespace_with_interfaces_of_others_joins_under_the_next_name() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "lab"]).ok();
    let _ = lab
        .h1
        .sh(
            "ip netns add other && ip -n other link add eth0 type veth peer name eth9 \
             && ip -n other link set eth0 up && ip -n other addr add 192.0.2.7/24 dev eth0 \
             && ip -n other -6 addr add 2001:db8::7/64 dev eth0 nodad && ip -n other route add default via 192.0.2.1",
        )
        .ok();
    let _ = lab.h1.net(&["connect", "lab", "other"]).ok();
    let shown = lab.h1.sh("ip -n other -br addr").ok().stdout;
    let line = |name: &str| {
        let found = shown.lines().find(|line| line.starts_with(name));
        found
            .unwrap_or_else(|| panic!("no {name} in {shown}"))
            .to_owned()
    };
    assert!(line("eth1").contains("172.18.0.2/16"), "{shown}");
    for address in ["192.0.2.7/24", "2001:db8::7/64"] {
        assert!(
            line("eth0").contains(address),
            "what others set stays: {shown}"
        );
    }
    let routes = lab.h1.sh("ip -n other route get 203.0.113.1").ok().stdout;
    assert!(
        routes.contains("via 192.0.2.1 dev eth0"),
        "their way out stays: {routes}"
    );
    let _ = lab.h1.net(&["disconnect", "lab", "other"]).ok();
    let left = lab.h1.sh("ip -n other route").ok().stdout;
    assert!(!left.contains("172.18"), "{left}");
    assert!(left.contains("default via 192.0.2.1"), "{left}");
}
