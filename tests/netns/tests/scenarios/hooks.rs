//! The hooks for OCI runtimes, called by runc and crun on real bundles, with real packets.

use netns_tests::lab::HOST;
use netns_tests::oci::{Bundle, Runtime, oci_log};
use netns_tests::oracle::dig_line;
use netns_tests::{Lab, eventually};
use serde_json::{Value, json};

/// A laboratory with the network `app` of 10.9.0.0/24.
fn lab() -> Lab {
    let lab = Lab::new();
    let create = ["create", "--subnet", "10.9.0.0/24", "app"];
    let _ = lab.h1.net(&create).ok();
    lab
}

/// The names of the containers that netd knows.
fn known(lab: &Lab) -> Vec<String> {
    let ran = lab.h1.net(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    ran.text().lines().map(str::to_owned).collect()
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
        let _ = started.ends_within(std::time::Duration::from_secs(10));
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
