//! Real iptables of both flavours, each test in a namespace of its own. The oracle is iptables-save.

use super::super::{ChainPrefix, Flavour, Iptables, Table};
use super::lab::{FLAVOURS, Host, Node, open};
use super::wish::{endpoint, everything, network, port, wish};
use crate::{Family, Firewall, FirewallError};

#[test]
fn iptables_save_prints_what_was_rendered_byte_for_byte() {
    for flavour in FLAVOURS {
        let host = Host::new(flavour);
        host.apply(&everything());
        host.assert_exact(&everything());
        assert!(!host.save(Family::V4).contains("NETD-PROBE"));
        assert_eq!(host.verify(&everything()), Vec::<String>::new());
        let fewer = wish(&[network(1, "docker0", "172.17.0.0/16")], &[], true);
        host.apply(&fewer);
        host.assert_exact(&fewer);
    }
}

#[test]
fn a_second_apply_changes_nothing_and_keeps_the_counters() {
    for flavour in FLAVOURS {
        let host = Host::new(flavour);
        host.apply(&everything());
        // If it ran at all it would find the chain gone, and make it again.
        host.iptables("-t nat -F DOCKER");
        host.apply(&everything());
        assert!(host.chain(Table::Nat, "DOCKER").is_empty());
    }
}

#[test]
fn a_flush_is_reported_and_repaired_and_others_rules_stay() {
    for flavour in FLAVOURS {
        let host = Host::new(flavour);
        host.apply(&everything());
        host.iptables("-I FORWARD -i virbr0 -o virbr0 -j ACCEPT");
        host.iptables("-I DOCKER-USER -s 203.0.113.7/32 -j DROP");
        host.iptables("-t nat -I POSTROUTING -s 10.0.0.0/8 -d 10.0.0.0/8 -j ACCEPT");
        let said = host.verify(&everything());
        let on_top = "the rules of chain FORWARD of table filter do not stand once each and in order at its top";
        assert_eq!(said, [on_top], "{}", host.name);
        host.iptables("-F DOCKER-ISOLATION-STAGE-2");
        host.iptables("-t nat -F PREROUTING");
        host.iptables("-P FORWARD ACCEPT");
        let said = host.verify(&everything()).join("\n");
        for part in [
            "rule \"-m conntrack --ctstate DNAT -j RETURN\" is missing from chain DOCKER-ISOLATION-STAGE-2",
            "rule \"-i docker0 -o br-noicc -j ACCEPT\" is missing from chain DOCKER-ISOLATION-STAGE-2",
            "is missing from chain PREROUTING of table nat",
            "the policy of chain FORWARD",
        ] {
            assert!(said.contains(part), "{said}");
        }
        host.apply(&everything());
        assert_eq!(host.verify(&everything()), Vec::<String>::new());
        let forward = host.chain(Table::Filter, "FORWARD");
        assert_eq!(forward.last().unwrap(), "-i virbr0 -o virbr0 -j ACCEPT");
        let user = host.chain(Table::Filter, "DOCKER-USER");
        assert_eq!(user, ["-s 203.0.113.7/32 -j DROP", "-j RETURN"]);
        let nat = host.chain(Table::Nat, "POSTROUTING");
        assert_eq!(nat[0], "-s 10.0.0.0/8 -d 10.0.0.0/8 -j ACCEPT");
    }
}

#[test]
fn a_wrong_memory_is_noticed_and_the_change_made_nevertheless() {
    for flavour in FLAVOURS {
        let host = Host::new(flavour);
        host.apply(&everything());
        host.iptables("-F");
        host.iptables("-X");
        host.iptables("-t nat -F");
        host.iptables("-t nat -X");
        host.iptables("-t raw -F");
        let fewer = wish(&[network(1, "docker0", "172.17.0.0/16")], &[], true);
        host.apply(&fewer);
        host.assert_exact(&fewer);
    }
}

#[test]
fn after_a_restart_stale_rules_go_and_others_stay() {
    for flavour in FLAVOURS {
        let mut host = Host::new(flavour);
        host.apply(&everything());
        host.iptables("-A FORWARD -i virbr0 -o virbr0 -j ACCEPT");
        host.iptables("-t nat -A POSTROUTING -s 192.168.122.0/24 ! -o virbr0 -j MASQUERADE");
        host.iptables("-t nat -I POSTROUTING -s 10.8.0.0/24 -d 172.17.0.0/16 -o docker0 -j RETURN");
        host.firewall = open(&host.node, flavour.0).unwrap().into();
        let none = wish(&[], &[], true);
        host.apply(&none);
        let forward = host.chain(Table::Filter, "FORWARD");
        assert_eq!(
            forward,
            [
                "-j DOCKER-USER",
                "-j DOCKER-ISOLATION-STAGE-1",
                "-i virbr0 -o virbr0 -j ACCEPT"
            ]
        );
        let nat = host.chain(Table::Nat, "POSTROUTING");
        let others = [
            "-s 10.8.0.0/24 -d 172.17.0.0/16 -o docker0 -j RETURN",
            "-s 192.168.122.0/24 ! -o virbr0 -j MASQUERADE",
        ];
        assert_eq!(nat, others);
        assert!(host.chain(Table::Raw, "PREROUTING").is_empty());
    }
}

#[test]
fn ten_thousand_ports_come_and_go_in_one_apply() {
    for flavour in FLAVOURS {
        let host = Host::new(flavour);
        let net = network(1, "docker0", "172.17.0.0/16");
        let (id, mut many) = endpoint(1, 1, "172.17.0.2", &[]);
        many.ports = vec![port("0.0.0.0:10001-20000->20001-30000/tcp")];
        let all = wish(std::slice::from_ref(&net), &[(id, many)], true);
        host.apply(&all);
        host.assert_exact(&all);
        let none = wish(&[net], &[], true);
        host.apply(&none);
        host.assert_exact(&none);
    }
}

#[test]
fn a_refusal_names_the_line_and_what_stood_before_stands_again() {
    for flavour in FLAVOURS {
        let mut host = Host::new(flavour);
        host.apply(&everything());
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("restore");
        // Does all but the nat table if it is to learn of br-bad, as when the kernel lacks something.
        let text = format!(
            "#!/bin/sh\ncat > $0.in\ngrep -q br-bad $0.in || exec iptables-{0}-restore \"$@\" < $0.in\n\
             sed '/^.nat/,$d' $0.in | iptables-{0}-restore \"$@\"\necho 'line 2 failed' >&2; exit 1\n",
            host.name
        );
        std::fs::write(&script, text).unwrap();
        host.node.sh(&format!("chmod +x {}", script.display()));
        let firewall = std::sync::Arc::get_mut(&mut host.firewall).unwrap();
        firewall.workers.get_mut().unwrap().v4.programs.restore = script;
        let mut bad = everything();
        let (id, rules) = network(9, "br-bad", "10.99.0.0/16");
        bad.networks.insert(id, rules);
        let error = host.try_apply(&bad).unwrap_err().to_string();
        assert!(error.contains("line 2 failed (that line is: "), "{error}");
        host.assert_exact(&everything());
        assert_eq!(host.verify(&everything()), Vec::<String>::new());
    }
}

#[test]
fn what_iptables_cannot_show_is_not_written_over() {
    let host = Host::new(FLAVOURS[0]);
    host.apply(&everything());
    host.node
        .sh("nft add rule ip filter FORWARD meta mark set numgen random mod 7");
    let (firewall, wanted) = (host.firewall.clone(), everything());
    let error = host.node.run(move || firewall.verify(&wanted)).unwrap_err();
    assert!(error.to_string().contains("incompatible"), "{error}");
}

#[test]
fn rules_in_the_other_flavour_are_refused_and_empty_tables_are_not() {
    for ((flavour, _), (_, other)) in [(FLAVOURS[0], FLAVOURS[1]), (FLAVOURS[1], FLAVOURS[0])] {
        let node = Node::new();
        node.sh(&format!(
            "iptables-{other} -t nat -L -n; iptables-{other} -N EMPTY"
        ));
        assert!(open(&node, flavour).is_ok());
        node.sh(&format!("iptables-{other} -A EMPTY -j ACCEPT"));
        let error = open(&node, flavour).unwrap_err();
        assert!(matches!(error, FirewallError::Mixed { .. }), "{error}");
    }
}

#[test]
fn docker_s_chains_are_told_from_ours() {
    let docker = include_str!("docker-20.10/08-internal.iptables");
    for (flavour, name) in FLAVOURS {
        let node = Node::new();
        let is_foreign = |node: &Node| {
            node.run(move || Iptables::foreign_owner(Some(flavour)))
                .unwrap()
        };
        assert!(!is_foreign(&node), "nothing is there");
        node.feed(&format!("iptables-{name}-restore"), docker);
        assert!(is_foreign(&node), "a Docker's");
        let host = Host::new((flavour, name));
        host.apply(&wish(&[], &[], false));
        assert!(!is_foreign(&host.node), "ours without a network");
        host.iptables("-F DOCKER-ISOLATION-STAGE-2");
        host.apply(&everything());
        assert!(!is_foreign(&host.node), "ours");
        host.iptables("-F");
        host.iptables("-t nat -F");
        assert!(!is_foreign(&host.node), "flushed");
    }
}

#[test]
fn it_says_what_it_is() {
    let node = Node::new();
    for (flavour, words) in [
        (Some(Flavour::Nft), "iptables (nf_tables, 1."),
        (Some(Flavour::Legacy), "iptables (legacy, 1."),
        (None, "iptables ("),
    ] {
        let firewall = node.run(move || Iptables::open(ChainPrefix::Docker, flavour));
        let said = firewall.unwrap().describe();
        assert!(said.starts_with(words), "{said}");
    }
}
