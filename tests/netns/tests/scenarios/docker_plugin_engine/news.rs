//! What a Docker engine calls its containers is learnt when it tells, and asked for when nobody heard it.

use netns_tests::dockerd::DockerLab;
use netns_tests::eventually;
use netns_tests::plugin::with_plugin;

use super::{CREATE, docker, nothing_is_left, resolves, shown};

/// Waits until a neighbour is told the address by a name.
fn answers(lab: &DockerLab, name: &str, address: &str) {
    let ask = || lab.h1.in_container("asker", &["getent", "ahostsv4", name]);
    resolves(ask, address);
}

fn is_unknown(lab: &DockerLab, name: &str) {
    let ask = || lab.h1.in_container("asker", &["getent", "hosts", name]);
    eventually(&format!("no answer for {name}"), || {
        (!ask().is_ok()).then_some(())
    });
}

#[test]
fn a_container_s_names_follow_what_the_engine_calls_it() {
    let mut lab = DockerLab::with(with_plugin());
    docker(&lab, CREATE);
    lab.h1.idle("asker", "app", &[]);
    lab.container("web", "app", &["--network-alias", "www"]);
    let address = shown(&lab, "web", "app");
    let id = lab.docker(&["inspect", "-f", "{{.Id}}", "web"]).ok();
    for name in ["web", "www", &id.text()[..12]] {
        answers(&lab, name, &address);
    }
    docker(&lab, "rename web shop");
    answers(&lab, "shop", &address);
    is_unknown(&lab, "web");
    // What happens while no netd listens is asked for by the next one.
    lab.h1.kill();
    docker(&lab, "rename shop store");
    lab.h1.start();
    answers(&lab, "store", &address);
    is_unknown(&lab, "shop");
    // An engine that is started again is listened to again.
    lab.kill_engine();
    lab.start_engine();
    docker(&lab, "start store");
    let address = shown(&lab, "store", "app");
    answers(&lab, "store", &address);
    docker(&lab, "rename store last");
    answers(&lab, "last", &address);
    docker(&lab, "rm -f last");
    let _ = lab.h1.net(&["stop", "-t", "0", "asker"]).ok();
    let _ = lab.h1.net(&["prune", "-f", "--containers"]).ok();
    docker(&lab, "network rm app");
    nothing_is_left(&lab);
}
