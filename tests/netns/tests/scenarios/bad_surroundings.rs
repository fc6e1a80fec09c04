//! Bad surroundings: a full disk, a read-only one, a second daemon, wrong configuration, missing programs.

use netns_tests::host::DATA_ROOT;
use netns_tests::{HostOptions, Lab, programs};

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
            "mkdir -p {DATA_ROOT} && mount -t tmpfs -o size=2m tmpfs {DATA_ROOT}"
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
fn without_iptables_the_daemon_names_it_and_does_not_start() {
    let lab = Lab::without_daemon(HostOptions::default());
    let _ = lab
        .h1
        .sh("mkdir /run/lab/none && mount --bind /run/lab/none /usr/sbin")
        .ok();
    let said = lab.h1.start_refused();
    let _ = said.names(&["iptables"]);
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
