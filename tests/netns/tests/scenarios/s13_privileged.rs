//! S13: a privileged container does to its own network what it can, and gets to the other bridge by nothing of it.

use netns_tests::firewall::FLUSH;
use netns_tests::host::SOCKET;
use netns_tests::lab::HOST;
use netns_tests::oracle::curl;
use netns_tests::{Lab, OrFail, eventually, programs};

/// Where the victim writes down what it receives.
const RECEIVED: &str = "/run/lab/received";

/// An attacker on the default bridge, a victim and its neighbour on another.
fn scene() -> (Lab, String) {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "net-redis"]).ok();
    lab.h1.web("attacker", 80, &["-p", "8080:80"]);
    lab.h1.web("bystander", 80, &["-p", "8081:80"]);
    let flags = ["--name", "victim", "--network", "net-redis"];
    let write = format!("OPEN:{RECEIVED},creat,append");
    lab.h1
        .run_detached(&flags, &["socat", "-u", "UDP-RECV:9999", &write]);
    lab.h1.listening("victim", "-u", "9999");
    lab.h1.idle("neighbour", "net-redis", &[]);
    let victim = lab.h1.address_of("victim", "net-redis");
    (lab, victim)
}

/// Sends a line to the victim, which need not be able to answer; `options` are socat's.
fn send(lab: &Lab, from: &str, victim: &str, (line, options): (&str, &str)) {
    let script = format!("echo {line} | socat -u - UDP-SENDTO:{victim}:9999{options}");
    // The kernel may refuse to send such a thing at all.
    let _ = lab.h1.in_container(from, &["sh", "-c", &script]);
}

/// Of all that was sent, only the neighbour's arrived.
fn nothing_arrived(lab: &Lab, victim: &str) {
    send(lab, "neighbour", victim, ("honest", ""));
    eventually("the neighbour's line", || {
        let text = lab.h1.read(RECEIVED);
        text.contains("honest").then_some(())
    });
    assert_eq!(lab.h1.read(RECEIVED), "honest\n");
}

fn inside(lab: &Lab, line: &str) {
    let _ = lab.h1.in_container("attacker", &["sh", "-c", line]).ok();
}

#[test]
fn s13_an_address_of_the_other_subnet_taken_by_hand_does_not_get_through() {
    let (lab, victim) = scene();
    let by_both_sources = || {
        for sent in [
            ("own source", ",bind=172.17.0.2"),
            ("taken source", ",bind=172.18.0.99"),
        ] {
            send(&lab, "attacker", &victim, sent);
        }
    };
    inside(&lab, "ip address add 172.18.0.99/16 dev eth0");
    // On the wire of the wrong bridge nobody answers to the victim's address.
    send(&lab, "attacker", &victim, ("wrong wire", ""));
    // By way of the gateway, with both addresses as source.
    inside(&lab, &format!("ip route add {victim}/32 via 172.17.0.1"));
    by_both_sources();
    // Even when forwarding is let through by policy, and the host checks no source.
    let _ = lab.h1.exec(&["iptables", "-P", "FORWARD", "ACCEPT"]).ok();
    let unchecked = "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done";
    let _ = lab.h1.sh(unchecked).ok();
    by_both_sources();
    // As the other bridge's gateway, whom everybody there believes.
    inside(&lab, "ip address add 172.18.0.1/32 dev eth0");
    send(
        &lab,
        "attacker",
        &victim,
        ("gateway source", ",bind=172.18.0.1"),
    );
    nothing_arrived(&lab, &victim);
    // The attack works on a host that does not defend itself.
    let again = format!(
        "while sleep 0.1; do echo sent; echo got through | socat -u - UDP-SENDTO:{victim}:9999,bind=172.18.0.99; done"
    );
    let net = programs::built("net").display().to_string();
    let argv = [&net, "exec", "attacker", "--", "sh", "-c", &again];
    let environment = [("NETD_HOST", SOCKET)];
    let attack = lab.h1.spawn(&argv, &environment, "/run/lab/attack.log");
    // `net exec` asks the daemon for the way in, so the loop has to run before that is killed.
    eventually("the attack", || {
        lab.h1
            .read("/run/lab/attack.log")
            .contains("sent")
            .then_some(())
    });
    lab.h1.kill();
    let _ = lab.h1.sh(FLUSH).ok();
    let _ = lab.h1.exec(&["iptables", "-P", "FORWARD", "ACCEPT"]).ok();
    eventually("a line without a defence", || {
        lab.h1.read(RECEIVED).contains("got through").then_some(())
    });
    lab.h1.signal("KILL", attack.pid);
}

#[test]
fn s13_a_forged_ethernet_address_of_the_gateway_does_not_get_through() {
    let (lab, victim) = scene();
    let gateway = |name: &str| {
        let link = lab.h1.link(name).or_fail("bridge");
        link["address"].as_str().or_fail("address").to_owned()
    };
    let id = lab.h1.inspect("net-redis")["Id"].clone();
    let other = format!("br-{}", &id.as_str().or_fail("id")[..12]);
    // The victim is said to be at the Ethernet address of either gateway, so that no question is asked on the wire.
    inside(&lab, "ip address add 172.18.0.99/16 dev eth0");
    for mac in [gateway("docker0"), gateway(&other)] {
        inside(
            &lab,
            &format!("ip neighbour replace {victim} lladdr {mac} dev eth0"),
        );
        send(&lab, "attacker", &victim, ("to the gateway", ""));
        send(
            &lab,
            "attacker",
            &victim,
            ("taken source", ",bind=172.18.0.99"),
        );
    }
    // And the attacker takes the gateway's Ethernet address for its own.
    let own = gateway("docker0");
    inside(&lab, &format!("ip link set eth0 address {own}"));
    send(&lab, "attacker", &victim, ("as the gateway", ""));
    nothing_arrived(&lab, &victim);
    // Who is on its bridge is found and finds as before.
    let page = lab.outside.get(&format!("http://{HOST}:8081/"));
    assert_eq!(page.ok().text(), "bystander");
    let _outside = lab.outside.web_server(8000, "outside");
    let out = curl("http://198.18.0.2:8000/");
    assert_eq!(
        lab.h1.in_container("bystander", &out).ok().text(),
        "outside"
    );
}
