//! containerd as a user has it: its containers are on netd's networks by `netd-cni install` and `ctr run --cni`, and
//! whatever of it is killed, nothing of them is left.

use netns_tests::containerd::Containerd;
use netns_tests::lab::HOST;
use netns_tests::oracle::dig_line;
use netns_tests::{Lab, eventually};

use crate::hooks::known;
use crate::remains::{Before, gone_soon, has_traces};

const IDLE: [&str; 2] = ["sleep", "infinity"];

fn page(lab: &Lab) -> String {
    let url = format!("http://{HOST}:8080/");
    lab.outside.get(&url).text().to_owned()
}

/// A container with a page, on a port of the host that is published while it runs: `ctr` has no word for ports.
fn serve(lab: &Lab, containerd: &Containerd<'_>, id: &str) {
    // The first process of a pid namespace is sent no signal that it does not want (pid_namespaces(7)).
    let serve = format!(
        "mkdir -p /dev/shm/www && echo {id} > /dev/shm/www/index.html && trap 'exit 0' TERM && \
         {{ busybox httpd -f -p 80 -h /dev/shm/www & wait; }}"
    );
    containerd.run(id, &["sh", "-c", &serve]);
    let name = format!("default-{id}");
    lab.h1.listening(&name, "-t", "80");
    let _ = lab.h1.net(&["publish", &name, "-p", "8080:80"]).ok();
}

#[test]
fn containerd_s_containers_reach_each_other_by_name_and_are_published() {
    let lab = Lab::new();
    let containerd = Containerd::start(&lab.h1);
    serve(&lab, &containerd, "web");
    let before = Before::of(&lab);
    containerd.run("db", &IDLE);
    assert_eq!(known(&lab), ["default-db", "default-web"]);
    let ping = ["ping", "-c", "1", "-W", "5", "default-web"];
    let _ = containerd.exec("db", &ping).ok();
    let ping = ["ping", "-c", "1", "-W", "5", "default-db"];
    let _ = containerd.exec("web", &ping).ok();
    assert_eq!(page(&lab), "web");
    // What containerd's own namespace of a container has is what netd says of it.
    let seen = containerd.exec("db", &["ip", "-j", "address", "show", "dev", "eth0"]);
    let seen = seen.ok().json()[0]["addr_info"][0]["local"].clone();
    assert_eq!(seen, lab.h1.address_of("default-db", "netd"));

    // netd and containerd come and go; the containers stay connected, and are found again.
    lab.h1.kill();
    assert_eq!(page(&lab), "web", "no daemon is needed for that");
    lab.h1.start();
    let _ = containerd.exec("db", &ping).ok();
    let _ = containerd.ctr(&["task", "kill", "-s", "KILL", "db"]).ok();
    before.is_back(&lab);
    containerd.remove("db");
    assert_eq!(page(&lab), "web");
}

#[test]
fn containerd_s_ended_containers_leave_nothing_and_may_come_again() {
    let lab = Lab::new();
    let containerd = Containerd::start(&lab.h1);
    containerd.run("first", &IDLE);
    // The network was made with it, and stays.
    let before = Before {
        known: Vec::new(),
        links: lab
            .h1
            .link_names()
            .into_iter()
            .filter(|name| !name.starts_with("veth"))
            .collect(),
        rules: lab.h1.all_rules(),
    };
    for signal in ["TERM", "KILL"] {
        serve(&lab, &containerd, "web");
        assert_eq!(page(&lab), "web");
        let _ = containerd.ctr(&["task", "kill", "-s", signal, "web"]).ok();
        containerd.remove("web");
        eventually("its record to go", || {
            (known(&lab) == ["default-first"]).then_some(())
        });
    }
    let _ = containerd
        .ctr(&["task", "kill", "-s", "KILL", "first"])
        .ok();
    containerd.remove("first");
    before.is_back(&lab);
}

#[test]
fn containerd_killed_in_any_part_leaves_nothing_of_a_container_after_a_second() {
    let lab = Lab::new();
    let mut containerd = Containerd::start(&lab.h1);
    containerd.run("asker", &IDLE);
    let before = Before::of(&lab);
    let ask = || {
        let ran = containerd.exec("asker", &dig_line(&["+short", "default-web"]));
        ran.ok().text().to_owned()
    };
    // The container's own process, and the one that looks after it: containerd then ends the container itself.
    for part in ["container", "shim"] {
        serve(&lab, &containerd, "web");
        assert_eq!(ask(), lab.h1.address_of("default-web", "netd"));
        assert!(has_traces(&lab, &before.links));
        let pid = match part {
            "container" => containerd.pid("web"),
            _ => containerd.shim("web"),
        };
        lab.h1.signal("KILL", pid);
        gone_soon(&lab, (&before, part));
        before.is_back(&lab);
        assert_eq!(ask(), "");
        containerd.remove("web");
    }
    // containerd itself: its containers go on without it, and end without it.
    serve(&lab, &containerd, "web");
    let pid = containerd.pid("web");
    containerd.kill();
    assert_eq!(page(&lab), "web");
    lab.h1.signal("KILL", pid);
    gone_soon(&lab, (&before, "containerd"));
    before.is_back(&lab);
    containerd.start_again();
    containerd.remove("web");
    // The address is anybody's again.
    serve(&lab, &containerd, "web");
    assert_eq!(page(&lab), "web");
}
