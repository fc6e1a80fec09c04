//! Many at once: nobody is lost, nobody shares an address, and afterwards nothing is left.

use std::collections::BTreeSet;

use netns_tests::Lab;

const CALLERS: usize = 8;
const EACH: usize = 8;

#[test]
fn sixty_four_containers_by_eight_callers_are_all_right() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.idle("asker", "app", &[]);
    let rules = lab.h1.all_rules();
    let links = lab.h1.link_names();
    let h1 = &lab.h1;
    // Threads of a shell would be the same; the laboratory's own state is not shared between threads.
    let script = format!(
        "for caller in $(seq {CALLERS}); do ( for n in $(seq {EACH}); do \
           port=$((10000 + caller * 100 + n)); \
           \"$NET\" run -d --name c$caller-$n --network app -p $port:80 -- busybox httpd -f -p 80 -h /run/lab/crowd >/dev/null \
             || echo failed c$caller-$n; done ) & done; wait"
    );
    h1.write("/run/lab/crowd/index.html", "crowd");
    let net = netns_tests::programs::built("net").display().to_string();
    let environment = [
        ("NET", net.as_str()),
        ("NETD_HOST", netns_tests::host::SOCKET),
    ];
    let ran = h1.exec_with(&["sh", "-c", &script], &environment, b"").ok();
    assert_eq!((ran.text(), ran.stderr.trim()), ("", ""), "{ran}");
    let view = h1.inspect("app");
    let containers = view["Containers"].as_object().unwrap();
    assert_eq!(containers.len(), CALLERS * EACH + 1);
    let addresses: BTreeSet<_> = containers
        .values()
        .map(|one| one["IPv4Address"].as_str().unwrap())
        .collect();
    assert_eq!(addresses.len(), CALLERS * EACH + 1);
    let all: Vec<String> = addresses
        .iter()
        .map(|one| one.split('/').next().unwrap().to_owned())
        .collect();
    let pings = format!(
        "for a in {}; do ping -c1 -W3 $a >/dev/null || echo lost $a; done",
        all.join(" ")
    );
    assert_eq!(
        h1.in_container("asker", &["sh", "-c", &pings]).ok().text(),
        ""
    );
    let fetch = format!(
        "for caller in $(seq {CALLERS}); do for n in $(seq {EACH}); do port=$((10000 + caller * 100 + n)); \
         curl -sS --max-time 5 http://198.18.0.1:$port/ >/dev/null || echo lost $port; done; done"
    );
    assert_eq!(lab.outside.sh(&fetch).ok().text(), "");
    let stop = format!(
        "for caller in $(seq {CALLERS}); do \"$NET\" stop -t 1 $(seq -f c$caller-%g {EACH}) >/dev/null || echo failed & done; wait"
    );
    let ran = h1.exec_with(&["sh", "-c", &stop], &environment, b"").ok();
    assert_eq!((ran.text(), ran.stderr.trim()), ("", ""), "{ran}");
    assert_eq!(h1.all_rules(), rules);
    h1.comes_back_to(&links);
}

#[test]
fn the_same_request_twice_at_once_succeeds_once() {
    let lab = Lab::new();
    let net = netns_tests::programs::built("net").display().to_string();
    let environment = [
        ("NET", net.as_str()),
        ("NETD_HOST", netns_tests::host::SOCKET),
    ];
    let twice = "\"$NET\" create app 2>/dev/null & \"$NET\" create app 2>/dev/null & wait";
    let ran = lab
        .h1
        .exec_with(&["sh", "-c", twice], &environment, b"")
        .ok();
    assert_eq!(ran.stdout.lines().count(), 1, "{ran}");
    assert_eq!(lab.h1.net(&["ls"]).ok().stdout.matches(" app ").count(), 1);
    let twice = "for i in 1 2; do \"$NET\" run -d --name one --network app -- sleep infinity 2>/dev/null & done; wait";
    let ran = lab
        .h1
        .exec_with(&["sh", "-c", twice], &environment, b"")
        .ok();
    assert_eq!(ran.stdout.lines().count(), 1, "{ran}");
    assert_eq!(
        lab.h1.inspect("app")["Containers"]
            .as_object()
            .unwrap()
            .len(),
        1
    );
    let bridged = lab
        .h1
        .link_names()
        .iter()
        .filter(|name| name.starts_with("veth"))
        .count();
    assert_eq!(bridged, 1);
}
