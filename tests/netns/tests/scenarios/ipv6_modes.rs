//! IPv6 under the gateway modes, and what forges, floods or lies in IPv6.

use netns_tests::Lab;
use netns_tests::oracle::curl;

use crate::ipv6::{HOST, OUTSIDE, fetch, lab};

const MODE: &str = "com.docker.network.bridge.gateway_mode_ipv6";
/// The address that the container has.
const WEB: &str = "fd00:50::2";

/// A host with the network `app`, fd00:50::/64, made with these flags. The machine outside routes it to the host.
fn lab_with(flags: &[&str]) -> Lab {
    let lab = lab();
    let create = ["create", "--subnet", "fd00:50::/64"];
    let _ = lab.h1.net(&[&create[..], flags, &["app"]].concat()).ok();
    let route = ["ip", "-6", "route", "add", "fd00:50::/64", "via", HOST];
    let _ = lab.outside.exec(&route).ok();
    lab
}

/// A container `web` that publishes port 80 as 8080 and also listens on 81.
fn web(lab: &Lab) {
    let flags = ["--network", "app", "--ip6", WEB, "-p", "8080:80"];
    lab.h1.web("web", 80, &flags);
    let more = ["run", "-d", "--network", "container:web", "--"];
    let serve = "busybox httpd -f -p 81 -h /run/lab/www-web";
    let serve: Vec<_> = serve.split(' ').collect();
    let _ = lab.h1.net(&[&more[..], &serve].concat()).ok();
    lab.h1.listening("web", "-t", "81");
}

fn page(address: &str, port: u16) -> String {
    format!("http://[{address}]:{port}/")
}

/// What the machine outside reaches: the host's port, the container's published port, its other port, an answer to ping.
fn from_outside(lab: &Lab) -> [bool; 4] {
    let get = |address, port| lab.outside.get(&page(address, port)).is_ok();
    let ping = ["ping", "-6", "-c1", "-W1", WEB];
    [
        get(HOST, 8080),
        get(WEB, 80),
        get(WEB, 81),
        lab.outside.exec(&ping).is_ok(),
    ]
}

/// Who the container is to the world, as the machine outside sees it.
fn seen_as(lab: &Lab, container: &str) -> String {
    let tell = "SYSTEM:echo $SOCAT_PEERADDR";
    let listen = ["socat", "TCP6-LISTEN:90,fork,reuseaddr", tell];
    let _server = lab.outside.spawn(&listen, &[], "/run/lab/teller.log");
    lab.outside.machine_listens("-t", 90);
    let to = format!("TCP6:[{OUTSIDE}]:90,connect-timeout=2");
    let ran = lab.h1.in_container(container, &["socat", "-u", &to, "-"]);
    ran.text().to_owned()
}

#[test]
fn each_gateway_mode_lets_in_what_it_says_in_ipv6() {
    let own = "[fd00:0050:0000:0000:0000:0000:0000:0002]";
    let host = "[2001:0db8:0005:0000:0000:0000:0000:0001]";
    for (mode, reached, named) in [
        ("nat", [true, false, false, false], host),
        ("nat-unprotected", [true, true, true, true], host),
        ("routed", [false, true, false, true], own),
    ] {
        let lab = lab_with(&["-o", &format!("{MODE}={mode}")]);
        web(&lab);
        assert_eq!(from_outside(&lab), reached, "{mode}");
        assert_eq!(seen_as(&lab, "web"), named, "{mode}");
        // The host itself is always let in, and neighbours are.
        assert!(lab.h1.get(&page(WEB, 81)).is_ok(), "{mode}");
        lab.h1.idle("peer", "app", &[]);
        assert!(fetch(&lab, "peer", &page(WEB, 81)).is_ok(), "{mode}");
        // Other networks reach what a routed one publishes, and nothing else.
        lab.h1.idle("v4", "bridge", &[]);
        let _ = lab.h1.net(&["create", "--ipv6", "other"]).ok();
        lab.h1.idle("stranger", "other", &[]);
        let get = |port| fetch(&lab, "stranger", &page(WEB, port)).is_ok();
        assert_eq!([get(80), get(81)], [mode == "routed", false], "{mode}");
        lab.h1.kill();
        lab.h1.start();
        assert_eq!(from_outside(&lab), reached, "{mode} after a crash");
        assert_eq!(lab.h1.status()["problems"], serde_json::json!([]));
    }
}

#[test]
fn the_modes_of_the_two_families_do_not_mix() {
    let v4 = "com.docker.network.bridge.gateway_mode_ipv4";
    let lab = lab_with(&["-o", &format!("{MODE}=routed"), "-o", &format!("{v4}=nat")]);
    web(&lab);
    assert_eq!(from_outside(&lab), [false, true, false, true]);
    let address = lab.h1.address_of("web", "app");
    let add = ["ip", "route", "add", &format!("{address}/32"), "via"];
    let via = netns_tests::lab::HOST;
    let _ = lab.outside.exec(&[&add[..], &[via]].concat()).ok();
    let url = format!("http://{via}:8080/");
    assert_eq!(lab.outside.get(&url).ok().text(), "web");
    assert!(!lab.outside.get(&format!("http://{address}/")).is_ok());
    let ports = lab.h1.net(&["port", "web"]).ok();
    let both = format!("80/tcp -> 0.0.0.0:8080\n80/tcp -> [{WEB}]:80");
    assert_eq!(ports.text(), both);
    // The host's own port in IPv6 is nobody's.
    assert!(!lab.h1.get("http://[::1]:8080/").is_ok());
}

#[test]
fn an_isolated_network_does_not_meet_the_host_in_ipv6() {
    let lab = lab_with(&["--internal", "-o", &format!("{MODE}=isolated")]);
    lab.h1.web("b", 80, &["--network", "app", "--ip6", WEB]);
    lab.h1.idle("a", "app", &[]);
    assert_eq!(fetch(&lab, "a", &page(WEB, 80)).ok().text(), "b");
    let ping = |to: &str| {
        let argv = ["ping", "-6", "-c1", "-W1", to];
        lab.h1.in_container("a", &argv).is_ok()
    };
    assert!(!ping("fd00:50::1"), "the bridge has an address");
    assert!(!ping("fe80::1%eth0"), "the bridge has a link-local address");
    assert!(!lab.h1.get(&page(WEB, 80)).is_ok());
}

/// As a container would do it that can: its own address on the neighbour's link, its own route.
#[test]
fn a_container_reaches_no_other_network_by_a_route_or_a_forged_source_in_ipv6() {
    let lab = lab();
    for (name, subnet) in [("red", "fd00:a::/64"), ("blue", "fd00:b::/64")] {
        let _ = lab.h1.net(&["create", "--subnet", subnet, name]).ok();
    }
    let _ = lab
        .h1
        .net(&["create", "--internal", "--subnet", "fd00:c::/64", "closed"])
        .ok();
    lab.h1
        .web("web", 80, &["--network", "blue", "--ip6", "fd00:b::80"]);
    lab.h1
        .web("db", 80, &["--network", "closed", "--ip6", "fd00:c::80"]);
    lab.h1.idle("bad", "red", &["--ip6", "fd00:a::bad"]);
    let bad = |line: &str| lab.h1.in_container("bad", &["sh", "-c", line]);
    let gateway = "fd00:a::1";
    for (target, forged) in [("fd00:b::80", "fd00:b::bad"), ("fd00:c::80", "fd00:c::bad")] {
        let _ = bad(&format!(
            "ip -6 route add {target}/128 via {gateway}; ip -6 address add {forged}/128 dev eth0 nodad"
        ))
        .ok();
        let url = page(target, 80);
        assert!(!fetch(&lab, "bad", &url).is_ok(), "{target}");
        let sources = [forged, OUTSIDE, "fd00:a::bad", "::1"];
        for source in sources {
            let mut line = curl(&url);
            line.extend(["--interface", source]);
            assert!(!lab.h1.in_container("bad", &line).is_ok(), "{source}");
        }
        // Forged packets arrive nowhere, answered or not.
        let heard = "/run/lab/heard";
        let listen = format!("UDP6-RECV:9,bind=[{target}]");
        let name = if target == "fd00:b::80" { "web" } else { "db" };
        let serve = ["run", "-d", "--network", &format!("container:{name}"), "--"];
        let hear = [
            "socat",
            "-u",
            &listen,
            &format!("OPEN:{heard},creat,append"),
        ];
        let _ = lab.h1.net(&[&serve[..], &hear].concat()).ok();
        lab.h1.listening(name, "-u", "9");
        let _ = bad(&format!(
            "echo x | socat -u - UDP6:[{target}]:9,bind=[{forged}]"
        ));
        let _ = lab
            .h1
            .sh(&format!("echo own | socat -u - UDP6:[{target}]:9"))
            .ok();
        netns_tests::eventually("the host's own datagram", || {
            lab.h1.read(heard).contains("own").then_some(())
        });
        assert_eq!(lab.h1.read(heard).trim(), "own", "{target}");
        let _ = lab.h1.sh(&format!("rm {heard}")).ok();
    }
}

#[test]
fn each_of_many_ports_answers_on_the_hosts_own_loopback_address_whatever_the_others_do() {
    let lab = lab();
    let _ = lab.h1.net(&["create", "--ipv6", "app"]).ok();
    let flags = ["--network", "app", "-p", "8000-9100:8000-9100"];
    lab.h1.web("web", 8900, &flags);
    let more = ["run", "-d", "--network", "container:web", "--"];
    for port in ["8000", "9000"] {
        let serve = ["socat", &format!("TCP6-LISTEN:{port},fork"), "EXEC:cat"];
        let _ = lab.h1.net(&[&more[..], &serve].concat()).ok();
        lab.h1.listening("web", "-t", port);
    }
    let page = |port: u16| lab.h1.get(&format!("http://[::1]:{port}/"));
    assert_eq!(page(8900).ok().text(), "web");
    // A program that keeps hundreds of connections to one port open does not close the others.
    let line = "for n in $(seq 400); do exec {fd}<>/dev/tcp/::1/8000; done; echo all; sleep 1000";
    let hog = ["bash", "-c", line];
    let _hog = lab.h1.spawn(&hog, &[], "/run/lab/hog.log");
    netns_tests::eventually("many connections", || {
        let count = "ss -Htn state established '( dport = :8000 )' src '[::1]' | wc -l";
        let count = lab.h1.sh(count).ok();
        (count.text().parse::<u32>().ok()? >= 128).then_some(())
    });
    assert_eq!(page(8900).ok().text(), "web");
    // What is withdrawn ends at once, as it does on the other addresses.
    let line = "exec 3<>/dev/tcp/::1/9000; echo hello >&3; read -r l <&3; echo $l; read -r l <&3; echo end";
    let _client = lab
        .h1
        .spawn(&["bash", "-c", line], &[], "/run/lab/client.log");
    netns_tests::eventually("the echo", || {
        (lab.h1.read("/run/lab/client.log").trim() == "hello").then_some(())
    });
    let _ = lab
        .h1
        .net(&["unpublish", "web", "-p", "8000-9100:8000-9100"])
        .ok();
    netns_tests::eventually("the end of the connection", || {
        lab.h1
            .read("/run/lab/client.log")
            .contains("end")
            .then_some(())
    });
}

/// Says on eth0 to all neighbours: I am your router, for all the world and for fd00:666::/64 (RFC 4861 section 4.2).
const ADVERTISE: &str = r#"use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);
socket(S, AF_INET6, SOCK_RAW, 58) or die;
open(F, "/proc/net/if_inet6"); my ($link) = map { /^fe80\S+ (\S+) .* eth0$/ ? hex $1 : () } <F>;
setsockopt(S, 41, 18, pack("i", 255)) or die;
setsockopt(S, 41, 17, pack("i", $link)) or die;
my $prefix = inet_pton(AF_INET6, "fd00:666::");
my $text = pack("CCnCCnNN", 134, 0, 0, 64, 0, 1800, 0, 0) . pack("CCCCNNN", 3, 4, 64, 0xc0, 9000, 9000, 0) . $prefix;
send(S, $text, 0, pack_sockaddr_in6(0, inet_pton(AF_INET6, "ff02::1"), $link)) or die;
"#;

#[test]
fn a_container_that_advertises_itself_as_a_router_leads_nobody_astray() {
    let lab = lab();
    let advertise = ["perl", "-e", ADVERTISE];
    let taken_in = "ip -6 -o address; ip -6 route show default";
    // Who does not defend himself is taken in.
    let liar = lab.machine("liar", "198.18.0.9/24");
    netns_tests::eventually("a machine that is taken in", || {
        let _ = liar.exec(&advertise);
        let seen = lab.outside.sh(taken_in).ok();
        (seen.stdout.contains("fd00:666:") && seen.stdout.contains("default")).then_some(())
    });
    for (name, flags) in [
        ("six", &["--ipv4=false", "--subnet", "fd00:6::/64"][..]),
        ("closed", &["--internal", "--subnet", "fd00:7::/64"]),
        (
            "apart",
            &["--ipv6", "-o", "com.docker.network.bridge.enable_icc=false"],
        ),
    ] {
        let _ = lab.h1.net(&[&["create"], flags, &[name]].concat()).ok();
        let [bad, good] = ["bad", "good"].map(|who| format!("{who}-{name}"));
        lab.h1.idle(&bad, name, &[]);
        lab.h1.idle(&good, name, &[]);
        let id = lab.h1.inspect(name)["Id"].as_str().unwrap().to_owned();
        let counters = format!("/proc/net/dev_snmp6/br-{}", &id[..12]);
        netns_tests::eventually("an advertisement on the bridge", || {
            let _ = lab.h1.in_container(&bad, &advertise);
            let counters = lab.h1.exec(&["cat", &counters]).ok();
            let heard = |line: &str| {
                let mut words = line.split_whitespace();
                words.next() == Some("Icmp6InRouterAdvertisements") && words.next() != Some("0")
            };
            counters.stdout.lines().any(heard).then_some(())
        });
        // On eth0 the host heeds its routers, and the liar, who is on that wire, as before.
        let host = lab.h1.sh("ip -6 -o address; ip -6 route show").ok();
        let led = |line: &str| {
            line.contains("br-") && (line.contains("default") || line.contains("fd00:666:"))
        };
        assert!(!host.stdout.lines().any(led), "{name}: {host}");
        let other = lab.h1.in_container(&good, &["sh", "-c", taken_in]).ok();
        assert!(!other.stdout.contains("fd00:666:"), "{name}: {other}");
        assert!(!other.stdout.contains("via fe80:"), "{name}: {other}");
    }
}
