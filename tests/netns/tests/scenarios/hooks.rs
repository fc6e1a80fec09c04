//! The hooks for OCI runtimes, called by runc and crun on real bundles, with real packets.

use netns_tests::host::SOCKET;
use netns_tests::lab::HOST;
use netns_tests::oci::{Bundle, Runtime, oci_log};
use netns_tests::oracle::dig_line;
use netns_tests::wait::PATIENCE;
use netns_tests::{Lab, eventually, programs};
use serde_json::{Value, json};

/// A laboratory with the network `app` of 10.9.0.0/24.
pub(super) fn lab() -> Lab {
    let lab = Lab::new();
    let create = ["create", "--subnet", "10.9.0.0/24", "app"];
    let _ = lab.h1.net(&create).ok();
    lab
}

/// The names of the containers that netd knows.
pub(super) fn known(lab: &Lab) -> Vec<String> {
    let ran = lab.h1.net(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    let mut names: Vec<_> = ran.text().lines().map(str::to_owned).collect();
    names.sort();
    names
}

fn web() -> Value {
    json!({
        "org.netd.network": "app",
        "org.netd.ip": "10.9.0.80",
        "org.netd.mac": "02:00:00:00:00:80",
        "org.netd.aliases": "www",
        "org.netd.ports": "8080:80 127.0.0.1:8081:80",
        "org.netd.dns-search": "corp.example",
        "org.netd.hostname": "web.corp",
    })
}

#[test]
fn hooks_connect_a_container_and_poststop_disconnects_it() {
    let lab = lab();
    let (links, rules) = (lab.h1.link_names(), lab.h1.all_rules());
    for runtime in Runtime::BOTH {
        lab.h1.idle("asker", "app", &["--ip", "10.9.0.2"]);
        let serve = "mkdir /dev/www && echo by hook > /dev/www/index.html && exec busybox httpd -f -p 80 -h /dev/www";
        let mut started =
            lab.h1
                .oci_start(runtime, "web", &Bundle::new(&["sh", "-c", serve], &web()));
        let seen = lab.h1.oci_exec(
            runtime,
            "web",
            &["ip", "-j", "address", "show", "dev", "eth0"],
        );
        let seen = seen.ok().json()[0].clone();
        assert_eq!(seen["addr_info"][0]["local"], "10.9.0.80");
        assert_eq!(seen["address"], "02:00:00:00:00:80");
        let url = format!("http://{HOST}:8080/");
        eventually("the page from outside", || {
            (lab.outside.get(&url).text() == "by hook").then_some(())
        });
        assert_eq!(lab.h1.get("http://127.0.0.1:8081/").ok().text(), "by hook");
        assert!(!lab.outside.get(&format!("http://{HOST}:8081/")).is_ok());
        for name in ["web", "www"] {
            let ran = lab
                .h1
                .in_container("asker", &dig_line(&["+short", name]))
                .ok();
            assert_eq!(ran.text(), "10.9.0.80", "{name}");
        }
        let ended = lab.h1.oci(runtime, &["kill", "web", "KILL"]).ok();
        assert!(ended.is_ok());
        let _ = started.ends_within(PATIENCE);
        assert_eq!(known(&lab), ["asker"], "{}", lab.h1.read(&oci_log("web")));
        let _ = lab.h1.net(&["stop", "-t", "0", "asker"]).ok();
        let _ = lab.h1.net(&["prune", "-f", "--containers"]).ok();
    }
    lab.h1.comes_back_to(&links);
    eventually("the rules of before", || {
        (lab.h1.all_rules() == rules).then_some(())
    });
}

#[test]
fn hooks_put_the_files_of_netd_into_etc_and_keep_them_true() {
    let lab = lab();
    for runtime in Runtime::BOTH {
        let started = lab.h1.oci_start(runtime, "web", &Bundle::idle(&web()));
        let cat = |file: &str| lab.h1.oci_exec(runtime, "web", &["cat", file]).ok().stdout;
        let hosts = cat("/etc/hosts");
        assert!(
            hosts.contains("10.9.0.80") && hosts.contains("web.corp"),
            "{hosts}"
        );
        let resolvers = cat("/etc/resolv.conf");
        assert!(resolvers.contains("nameserver 127.0.0.11"), "{resolvers}");
        assert!(resolvers.contains("search corp.example"), "{resolvers}");
        assert_eq!(cat("/etc/hostname").trim(), "web.corp");
        // Names of neighbours resolve by these files alone.
        lab.h1.idle("db", "app", &[]);
        let ran = lab
            .h1
            .oci_exec(runtime, "web", &["getent", "hosts", "db"])
            .ok();
        assert!(ran.text().starts_with("10.9.0."), "{ran}");
        // A further network is in them as soon as it is there.
        let _ = lab
            .h1
            .net(&["create", "--subnet", "10.8.0.0/24", "back"])
            .ok();
        let _ = lab.h1.net(&["connect", "back", "web"]).ok();
        eventually("the second address in /etc/hosts", || {
            cat("/etc/hosts").contains("10.8.0.").then_some(())
        });
        let _ = lab.h1.oci(runtime, &["kill", "web", "KILL"]).ok();
        drop(started);
        eventually("its end", || (known(&lab) == ["db"]).then_some(()));
        let _ = lab.h1.net(&["stop", "-t", "0", "db"]).ok();
        let _ = lab.h1.net(&["prune", "-f", "--containers"]).ok();
        let _ = lab.h1.net(&["rm", "back"]).ok();
        // The root on the host has the files that were bound over, and nothing in them.
        assert_eq!(lab.h1.read("/run/bundles/web/rootfs/etc/hosts"), "");
    }
}

#[test]
fn hooks_a_namespace_that_was_made_before_is_connected_and_left() {
    let lab = lab();
    for runtime in Runtime::BOTH {
        lab.h1.new_netns("mine");
        let bundle = Bundle::idle(&web()).in_netns("/run/netns/mine");
        let mut started = lab.h1.oci_start(runtime, "web", &bundle);
        let show = ["ip", "-o", "-4", "address", "show", "dev", "eth0"];
        let seen = lab.h1.in_netns("mine", &show).ok();
        assert!(seen.text().contains("10.9.0.80"), "{seen}");
        let _ = lab.h1.oci(runtime, &["kill", "web", "KILL"]).ok();
        let _ = started.ends_within(PATIENCE);
        // It outlives the container; what the container had of netd does not.
        eventually("only lo to be left", || {
            let links = lab.h1.in_netns("mine", &["ip", "-o", "link"]).ok();
            (links.text().lines().count() == 1).then_some(())
        });
        assert_eq!(known(&lab), [""; 0]);
        // Without a daemon poststop cannot do it, and says so: the namespace is there, with all that was in it.
        let state = json!({ "ociVersion": "1.0.2", "id": "web", "status": "stopped", "bundle": "/run/bundles/web" });
        let state = state.to_string();
        lab.h1.oci_detached(runtime, "web", &bundle);
        lab.h1.kill();
        let _ = lab.h1.oci(runtime, &["delete", "--force", "web"]);
        let ran = lab.h1.hook("poststop", state.as_bytes());
        let _ = ran
            .fails(1)
            .names(&["/run/netns/mine", "start it with `netd`"]);
        lab.h1.start();
        assert_eq!(known(&lab), ["web"]);
        for _ in 0..3 {
            let _ = lab.h1.hook("poststop", state.as_bytes()).ok();
            assert_eq!(known(&lab), [""; 0]);
        }
        // Nor does it matter if nobody calls it: the next one of that name takes the place of the last.
        lab.h1.oci_detached(runtime, "web", &bundle);
        lab.h1.kill();
        let _ = lab.h1.oci(runtime, &["delete", "--force", "web"]);
        lab.h1.start();
        let next = lab
            .h1
            .oci_run(runtime, "web", &Bundle::new(&show, &web()))
            .ok();
        assert!(next.text().contains("10.9.0.80"), "{next}");
        assert_eq!(known(&lab), [""; 0]);
        let _ = lab.h1.exec(&["ip", "netns", "delete", "mine"]).ok();
    }
}

#[test]
fn hooks_a_container_joins_several_networks_under_all_its_names() {
    let lab = lab();
    let _ = lab
        .h1
        .net(&["create", "--subnet", "10.8.0.0/24", "back"])
        .ok();
    lab.h1.idle("front-asker", "app", &[]);
    lab.h1.idle("back-asker", "back", &[]);
    let annotations = json!({
        "org.netd.network": "app,back",
        "org.netd.name": "shop",
        "org.netd.aliases": "everywhere",
        "org.netd.aliases.back": "deep",
        "org.netd.ip": "10.9.0.80",
        "org.netd.ip.back": "10.8.0.80",
    });
    for runtime in Runtime::BOTH {
        let mut started = lab
            .h1
            .oci_start(runtime, "web", &Bundle::idle(&annotations));
        let ask = |asker: &str, name: &str| {
            let ran = lab.h1.in_container(asker, &dig_line(&["+short", name]));
            ran.ok().text().to_owned()
        };
        let id = lab.h1.net(&["inspect", "-f", "{{.id}}", "shop"]).ok();
        for name in ["shop", "web", "everywhere", &id.text()[..12]] {
            assert_eq!(ask("front-asker", name), "10.9.0.80", "{name}");
            assert_eq!(ask("back-asker", name), "10.8.0.80", "{name}");
        }
        assert_eq!(ask("back-asker", "deep"), "10.8.0.80");
        assert_eq!(ask("front-asker", "deep"), "");
        let links = lab.h1.oci_exec(runtime, "web", &["ip", "-o", "link"]).ok();
        assert!(
            links.text().contains("eth0") && links.text().contains("eth1"),
            "{links}"
        );
        let _ = lab.h1.oci(runtime, &["kill", "web", "KILL"]).ok();
        let _ = started.ends_within(PATIENCE);
        assert_eq!(known(&lab), ["back-asker", "front-asker"]);
    }
}

#[test]
fn hooks_leave_the_mounts_of_the_configuration_and_the_files_of_others_alone() {
    let lab = lab();
    lab.h1.write("/run/lab/own-hosts", "192.0.2.7 mine\n");
    lab.h1.write("/run/lab/secret", "the host's\n");
    let show = ["sh", "-c", "cat /etc/hosts /etc/resolv.conf"];
    for runtime in Runtime::BOTH {
        let mut bundle = Bundle::new(&show, &web());
        let mounts = bundle.config["mounts"].as_array_mut().unwrap();
        let own = json!({ "destination": "/etc/hosts", "type": "bind", "source": "/run/lab/own-hosts", "options": ["bind", "ro"] });
        mounts.push(own);
        mounts.push(json!({ "destination": "/run", "type": "tmpfs", "source": "tmpfs" }));
        let folder = lab.h1.bundle("web", &bundle);
        // As Debian's with systemd-resolved, whose folder is not there yet; and one that means harm.
        for aim in [
            "../run/systemd/resolve/stub-resolv.conf",
            "../../../../../../../run/lab/secret",
        ] {
            let link = format!(
                "rm -f {folder}/rootfs/etc/resolv.conf && ln -s {aim} {folder}/rootfs/etc/resolv.conf"
            );
            let _ = lab.h1.sh(&link).ok();
            let shown = lab.h1.oci_run(runtime, "web", &bundle).ok();
            assert!(shown.text().contains("192.0.2.7 mine"), "{shown}");
            assert!(shown.text().contains("nameserver 127.0.0.11"), "{shown}");
            assert_eq!(lab.h1.read("/run/lab/secret"), "the host's\n");
        }
        let _ = lab
            .h1
            .exec(&["rm", &format!("{folder}/rootfs/etc/resolv.conf")])
            .ok();
        let mut without = web();
        without["org.netd.files"] = "none".into();
        lab.h1
            .write(&format!("{folder}/rootfs/etc/hosts"), "192.0.2.8 root\n");
        lab.h1.write(
            &format!("{folder}/rootfs/etc/resolv.conf"),
            "nameserver 192.0.2.53\n",
        );
        let shown = lab
            .h1
            .oci_run(runtime, "web", &Bundle::new(&show, &without))
            .ok();
        assert_eq!(shown.stdout, "192.0.2.8 root\nnameserver 192.0.2.53\n");
        // And what was bound over is as it was.
        let bound = lab
            .h1
            .oci_run(runtime, "web", &Bundle::new(&show, &web()))
            .ok();
        assert!(bound.text().contains("10.9.0.80"), "{bound}");
        assert_eq!(
            lab.h1.read(&format!("{folder}/rootfs/etc/hosts")),
            "192.0.2.8 root\n"
        );
        let _ = lab.h1.exec(&["rm", "-rf", &folder]).ok();
    }
    let mounts = lab.h1.exec(&["cat", "/proc/self/mountinfo"]).ok();
    assert!(!mounts.text().contains("/run/bundles"), "{mounts}");
}

#[test]
fn hooks_example_makes_what_a_runtime_takes() {
    let lab = lab();
    let program = programs::built("netd-hook").display().to_string();
    let mut bundle = Bundle::new(
        &["ip", "-o", "-4", "address", "show", "dev", "eth0"],
        &json!({}),
    );
    bundle.config["hooks"] = json!({});
    let folder = lab.h1.bundle("web", &bundle);
    let config = format!("{folder}/config.json");
    let line = [
        &program,
        "example",
        "--network",
        "app",
        "-p",
        "8080:80",
        "--socket",
        SOCKET,
        &config,
    ];
    let made = lab.h1.exec(&line).ok().json();
    assert_eq!(made["annotations"]["org.netd.ports"], "8080:80");
    assert_eq!(made["process"], bundle.config["process"]);
    for runtime in Runtime::BOTH {
        let shown = lab
            .h1
            .oci_run(
                runtime,
                "web",
                &Bundle {
                    config: made.clone(),
                },
            )
            .ok();
        assert!(shown.text().contains("10.9.0."), "{shown}");
        assert_eq!(known(&lab), [""; 0]);
    }
    let all = lab.h1.exec(&[&program, "--help"]).ok();
    for word in [
        "createRuntime",
        "poststop",
        "example",
        "org.netd.network",
        "org.netd.dns-opts",
    ] {
        assert!(all.stdout.contains(word), "{all}");
    }
    let bad = lab.h1.exec(&[&program, "example", "-p", "99999"]).fails(2);
    assert!(bad.stderr.contains("99999"), "{bad}");
    let _ = lab
        .h1
        .exec(&[&program, "example", "/no/such.json"])
        .fails(1)
        .names(&["/no/such.json"]);
}

#[test]
fn hooks_a_container_whose_root_is_nobody_on_the_host_has_files_and_names() {
    let lab = lab();
    for runtime in Runtime::BOTH {
        let show = "cat /etc/hosts /proc/self/uid_map; getent hosts web";
        let mut bundle = Bundle::new(&["sh", "-c", show], &web());
        let linux = bundle.config["linux"].as_object_mut().unwrap();
        let list = linux["namespaces"].as_array_mut().unwrap();
        list.push(json!({ "type": "user" }));
        for kind in ["uidMappings", "gidMappings"] {
            let all = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
            linux.insert(kind.to_owned(), all);
        }
        let shown = lab.h1.oci_run(runtime, "web", &bundle).ok();
        for part in ["10.9.0.80", "web.corp", "100000"] {
            assert!(shown.stdout.contains(part), "{shown}");
        }
        assert_eq!(known(&lab), [""; 0]);
    }
}
