//! Namespaces that another runtime made: what a network that they do not get leaves behind in them.

use netns_tests::{Lab, eventually};

#[test]
fn a_refused_connection_leaves_a_foreign_namespace_as_it_was() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    let _ = lab.h1.exec(&["ip", "netns", "add", "blue"]).ok();
    let defaults = || {
        let read = "cd /proc/sys/net/ipv6/conf/default && cat disable_ipv6 accept_ra";
        let ran = lab
            .h1
            .exec(&["ip", "netns", "exec", "blue", "sh", "-c", read]);
        ran.ok().text().to_owned()
    };
    let before = defaults();
    let sysctls = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.nonsense=1";
    let refused = ["connect", "--driver-opt", sysctls, "app", "blue"];
    let _ = lab.h1.net(&refused).fails(1).names(&["nonsense"]);
    assert_eq!(defaults(), before);
    let links = ["ip", "netns", "exec", "blue", "ip", "-o", "link"];
    // What was made is out of use at once, and deleted soon.
    eventually("only lo to be left", || {
        (lab.h1.exec(&links).ok().text().lines().count() == 1).then_some(())
    });
    // Where it is on a network, new interfaces begin closed; they are the runtime's again once it is let go.
    let _ = lab.h1.net(&["connect", "app", "blue"]).ok();
    assert_ne!(defaults(), before);
}

#[test]
fn s06_a_container_of_another_runtime_ends_before_those_who_share_its_network() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    let log = "/run/lab/stranger.log";
    let stranger = ["unshare", "-n", "sleep", "infinity"];
    let stranger = lab.h1.spawn(&stranger, &[], log);
    eventually("a namespace of its own", || {
        let links = [
            "nsenter",
            "-t",
            &stranger.pid.to_string(),
            "-n",
            "ip",
            "link",
        ];
        let ran = lab.h1.exec(&links);
        (ran.is_ok() && !ran.stdout.contains("eth0")).then_some(())
    });
    let target = format!("pid:{}", stranger.pid);
    let _ = lab
        .h1
        .net(&["connect", "--name", "web", "app", &target])
        .ok();
    lab.h1.idle("db", "container:web", &[]);
    let address = lab.h1.address_of("web", "app");
    lab.h1.signal("KILL", stranger.pid);
    eventually("its end to be noticed", || {
        let shown = lab
            .h1
            .net(&["ps", "-a", "--format", "{{.Names}} {{.Status}}"])
            .ok();
        let web = shown.stdout.lines().find(|line| line.starts_with("web "))?;
        (web.contains("Exited") && web.contains("kept by db")).then_some(())
    });
    assert_eq!(lab.h1.address_of("web", "app"), address);
    let own = lab
        .h1
        .in_container("db", &["ip", "address", "show", "dev", "eth0"])
        .ok();
    assert!(own.stdout.contains(&address), "{own}");
    let _ = lab.h1.net(&["stop", "-t", "1", "db"]).ok();
    eventually("the network to go with the last of them", || {
        let containers = lab.h1.inspect("app")["Containers"].clone();
        (containers == serde_json::json!({})).then_some(())
    });
}
