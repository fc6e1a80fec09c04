//! `docker events` tells what happens on netd's networks, and what happened.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netns_tests::{Lab, eventually};

const LOG: &str = "/run/lab/events";

/// What the listener prints of an event.
const FORM: &str = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}} {{.Actor.Attributes.container}}";

#[test]
fn docker_events_follow_a_network_through_its_life() {
    let lab = Lab::new();
    let args = ["events", "--format", FORM, "--filter", "type=network"];
    let mut listener = lab.h1.docker_in_background(&args, LOG);
    // The client says nothing until there is an event: the first ones are made until one is heard.
    eventually("a first event", || {
        let _ = lab.h1.docker(&["network", "create", "first"]).ok();
        let _ = lab.h1.docker(&["network", "rm", "first"]).ok();
        lab.h1
            .read(LOG)
            .contains("destroy first bridge")
            .then_some(())
    });
    lab.h1.idle("web", "bridge", &[]);
    let format = ["inspect", "-f", "{{.Id}}", "web"];
    let id = lab.h1.docker(&format).ok().text().to_owned();
    for args in [
        &["network", "create", "app"][..],
        &["network", "connect", "app", "web"],
        &["network", "disconnect", "app", "web"],
        &["network", "rm", "app"],
    ] {
        let _ = lab.h1.docker(args).ok();
    }
    let wanted = [
        "network create app bridge".to_owned(),
        format!("network connect app bridge {id}"),
        format!("network disconnect app bridge {id}"),
        "network destroy app bridge".to_owned(),
    ];
    let told = eventually("the end of the network", || {
        let told = lab.h1.read(LOG);
        told.contains("destroy app").then_some(told)
    });
    let of_app = told.lines().filter(|line| line.contains(" app "));
    let of_app: Vec<String> = of_app
        .map(|line| line.replace("<no value>", "").trim().to_owned())
        .collect();
    assert_eq!(of_app, wanted, "{told}");
    assert!(listener.is_running(), "{told}");
}

#[test]
fn docker_events_tell_what_happened_between_two_times() {
    let lab = Lab::new();
    let _ = lab.h1.docker(&["network", "create", "one"]).ok();
    let _ = lab.h1.docker(&["network", "create", "two"]).ok();
    let run = ["run", "--name", "brief", "--", "sh", "-c", "exit 3"];
    assert_eq!(lab.h1.net(&run).code, 3);
    // The client gives whole seconds: what happened within this one is before the end of it.
    let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(2);
    let until = until.as_secs().to_string();
    let events = |filters: &[&str]| {
        let mut args = vec![
            "events",
            "--since",
            "1h",
            "--until",
            until.as_str(),
            "--format",
            "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}",
        ];
        filters
            .iter()
            .for_each(|filter| args.extend(["--filter", filter]));
        lab.h1.docker(&args).ok().stdout
    };
    assert_eq!(
        events(&["event=create"]),
        "network create one\nnetwork create two\n"
    );
    assert_eq!(events(&["network=two"]), "network create two\n");
    assert_eq!(
        events(&["container=brief", "event=die"]),
        "container die brief\n"
    );
    assert_eq!(events(&["type=daemon", "event=reload"]), "");
    let args = ["events", "--since", "1h", "--until", "2h"];
    let _ = lab
        .h1
        .docker(&args)
        .fails(1)
        .names(&["cannot be after `until` time"]);
}

#[test]
fn docker_ps_and_docker_inspect_show_who_is_on_networks() {
    let lab = Lab::new();
    lab.h1.idle(
        "web",
        "bridge",
        &["-p", "8080:80", "-p", "9000-9001:9000-9001/udp"],
    );
    let _ = lab.h1.docker(&["network", "create", "app"]).ok();
    let _ = lab
        .h1
        .docker(&["network", "connect", "--alias", "store", "app", "web"])
        .ok();
    let ran = lab.h1.docker(&[
        "ps",
        "--format",
        "{{.Names}} {{.State}} {{.Ports}} {{.Networks}}",
    ]);
    let ran = ran.ok();
    assert!(
        ran.text().starts_with("web running ") && ran.text().contains("0.0.0.0:8080->80/tcp"),
        "{ran}"
    );
    assert!(
        ran.text().ends_with("app,bridge") || ran.text().ends_with("bridge,app"),
        "{ran}"
    );
    let format = "{{.Name}} {{.State.Running}} {{.HostConfig.NetworkMode}} {{.NetworkSettings.IPAddress}} \
                  {{(index .NetworkSettings.Ports \"80/tcp\" 0).HostPort}} {{.NetworkSettings.Networks.app.IPAddress}} \
                  {{.NetworkSettings.Networks.app.Aliases}}";
    let ran = lab.h1.docker(&["inspect", "-f", format, "web"]).ok();
    let there = lab.h1.address_of("web", "app");
    let here = lab.h1.address_of("web", "bridge");
    assert_eq!(
        ran.text(),
        format!("/web true bridge {here} 8080 {there} [store]")
    );
    // Without a kind, the client looks for a container and an image first.
    let ran = lab.h1.docker(&["inspect", "-f", "{{.Driver}}", "app"]).ok();
    assert_eq!(ran.text(), "bridge");
    let _ = lab
        .h1
        .docker(&["inspect", "absent"])
        .fails(1)
        .names(&["No such object: absent"]);
    let _ = lab.h1.net(&["stop", "web"]).ok();
    assert_eq!(lab.h1.docker(&["ps", "-q"]).ok().text(), "");
    let ran = lab
        .h1
        .docker(&["ps", "-a", "--format", "{{.Names}} {{.Status}}"])
        .ok();
    assert!(ran.text().starts_with("web Exited ("), "{ran}");
}
