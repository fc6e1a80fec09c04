//! Options of one interface: its name, and its kernel parameters.

use netns_tests::Lab;

const IFNAME: &str = "com.docker.network.endpoint.ifname";
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

fn lab() -> Lab {
    let lab = Lab::new();
    let create = ["create", "--subnet", "10.70.0.0/24", "app"];
    let _ = lab.h1.net(&create).ok();
    lab
}

/// A parameter inside a container.
fn sysctl(lab: &Lab, container: &str, path: &str) -> String {
    let file = format!("/proc/sys/net/{path}");
    lab.h1
        .in_container(container, &["cat", &file])
        .ok()
        .text()
        .to_owned()
}

#[test]
fn an_interface_has_the_name_that_was_asked_for() {
    let lab = lab();
    let name = |name: &str| format!("{IFNAME}={name}");
    lab.h1.idle("c", "app", &["--driver-opt", &name("wan")]);
    let line = ["connect", "--driver-opt", &name("lan"), "bridge", "c"];
    let _ = lab.h1.net(&line).ok();
    let _ = lab.h1.net(&line).ok();
    let names = || {
        lab.h1
            .in_container("c", &["ls", "/sys/class/net"])
            .ok()
            .stdout
    };
    assert_eq!(
        names().split_whitespace().collect::<Vec<_>>(),
        ["lan", "lo", "wan"]
    );
    let ping = ["ping", "-c1", "-W2", "10.70.0.1"];
    let _ = lab.h1.in_container("c", &ping).ok();
    lab.h1.kill();
    lab.h1.start();
    assert_eq!(
        names().split_whitespace().collect::<Vec<_>>(),
        ["lan", "lo", "wan"]
    );
    let other = ["connect", "--driver-opt", &name("dmz"), "bridge", "c"];
    let _ = lab.h1.net(&other).fails(1).names(&["already"]);
    let _ = lab.h1.net(&["create", "third"]).ok();
    let taken = ["connect", "--driver-opt", &name("wan"), "third", "c"];
    let _ = lab
        .h1
        .net(&taken)
        .fails(1)
        .names(&["interface wan already"]);
}

#[test]
fn parameters_are_the_interface_s_own_and_come_back() {
    let lab = lab();
    let option = format!(
        "{SYSCTLS}=net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.neigh.IFNAME.ucast_solicit=7"
    );
    let _ = lab.h1.net(&["create", "plain"]).ok();
    lab.h1.idle("c", "plain", &[]);
    let connect = ["connect", "--driver-opt", &option, "app", "c"];
    let _ = lab.h1.net(&connect).ok();
    let values = || {
        [
            sysctl(&lab, "c", "ipv4/conf/eth1/log_martians"),
            sysctl(&lab, "c", "ipv4/neigh/eth1/ucast_solicit"),
            sysctl(&lab, "c", "ipv4/conf/eth0/log_martians"),
        ]
    };
    assert_eq!(values(), ["1", "7", "0"]);
    let change = ["sysctl", "-qw", "net.ipv4.conf.eth1.log_martians=0"];
    let _ = lab.h1.in_container("c", &change).ok();
    lab.h1.kill();
    lab.h1.start();
    assert_eq!(values(), ["1", "7", "0"]);
    lab.h1.restart();
    assert_eq!(lab.h1.status()["reconciles"]["repairs"], 0);
    let run = ["--driver-opt", &option];
    lab.h1.idle("d", "app", &run);
    assert_eq!(sysctl(&lab, "d", "ipv4/conf/eth0/log_martians"), "1");
}

#[test]
fn s19_wrong_options_of_an_interface_are_refused() {
    let lab = lab();
    lab.h1.idle("c", "bridge", &[]);
    for (option, words) in [
        (format!("{IFNAME}=lo"), &["not lo"][..]),
        (format!("{IFNAME}=sixteen-bytes-16"), &["1 to 15"]),
        (format!("{IFNAME}=eth0"), &["interface eth0 already"]),
        (
            format!("{SYSCTLS}=net.ipv4.conf.all.forwarding=1"),
            &["IFNAME stays as it is"],
        ),
        (
            format!("{SYSCTLS}=kernel.panic=1"),
            &["IFNAME stays as it is"],
        ),
        (
            format!("{SYSCTLS}=net.ipv6.conf.IFNAME.disable_ipv6=0"),
            &["disable_ipv6"],
        ),
        (
            format!("{SYSCTLS}=net.ipv4.conf.IFNAME.no_such_key=1"),
            &["no parameter net.ipv4.conf.eth1.no_such_key"],
        ),
        (
            format!("{SYSCTLS}=net.ipv6.conf.IFNAME.no_such_key=1"),
            &["no parameter net.ipv6.conf.eth1.no_such_key"],
        ),
        (
            format!("{SYSCTLS}=net.ipv4.neigh.IFNAME.gc_interval=1"),
            &["no parameter net.ipv4.neigh.eth1.gc_interval"],
        ),
        (
            format!("{SYSCTLS}=net.ipv4.conf.IFNAME.log_martians=99999999999"),
            &[
                "does not take 99999999999",
                "net.ipv4.conf.eth1.log_martians",
            ],
        ),
        (
            "com.docker.network.endpoint.sysctl=x".to_owned(),
            &[SYSCTLS],
        ),
        ("ifname=x".to_owned(), &[IFNAME]),
    ] {
        let line = ["connect", "--driver-opt", &option, "app", "c"];
        let _ = lab.h1.net(&line).fails(1).names(words);
    }
    let members = lab.h1.inspect("app")["Containers"].clone();
    assert_eq!(members.as_object().map(serde_json::Map::len), Some(0));
    for family in ["ipv4", "ipv6"] {
        let option = format!("{SYSCTLS}=net.{family}.conf.IFNAME.no_such_key=1");
        let line = [
            "run",
            "--network",
            "app",
            "--driver-opt",
            &option,
            "--",
            "true",
        ];
        let said = lab.h1.net(&line).fails(125).names(&["no_such_key"]);
        assert!(!said.stderr.contains("step"), "{}", said.stderr);
    }
    let option = format!("{IFNAME}=x");
    for mode in ["host", "none", "container:c"] {
        let line = [
            "run",
            "--network",
            mode,
            "--driver-opt",
            &option,
            "--",
            "true",
        ];
        let _ = lab.h1.net(&line).fails(125).names(&["option"]);
    }
    let names = lab.h1.in_container("c", &["ls", "/sys/class/net"]).ok();
    assert_eq!(
        names.stdout.split_whitespace().collect::<Vec<_>>(),
        ["eth0", "lo"]
    );
}
