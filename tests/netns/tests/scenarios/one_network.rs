//! What netd is for: containers of five runtimes on one network, none of them patched, that find each other by name.

use netns_tests::containerd::Containerd;
use netns_tests::dockerd::{DockerLab, IMAGE};
use netns_tests::eventually;
use netns_tests::lab::HOST;
use netns_tests::oci::{Bundle, Runtime};
use netns_tests::plugin::with_plugin;
use netns_tests::podman::Podman;
use netns_tests::process::Ran;
use serde_json::json;

use crate::hooks::known;

/// The network that `netd-cni install` describes for containerd; the others join it.
const NETWORK: &str = "netd";

/// Runs a program in a container, by its own runtime.
type Exec<'a> = Box<dyn Fn(&[&str]) -> Ran + 'a>;

/// A container: its name, the port of the host by which its page is read, and how its runtime runs a program in it.
struct Member<'a> {
    name: &'static str,
    port: u16,
    exec: Exec<'a>,
}

/// The machine's programs, for containers whose root has few.
const PROGRAMS: [&str; 8] = [
    "-v",
    "/bin:/bin:ro",
    "-v",
    "/lib:/lib:ro",
    "-v",
    "/lib64:/lib64:ro",
    "-v",
    "/usr:/usr:ro",
];

/// Serves a page that says who serves it. It ends when it is told to: the first process of a pid namespace is sent no signal
/// that it does not want (pid_namespaces(7)).
fn page_of(name: &str) -> String {
    format!(
        "busybox mkdir -p /dev/shm/www && echo {name} > /dev/shm/www/index.html && trap 'exit 0' TERM && \
         {{ busybox httpd -f -p 80 -h /dev/shm/www & wait; }}"
    )
}

/// Starts a container of each runtime, which serves a page on port 80.
fn members<'a>(
    lab: &'a DockerLab,
    containerd: &'a Containerd<'_>,
    podman: &'a Podman<'_>,
) -> Vec<Member<'a>> {
    let publish = |port: u16| format!("{port}:80");
    let containerd_page = page_of("default-shim");
    containerd.run("shim", &["sh", "-c", &containerd_page]);
    let _ = lab
        .h1
        .net(&["publish", "default-shim", "-p", &publish(8081)])
        .ok();

    let plain = page_of("plain");
    let flags = [
        "--name",
        "plain",
        "--network",
        NETWORK,
        "-p",
        &publish(8082),
    ];
    lab.h1.run_detached(&flags, &["sh", "-c", &plain]);

    let line = "network create --ipam-driver none --label org.netd.network=netd pods";
    let _ = podman.run(&words(line)).ok();
    let flags = ["--network", "pods", "-p", &publish(8083)];
    let flags = [&flags[..], &PROGRAMS].concat();
    let _ = podman
        .start(("pod", &flags), &["sh", "-c", &page_of("pod")])
        .ok();

    let line =
        "network create -d netd --ipam-driver netd --subnet 10.9.0.0/24 -o netd.name=netd docks";
    let _ = lab.docker(&words(line)).ok();
    let flags = [
        "run",
        "-d",
        "--name",
        "dock",
        "--network",
        "docks",
        // The plugin protocol tells an engine no resolver; its own asks the network's gateway for what it does not know.
        "--dns",
        "10.9.0.1",
        "-p",
        &publish(8084),
    ];
    let page = page_of("dock");
    let command = [IMAGE, "/bin/sh", "-c", &page];
    let _ = lab.docker(&[&flags[..], &PROGRAMS, &command].concat()).ok();

    let annotations = json!({ "org.netd.network": NETWORK, "org.netd.ports": publish(8085) });
    let page = page_of("bundle").replace("/dev/shm", "/dev");
    let bundle = Bundle::new(&["sh", "-c", &page], &annotations);
    lab.h1.oci_detached(Runtime::Crun, "bundle", &bundle);

    let member = |name, port, exec| Member { name, port, exec };
    let by_containerd: Exec<'a> = Box::new(|command| containerd.exec("shim", command));
    let by_net: Exec<'a> = Box::new(|command| lab.h1.in_container("plain", command));
    let by_podman: Exec<'a> = Box::new(|command| podman.exec("pod", command));
    let by_docker: Exec<'a> = Box::new(|command| lab.in_docker("dock", command));
    let by_crun: Exec<'a> = Box::new(|command| lab.h1.oci_exec(Runtime::Crun, "bundle", command));
    vec![
        member("default-shim", 8081, by_containerd),
        member("plain", 8082, by_net),
        member("pod", 8083, by_podman),
        member("dock", 8084, by_docker),
        member("bundle", 8085, by_crun),
    ]
}

/// From outside by its port, and all pairs by name.
fn all_reach_each_other(lab: &DockerLab, members: &[Member<'_>]) {
    for Member { name, port, .. } in members {
        eventually(&format!("the page of {name} from outside"), || {
            let page = lab.outside.get(&format!("http://{HOST}:{port}/"));
            (page.text() == *name).then_some(())
        });
    }
    for asker in members {
        for asked in members {
            let url = format!("http://{}/", asked.name);
            let page = (asker.exec)(&["curl", "-s", "-m", "5", &url]);
            assert_eq!(page.text(), asked.name, "{} asks:\n{page}", asker.name);
        }
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[test]
fn containers_of_five_runtimes_share_a_network_and_find_each_other_by_name() {
    let lab = DockerLab::with(with_plugin());
    let containerd = Containerd::start(&lab.h1);
    let podman = Podman::on(&lab.h1);
    let (links, rules) = (lab.h1.link_names(), lab.h1.all_rules());
    let members = members(&lab, &containerd, &podman);
    all_reach_each_other(&lab, &members);
    // And through the end of a daemon and the next one.
    lab.h1.kill();
    lab.h1.start();
    all_reach_each_other(&lab, &members);
    drop(members);
    assert_eq!(lab.h1.status()["problems"], json!([]));

    // Each goes by the command of its own runtime.
    let _ = lab.docker(&["rm", "-f", "dock"]).ok();
    let _ = lab.docker(&["network", "rm", "docks"]).ok();
    let _ = podman.run(&["rm", "-f", "-t", "0", "pod"]).ok();
    let _ = podman.run(&["network", "rm", "pods"]).ok();
    let _ = containerd.ctr(&["task", "kill", "-s", "KILL", "shim"]).ok();
    containerd.remove("shim");
    let _ = lab
        .h1
        .oci(Runtime::Crun, &["delete", "--force", "bundle"])
        .ok();
    let _ = lab.h1.net(&["stop", "-t", "0", "plain"]).ok();
    let _ = lab.h1.net(&["prune", "-f", "--containers"]).ok();
    eventually("no container to be known", || {
        known(&lab).is_empty().then_some(())
    });
    let gone = |what: &str| {
        lab.h1
            .net(&["ls", "-q", "-f", &format!("name={what}")])
            .ok()
            .text()
            .is_empty()
    };
    if !gone(NETWORK) {
        let _ = lab.h1.net(&["rm", NETWORK]).ok();
    }
    lab.h1.comes_back_to(&links);
    eventually("the rules of before", || {
        (lab.h1.all_rules() == rules).then_some(())
    });
}
