//! A container is on one network several times, each time by another interface, with an address of its own.

use netns_tests::cni::{Place, configuration, eth0};
use netns_tests::lab::{HOST, OUTSIDE};
use netns_tests::{Background, Lab, OrFail, Ran, eventually};
use serde_json::{Value, json};

/// The configuration of an ADD that publishes port 80 on a port of the host.
fn app(port: u16) -> Value {
    let ipam = json!({ "ipam": { "subnet": "10.9.0.0/24" } });
    let mut config = configuration("1.1.0", "app", &ipam);
    config["capabilities"] = json!({ "portMappings": true });
    config["runtimeConfig"] = json!({ "portMappings": [
        { "hostPort": port, "containerPort": 80, "protocol": "tcp" },
    ] });
    config
}

/// The interface that a runtime asks for beside eth0.
fn net1(container: &str) -> Place<'_> {
    Place {
        interface: "net1",
        ..eth0(container)
    }
}

/// A web server at one address of a namespace, whose page is the address.
fn page_of(lab: &Lab, netns: &str, address: &str) -> Background {
    let folder = format!("/run/lab/www-{address}");
    lab.h1.write(&format!("{folder}/index.html"), address);
    let listen = format!("{address}:80");
    let line = [
        "ip", "netns", "exec", netns, "busybox", "httpd", "-f", "-p", &listen, "-h", &folder,
    ];
    let server = lab.h1.spawn(&line, &[], "/run/lab/httpd.log");
    eventually("the page", || {
        let got = lab.h1.in_netns(
            netns,
            &["curl", "-s", "-m", "2", &format!("http://{address}/")],
        );
        (got.text() == address).then_some(())
    });
    server
}

/// What a namespace believes to be the Ethernet address of a neighbour.
fn known(lab: &Lab, netns: &str, address: &str) -> String {
    let line = ["ip", "-j", "neigh", "show", address];
    let shown = lab.h1.in_netns(netns, &line).ok();
    shown.json()[0]["lladdr"]
        .as_str()
        .or_fail("lladdr")
        .to_owned()
}

/// The same, asked anew.
fn neighbour(lab: &Lab, netns: &str, address: &str) -> String {
    let _ = lab
        .h1
        .in_netns(netns, &["ip", "neigh", "flush", "all"])
        .ok();
    let _ = lab
        .h1
        .in_netns(netns, &["ping", "-c1", "-W2", address])
        .ok();
    known(lab, netns, address)
}

fn mac(lab: &Lab, netns: &str, interface: &str) -> String {
    let shown = lab
        .h1
        .in_netns(netns, &["ip", "-j", "link", "show", "dev", interface])
        .ok();
    shown.json()[0]["address"]
        .as_str()
        .or_fail("address")
        .to_owned()
}

/// The answers to a question, in order.
fn names(lab: &Lab, netns: &str, question: &[&str]) -> Vec<String> {
    let line = [&["dig", "+short", "@127.0.0.11"], question].concat();
    let ran = lab.h1.in_netns(netns, &line).ok();
    ran.text().lines().map(str::to_owned).collect()
}

fn pings(lab: &Lab, from: &str, to: &str) -> Ran {
    lab.h1.in_netns(from, &["ping", "-c3", "-i0.2", "-W2", to])
}

/// Each of these pages is had from outside, from a neighbour, and by the container itself, on its port of the host.
fn published(lab: &Lab, pages: &[(u16, &str)]) {
    for (port, page) in pages {
        let url = format!("http://{HOST}:{port}/");
        assert_eq!(
            lab.outside.get(&url).ok().text(),
            *page,
            "{url} from outside"
        );
        for netns in ["peer", "pod"] {
            let got = lab
                .h1
                .in_netns(netns, &["curl", "-s", "-m", "5", &url])
                .ok();
            assert_eq!(got.text(), *page, "{url} from {netns}");
        }
    }
}

#[test]
fn twice_by_cni_each_address_answers_and_goes_by_itself() {
    let lab = Lab::new();
    for netns in ["pod", "peer"] {
        lab.h1.new_netns(netns);
        // As many hosts have it: what comes by another interface than the way back is dropped.
        let strict = [
            "net.ipv4.conf.all.rp_filter=1",
            "net.ipv4.conf.default.rp_filter=1",
        ];
        let line = [&["sysctl", "-w"], &strict[..]].concat();
        let _ = lab.h1.in_netns(netns, &line).ok();
    }
    let _ = lab.h1.cni("ADD", eth0("peer"), &app(8082)).ok();
    let rules = lab.h1.all_rules();
    let links = lab.h1.link_names();
    let added = [(eth0("pod"), 8080), (net1("pod"), 8081)].map(|(place, port)| {
        let mut config = app(port);
        config["prevResult"] = lab.h1.cni("ADD", place, &app(port)).ok().json();
        (place, config)
    });
    let address = |config: &Value| {
        let text = config["prevResult"]["ips"][0]["address"].as_str().unwrap();
        text.trim_end_matches("/24").to_owned()
    };
    let [first, second] = [&added[0].1, &added[1].1].map(address);
    assert_eq!([&*first, &*second], ["10.9.0.3", "10.9.0.4"]);
    // One of them leads out, and says so.
    let routes = |config: &Value| {
        config["prevResult"]["routes"]
            .as_array()
            .map_or(0, Vec::len)
    };
    assert_eq!((routes(&added[0].1), routes(&added[1].1)), (1, 0));
    // The same again is the same, and the port of the one is not the other's.
    let again = lab.h1.cni("ADD", net1("pod"), &app(8081)).ok().json();
    assert_eq!(again, added[1].1["prevResult"]);

    let _pages = [&first, &second].map(|address| page_of(&lab, "pod", address));
    let holds = || {
        for (place, address) in [("eth0", &first), ("net1", &second)] {
            let _ = pings(&lab, "peer", address).ok();
            assert_eq!(
                neighbour(&lab, "peer", address),
                mac(&lab, "pod", place),
                "{address}"
            );
        }
        // Who is asked by an address learns from that as well.
        for netns in ["pod", "peer"] {
            let _ = lab
                .h1
                .in_netns(netns, &["ip", "neigh", "flush", "all"])
                .ok();
        }
        let ask = ["ping", "-c1", "-W2", "-I", &second, "10.9.0.2"];
        let _ = lab.h1.in_netns("pod", &ask).ok();
        assert_eq!(known(&lab, "peer", &second), mac(&lab, "pod", "net1"));
        published(&lab, &[(8080, &first), (8081, &second)]);
        for _ in 0..3 {
            assert_eq!(names(&lab, "peer", &["pod"]), [&*first, &*second]);
        }
        for address in [&first, &second] {
            assert_eq!(names(&lab, "peer", &["-x", address]), ["pod.app."]);
        }
        let _ = pings(&lab, "pod", OUTSIDE).ok();
        for (place, config) in &added {
            assert_eq!(lab.h1.cni("CHECK", *place, config).ok().text(), "");
        }
    };
    holds();
    lab.h1.kill();
    for address in [&first, &second] {
        let _ = pings(&lab, "peer", address).ok();
    }
    lab.h1.start();
    holds();

    // The neighbour goes on with what it remembers: nothing of it is about the interface that goes.
    let _ = lab.h1.cni("DEL", eth0("pod"), &app(8080)).ok();
    let _ = pings(&lab, "peer", &second).ok();
    published(&lab, &[(8081, &second)]);
    assert!(!lab.outside.get(&format!("http://{HOST}:8080/")).is_ok());
    assert_eq!(names(&lab, "peer", &["pod"]), [&*second]);
    let _ = pings(&lab, "pod", OUTSIDE).ok();
    let _ = lab.h1.cni("CHECK", net1("pod"), &added[1].1).ok();
    assert!(!lab.h1.cni("CHECK", eth0("pod"), &added[0].1).is_ok());
    // It may come back, and the other leaves.
    let _ = lab.h1.cni("ADD", eth0("pod"), &app(8080)).ok();
    let _ = lab.h1.cni("DEL", net1("pod"), &app(8081)).ok();
    let _ = pings(&lab, "pod", OUTSIDE).ok();
    let _ = lab.h1.cni("DEL", eth0("pod"), &app(8080)).ok();
    assert_eq!(names(&lab, "peer", &["pod"]), [""; 0]);
    eventually("the rules of before", || {
        (lab.h1.all_rules() == rules).then_some(())
    });
    lab.h1.comes_back_to(&links);
    eventually("only lo to be left", || {
        let left = lab.h1.in_netns("pod", &["ip", "-o", "link"]).ok();
        (left.text().lines().count() == 1).then_some(())
    });
}

/// Each place that `net ps` shows of a container.
fn shown_by_ps(lab: &Lab, name: &str) -> String {
    let all = lab.h1.net(&["ps", "--no-trunc"]).ok();
    let line = all.text().lines().find(|line| line.contains(name));
    line.or_fail("a line of the container").to_owned()
}

#[test]
fn twice_by_net_each_interface_is_shown_reached_and_left_by_its_name() {
    let lab = Lab::new();
    let subnets = ["--subnet", "10.9.0.0/24", "--subnet", "fd09::/64"];
    let _ = lab
        .h1
        .net(&[&["create"], &subnets[..], &["app"]].concat())
        .ok();
    let links = lab.h1.link_names();
    lab.h1
        .web("pod", 80, &["--network", "app", "-p", "8080:80"]);
    lab.h1.idle("peer", "app", &["--network-alias", "api"]);
    let connect = |further: &[&str]| {
        let line = [&["connect"], further, &["app", "pod"]].concat();
        lab.h1.net(&line)
    };
    let net1 = ["--interface", "net1", "--alias", "api", "-p", "8081:80"];
    for _ in 0..2 {
        let _ = connect(&net1).ok();
    }
    let _ = connect(&["--interface", "net2", "-p", "8080:80"])
        .fails(1)
        .names(&["8080", "pod"]);
    let _ = connect(&["--interface", "net1"])
        .fails(1)
        .names(&["already", "10.9.0.4"]);

    let view = lab.h1.inspect("app");
    let (id, pod) = view["Containers"]
        .as_object()
        .and_then(|all| all.iter().find(|(_, one)| one["Name"] == "pod"))
        .or_fail("pod on app");
    assert_eq!(
        (&pod["IPv4Address"], &pod["Interface"]),
        (&json!("10.9.0.2/24"), &json!("eth0"))
    );
    assert_eq!(pod["Also"][0]["Interface"], "net1");
    assert_eq!(pod["Also"][0]["IPv4Address"], "10.9.0.4/24");
    let places = &lab.h1.net(&["inspect", "pod"]).ok().json()[0]["networks"];
    let inside = places
        .as_array()
        .or_fail("places")
        .iter()
        .map(|one| &one["interface"]);
    assert_eq!(inside.collect::<Vec<_>>(), ["eth0", "net1"]);
    let line = shown_by_ps(&lab, id);
    for part in [
        "10.9.0.2",
        "10.9.0.4",
        "0.0.0.0:8080->80/tcp",
        "0.0.0.0:8081->80/tcp",
    ] {
        assert!(line.contains(part), "{line}");
    }
    // Docker's client sees it once, by the first, and neither adds a place nor leaves half of them.
    let docker = "{{range .Containers}}{{println .Name .IPv4Address}}{{end}}";
    let members = lab
        .h1
        .docker(&["network", "inspect", "-f", docker, "app"])
        .ok();
    let mut members: Vec<_> = members
        .text()
        .lines()
        .filter(|line| !line.is_empty())
        .collect();
    members.sort_unstable();
    assert_eq!(members, ["peer 10.9.0.3/24", "pod 10.9.0.2/24"]);
    let address = "{{.NetworkSettings.Networks.app.IPAddress}}";
    assert_eq!(
        lab.h1
            .docker(&["inspect", "-f", address, "pod"])
            .ok()
            .text(),
        "10.9.0.2"
    );
    let option = "com.docker.network.endpoint.ifname=net3";
    let ran = lab
        .h1
        .docker(&["network", "connect", "--driver-opt", option, "app", "pod"]);
    let _ = ran
        .fails(1)
        .names(&["endpoint with name pod already exists in network app"]);

    // Both families of both, from a neighbour and from outside; a name in one order.
    for address in ["10.9.0.2", "10.9.0.4", "fd09::2", "fd09::4"] {
        let _ = lab
            .h1
            .in_container("peer", &["ping", "-c1", "-W2", address])
            .ok();
    }
    for port in [8080, 8081] {
        let url = format!("http://{HOST}:{port}/");
        assert_eq!(lab.outside.get(&url).ok().text(), "pod");
        assert_eq!(
            lab.h1
                .in_container("peer", &["curl", "-s", "-m", "5", &url])
                .ok()
                .text(),
            "pod"
        );
    }
    let answers = |name: &str, kind: &str| {
        let ran = lab
            .h1
            .in_container("peer", &["dig", "+short", "@127.0.0.11", name, kind]);
        let ran = ran.ok();
        ran.text().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    for _ in 0..3 {
        assert_eq!(answers("pod", "A"), ["10.9.0.2", "10.9.0.4"]);
        assert_eq!(answers("pod", "AAAA"), ["fd09::2", "fd09::4"]);
    }
    let mut api = answers("api", "A");
    api.sort();
    assert_eq!(api, ["10.9.0.3", "10.9.0.4"]);

    // Who leaves says by which, or by all.
    let both = [
        "eth0 (10.9.0.2, fd09::2)",
        "net1 (10.9.0.4, fd09::4)",
        "--interface",
    ];
    let _ = lab
        .h1
        .net(&["disconnect", "app", "pod"])
        .fails(1)
        .names(&both);
    let by = |name: &str| {
        lab.h1
            .net(&["disconnect", "--interface", name, "app", "pod"])
    };
    let _ = by("net7").fails(1).names(&["not on network app by net7"]);
    let _ = by("eth0").ok();
    assert_eq!(answers("pod", "A"), ["10.9.0.4"]);
    let _ = lab
        .h1
        .in_container("pod", &["ping", "-c1", "-W2", OUTSIDE])
        .ok();
    assert!(!lab.outside.get(&format!("http://{HOST}:8080/")).is_ok());
    assert_eq!(
        lab.outside.get(&format!("http://{HOST}:8081/")).ok().text(),
        "pod"
    );
    let _ = connect(&["--interface", "eth0"]).ok();
    let _ = lab.h1.net(&["disconnect", "-f", "app", "pod"]).ok();
    assert_eq!(answers("pod", "A"), [""; 0]);
    for _ in 0..2 {
        let _ = connect(&[]).ok();
        let _ = connect(&["--interface", "net1"]).ok();
        let _ = lab.h1.docker(&["network", "disconnect", "app", "pod"]).ok();
        assert!(!shown_by_ps(&lab, id).contains("10.9.0."));
    }
    let _ = lab.h1.net(&["stop", "pod", "peer"]).ok();
    lab.h1.comes_back_to(&links);
}
