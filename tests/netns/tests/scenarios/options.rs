//! Options of bridge networks (`-o`) beyond those of S8 to S10: gateway modes, ways in and out, names of interfaces.

use netns_tests::lab::{HOST, OUTSIDE};
use netns_tests::oracle::curl;
use netns_tests::{Lab, eventually};

const MODE: &str = "com.docker.network.bridge.gateway_mode_ipv4";
const TRUSTED: &str = "com.docker.network.bridge.trusted_host_interfaces";
const INHIBIT: &str = "com.docker.network.bridge.inhibit_ipv4";
const PREFIX: &str = "com.docker.network.container_iface_prefix";
const HOST_V4: &str = "com.docker.network.host_ipv4";
/// The address that the first container has.
const WEB: &str = "10.50.0.2";

/// A host with the network `app`, 10.50.0.0/24, made with these flags. The machine outside routes it to the host.
fn lab_with(flags: &[&str]) -> Lab {
    let lab = Lab::new();
    let mut create = vec!["create", "--subnet", "10.50.0.0/24"];
    create.extend(flags);
    create.push("app");
    let _ = lab.h1.net(&create).ok();
    let route = ["ip", "route", "add", "10.50.0.0/24", "via", HOST];
    let _ = lab.outside.exec(&route).ok();
    lab
}

/// A container `web` that publishes port 80 as 8080 and also listens on 81.
fn web(lab: &Lab) {
    lab.h1
        .web("web", 80, &["--network", "app", "-p", "8080:80"]);
    assert_eq!(lab.h1.address_of("web", "app"), WEB);
    let more = ["run", "-d", "--network", "container:web", "--"];
    let line = [
        &more[..],
        &[
            "busybox",
            "httpd",
            "-f",
            "-p",
            "81",
            "-h",
            "/run/lab/www-web",
        ],
    ];
    let _ = lab.h1.net(&line.concat()).ok();
    lab.h1.listening("web", "-t", "81");
}

/// What the machine outside reaches: the host's port, the container's published port, its other port, an answer to ping.
fn from_outside(lab: &Lab) -> [bool; 4] {
    let get = |url: &str| lab.outside.get(url).is_ok();
    [
        get(&format!("http://{HOST}:8080/")),
        get(&format!("http://{WEB}/")),
        get(&format!("http://{WEB}:81/")),
        lab.outside.exec(&["ping", "-c1", "-W1", WEB]).is_ok(),
    ]
}

/// Starts a server outside that tells who asks.
fn teller(lab: &Lab) -> netns_tests::Background {
    let line = [
        "socat",
        "TCP-LISTEN:90,fork,reuseaddr",
        "SYSTEM:echo $SOCAT_PEERADDR",
    ];
    let server = lab.outside.spawn(&line, &[], "/run/lab/teller.log");
    lab.outside.machine_listens("-t", 90);
    server
}

/// Who the container is to the world.
fn seen_as(lab: &Lab, container: &str) -> String {
    let server = format!("TCP:{OUTSIDE}:90,connect-timeout=2");
    let ran = lab
        .h1
        .in_container(container, &["socat", "-u", &server, "STDOUT"]);
    ran.text().to_owned()
}

#[test]
fn each_gateway_mode_lets_in_what_it_says() {
    for (mode, reached, named) in [
        ("nat", [true, false, false, false], HOST),
        ("nat-unprotected", [true, true, true, true], HOST),
        ("routed", [false, true, false, true], WEB),
    ] {
        let lab = lab_with(&["-o", &format!("{MODE}={mode}")]);
        web(&lab);
        assert_eq!(from_outside(&lab), reached, "{mode}");
        let _teller = teller(&lab);
        assert_eq!(seen_as(&lab, "web"), named, "{mode}");
        assert_eq!(lab.h1.inspect("app")["Options"][MODE], mode);
        // The host itself is always let in, and neighbours are.
        assert!(lab.h1.get(&format!("http://{WEB}:81/")).is_ok(), "{mode}");
        lab.h1.idle("peer", "app", &[]);
        let peer = lab.h1.in_container("peer", &curl("http://web:81/"));
        assert!(peer.is_ok(), "{mode}: {peer}");
        lab.h1.kill();
        lab.h1.start();
        assert_eq!(from_outside(&lab), reached, "{mode} after a crash");
        assert_eq!(lab.h1.status()["problems"].as_array().unwrap().len(), 0);
    }
}

#[test]
fn other_networks_reach_what_a_routed_one_publishes_and_nothing_else() {
    for (mode, reached) in [("nat", false), ("nat-unprotected", false), ("routed", true)] {
        let lab = lab_with(&["-o", &format!("{MODE}={mode}")]);
        web(&lab);
        lab.h1.idle("stranger", "bridge", &[]);
        let _ = lab.h1.net(&["create", "younger"]).ok();
        lab.h1.idle("second", "younger", &[]);
        for who in ["stranger", "second"] {
            let get = |port: u16| {
                let url = format!("http://{WEB}:{port}/");
                lab.h1.in_container(who, &curl(&url)).is_ok()
            };
            assert_eq!([get(80), get(81)], [reached, false], "{mode} {who}");
        }
        // Nor does it reach them.
        let other = format!("http://{}:9/", lab.h1.address_of("second", "younger"));
        assert!(!lab.h1.in_container("web", &curl(&other)).is_ok());
    }
}

#[test]
fn s21_a_port_of_a_routed_network_is_shown_where_it_is_reached() {
    let lab = lab_with(&["-o", &format!("{MODE}=routed")]);
    web(&lab);
    let port = lab.h1.net(&["port", "web"]).ok();
    assert_eq!(port.text(), format!("80/tcp -> {WEB}:80"));
    // The host's port is nobody's: another may have it, and the same one again.
    lab.h1.web("other", 80, &["-p", "8080:80"]);
    let page = lab.outside.get(&format!("http://{HOST}:8080/")).ok();
    assert_eq!(page.text(), "other");
    let publish = ["publish", "web", "-p", "9000:81"];
    let _ = lab
        .h1
        .net(&publish)
        .fails(1)
        .names(&["app is routed", "-p"]);
    let _ = lab.h1.net(&["disconnect", "app", "web"]).ok();
    assert_eq!(from_outside(&lab), [true, false, false, false]);
    let _ = lab.h1.net(&["connect", "-p", "81", "app", "web"]).ok();
    let address = lab.h1.address_of("web", "app");
    assert!(lab.outside.get(&format!("http://{address}:81/")).is_ok());
    assert!(!lab.outside.get(&format!("http://{address}/")).is_ok());
}

#[test]
fn an_isolated_network_does_not_meet_the_host() {
    let isolated = format!("{MODE}=isolated");
    let refused = Lab::new();
    let line = ["create", "-o", &isolated, "x"];
    let _ = refused
        .h1
        .net(&line)
        .fails(1)
        .names(&["isolated", "--internal"]);
    drop(refused);
    for (flags, meets) in [
        (&["--internal"][..], true),
        (&["--internal", "-o", &isolated], false),
    ] {
        let lab = lab_with(flags);
        lab.h1.idle("a", "app", &[]);
        lab.h1.web("b", 80, &["--network", "app"]);
        assert!(lab.h1.in_container("a", &curl("http://b/")).is_ok());
        let gateway = ["ping", "-c1", "-W1", "10.50.0.1"];
        assert_eq!(
            lab.h1.in_container("a", &gateway).is_ok(),
            meets,
            "{flags:?}"
        );
        let page = format!("http://{}/", lab.h1.address_of("b", "app"));
        assert_eq!(lab.h1.get(&page).is_ok(), meets, "{flags:?}");
        let open = ["update", "--internal=false", "app"];
        assert_eq!(lab.h1.net(&open).is_ok(), meets, "{flags:?}");
    }
}

#[test]
fn a_trusted_interface_leads_to_published_ports_directly() {
    let lab = lab_with(&["-o", &format!("{TRUSTED}=wg0:eth0")]);
    web(&lab);
    assert_eq!(from_outside(&lab), [true, true, false, false]);
    let change = |value: &str| {
        let option = format!("{TRUSTED}={value}");
        let _ = lab.h1.net(&["update", "-o", &option, "app"]).ok();
    };
    change("wg0");
    assert_eq!(from_outside(&lab), [true, false, false, false]);
    change("eth0");
    assert_eq!(from_outside(&lab), [true, true, false, false]);
    lab.h1.restart();
    assert_eq!(from_outside(&lab), [true, true, false, false]);
    // A rule of the user's about that interface stays the user's.
    let rule = "-I FORWARD -i eth0 -o eth0 -j ACCEPT";
    let _ = lab.h1.sh(&format!("iptables {rule}")).ok();
    lab.h1.restart();
    change("");
    assert_eq!(from_outside(&lab), [true, false, false, false]);
    let kept = lab.h1.first_rule_with("filter", "-i eth0 -o eth0");
    assert_eq!(kept, "-A FORWARD -i eth0 -o eth0 -j ACCEPT");
}

#[test]
fn containers_leave_by_the_address_that_was_named() {
    let lab = lab_with(&["-o", &format!("{HOST_V4}=198.18.0.77")]);
    let second = ["ip", "address", "add", "198.18.0.77/24", "dev", "eth0"];
    let _ = lab.h1.exec(&second).ok();
    lab.h1.idle("c", "app", &[]);
    let _teller = teller(&lab);
    assert_eq!(seen_as(&lab, "c"), "198.18.0.77");
    lab.h1.restart();
    assert_eq!(seen_as(&lab, "c"), "198.18.0.77");
    let option = format!("{HOST_V4}={HOST}");
    let _ = lab.h1.net(&["update", "-o", &option, "app"]).ok();
    assert_eq!(seen_as(&lab, "c"), HOST);
    let _ = lab.h1.net(&["update", "--masquerade=false", "app"]).ok();
    assert_eq!(seen_as(&lab, "c"), WEB);
}

#[test]
fn an_inhibited_bridge_keeps_the_address_that_others_gave_it() {
    let lab = lab_with(&["-o", &format!("{INHIBIT}=true")]);
    let id = lab.h1.inspect("app")["Id"].as_str().unwrap().to_owned();
    let bridge = format!("br-{}", &id[..12]);
    assert_eq!(lab.h1.ipv4_of(&bridge), [""; 0]);
    lab.h1.idle("c", "app", &[]);
    let gateway = ["ping", "-c1", "-W1", "10.50.0.1"];
    assert!(!lab.h1.in_container("c", &gateway).is_ok());
    let by_hand = ["ip", "address", "add", "10.50.0.1/24", "dev", &bridge];
    let _ = lab.h1.exec(&by_hand).ok();
    eventually("an answer of the gateway", || {
        lab.h1.in_container("c", &gateway).is_ok().then_some(())
    });
    lab.h1.kill();
    lab.h1.start();
    assert_eq!(lab.h1.ipv4_of(&bridge), ["10.50.0.1/24"]);
}

#[test]
fn interfaces_are_called_as_the_network_wants() {
    let lab = lab_with(&["-o", &format!("{PREFIX}=lan")]);
    lab.h1.idle("c", "app", &[]);
    let _ = lab.h1.net(&["connect", "bridge", "c"]).ok();
    let names = lab.h1.in_container("c", &["ls", "/sys/class/net"]).ok();
    assert_eq!(
        names.stdout.split_whitespace().collect::<Vec<_>>(),
        ["eth0", "lan0", "lo"]
    );
    lab.h1.kill();
    lab.h1.start();
    let again = lab.h1.in_container("c", &["ls", "/sys/class/net"]).ok();
    assert_eq!(again.stdout, names.stdout);
}

#[test]
fn s19_wrong_options_are_refused_with_what_would_be_right() {
    let lab = lab_with(&[]);
    let options = lab.h1.inspect("app")["Options"].clone();
    for (option, words) in [
        (
            format!("{MODE}=bridged"),
            &["nat, nat-unprotected, routed or isolated"][..],
        ),
        (format!("{TRUSTED}=eth0::eth1"), &["colons between"]),
        (format!("{PREFIX}=far-too-long-for-it"), &["1 to 11"]),
        (format!("{HOST_V4}=::1"), &["an IPv4 address of the host"]),
        (format!("{INHIBIT}=perhaps"), &["true or false"]),
        (
            "com.docker.network.bridge.gateway_mode=routed".to_owned(),
            &[MODE],
        ),
        (
            "com.docker.network.container_interface_prefix=x".to_owned(),
            &[PREFIX],
        ),
    ] {
        let _ = lab
            .h1
            .net(&["create", "-o", &option, "x"])
            .fails(1)
            .names(words);
        let _ = lab
            .h1
            .net(&["update", "-o", &option, "app"])
            .fails(1)
            .names(words);
    }
    for option in [format!("{MODE}=routed"), format!("{INHIBIT}=true")] {
        let line = ["update", "-o", &option, "app"];
        let _ = lab
            .h1
            .net(&line)
            .fails(1)
            .names(&["cannot change", "create another"]);
    }
    assert_eq!(lab.h1.inspect("app")["Options"], options);
}
