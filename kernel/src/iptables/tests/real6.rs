//! Real ip6tables beside iptables, of both flavours. The oracle is ip6tables-save.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use netd_model::Ruleset;
use nix::sched::{CloneFlags, unshare};

use super::super::{ChainPrefix, Iptables, Table};
use super::lab::{FLAVOURS, Host, Node, open, program};
use super::wish::{dual, endpoint, everything, network, port, wish};
use crate::{Family, FirewallError};

fn both() -> Ruleset {
    dual(everything())
}

fn save6(node: &Node, name: &str) -> String {
    node.sh(&format!("ip6tables-{name}-save"))
}

#[test]
fn ip6tables_save_prints_what_was_rendered_byte_for_byte() {
    for flavour in FLAVOURS {
        let host = Host::new(flavour);
        host.apply(&both());
        host.assert_exact_in_both(&both());
        assert!(!save6(&host.node, host.name).contains("NETD-PROBE"));
        assert_eq!(host.verify(&both()), Vec::<String>::new());
        let fewer = dual(wish(&[network(1, "docker0", "172.17.0.0/16")], &[], true));
        host.apply(&fewer);
        host.assert_exact_in_both(&fewer);
        host.apply(&everything());
        host.assert_exact_in_both(&Ruleset {
            host: fewer.host,
            ..everything()
        });
    }
}

/// Puts scripts in place of the programs, which write down that they ran.
fn count_runs(host: &mut Host, folder: &Path) -> PathBuf {
    let runs = folder.join("runs");
    for (family, what) in Family::BOTH
        .into_iter()
        .flat_map(|f| [(f, "save"), (f, "restore")])
    {
        let real = format!("{}-{}-{what}", program(family), host.name);
        let script = folder.join(&real);
        let text = format!(
            "#!/bin/sh\necho {} >> {}\nexec {real} \"$@\"\n",
            program(family),
            runs.display()
        );
        std::fs::write(&script, text).unwrap();
        host.node.sh(&format!("chmod +x {}", script.display()));
        let workers = Arc::get_mut(&mut host.firewall)
            .unwrap()
            .workers
            .get_mut()
            .unwrap();
        let worker = match family {
            Family::V4 => &mut workers.v4,
            Family::V6 => workers.v6.as_mut().unwrap(),
        };
        match what {
            "save" => worker.programs.save = script,
            _ => worker.programs.restore = script,
        }
    }
    runs
}

#[test]
fn without_ipv6_networks_no_ip6tables_runs() {
    for flavour in FLAVOURS {
        let mut host = Host::new(flavour);
        let folder = tempfile::tempdir().unwrap();
        let runs = count_runs(&mut host, folder.path());
        host.apply(&everything());
        host.apply(&wish(&[], &[], true));
        assert_eq!(host.verify(&wish(&[], &[], true)), Vec::<String>::new());
        let said = std::fs::read_to_string(&runs).unwrap();
        assert!(
            said.contains("iptables") && !said.contains("ip6tables"),
            "{said}"
        );
        let nothing = save6(&host.node, host.name);
        assert!(!nothing.contains("DOCKER"), "{nothing}");
        host.apply(&both());
        let said = std::fs::read_to_string(&runs).unwrap();
        assert!(said.contains("ip6tables"), "{said}");
        // With IPv6 standing, a change in IPv4 alone runs nothing for IPv6 either.
        std::fs::remove_file(&runs).unwrap();
        let mut more = both();
        let (id, rules) = network(9, "br-four", "10.99.0.0/16");
        more.networks.insert(id, rules);
        host.apply(&more);
        let said = std::fs::read_to_string(&runs).unwrap();
        assert!(!said.contains("ip6tables"), "{said}");
    }
}

#[test]
fn a_flush_in_ipv6_is_reported_and_repaired_and_others_rules_stay() {
    for flavour in FLAVOURS {
        let host = Host::new(flavour);
        host.apply(&both());
        for command in [
            "-A FORWARD -i virbr0 -o virbr0 -j ACCEPT",
            "-I DOCKER-USER -s 2001:db8::7 -j DROP",
            "-t nat -I POSTROUTING -s fd00:99::/64 -d fd00:99::/64 -j ACCEPT",
            "-F DOCKER-ISOLATION-STAGE-2",
            "-t nat -F PREROUTING",
            "-P FORWARD ACCEPT",
        ] {
            host.command(Family::V6, command);
        }
        let said = host.verify(&both()).join("\n");
        for part in [
            "IPv6: rule \"-m conntrack --ctstate DNAT -j RETURN\" is missing from chain DOCKER-ISOLATION-STAGE-2",
            "is missing from chain PREROUTING of table nat",
            "IPv6: the policy of chain FORWARD",
        ] {
            assert!(said.contains(part), "{said}");
        }
        host.apply(&both());
        assert_eq!(host.verify(&both()), Vec::<String>::new());
        let chain = |table, name| host.chain_of(Family::V6, table, name);
        let forward = chain(Table::Filter, "FORWARD");
        assert_eq!(forward.last().unwrap(), "-i virbr0 -o virbr0 -j ACCEPT");
        let user = chain(Table::Filter, "DOCKER-USER");
        assert_eq!(user, ["-s 2001:db8::7/128 -j DROP", "-j RETURN"]);
        let nat = chain(Table::Nat, "POSTROUTING");
        assert_eq!(nat[0], "-s fd00:99::/64 -d fd00:99::/64 -j ACCEPT");
    }
}

#[test]
fn after_a_restart_stale_rules_go_even_if_no_network_has_ipv6_any_more() {
    for flavour in FLAVOURS {
        let mut host = Host::new(flavour);
        host.apply(&both());
        for command in [
            "-A FORWARD -i virbr0 -o virbr0 -j ACCEPT",
            "-t nat -A POSTROUTING -s fd00:99::/64 ! -o virbr0 -j MASQUERADE",
            "-t nat -I POSTROUTING -s fd00:8::/64 -d fd00:17::/64 -o docker0 -j RETURN",
        ] {
            host.command(Family::V6, command);
        }
        host.firewall = open(&host.node, flavour.0).unwrap().into();
        let none = wish(&[network(1, "docker0", "172.17.0.0/16")], &[], true);
        assert!(!host.verify(&none).is_empty());
        host.apply(&none);
        assert_eq!(host.verify(&none), Vec::<String>::new());
        let chain = |table, name| host.chain_of(Family::V6, table, name);
        let forward = [
            "-j DOCKER-USER",
            "-j DOCKER-ISOLATION-STAGE-1",
            "-i virbr0 -o virbr0 -j ACCEPT",
        ];
        assert_eq!(chain(Table::Filter, "FORWARD"), forward);
        let others = [
            "-s fd00:8::/64 -d fd00:17::/64 -o docker0 -j RETURN",
            "-s fd00:99::/64 ! -o virbr0 -j MASQUERADE",
        ];
        assert_eq!(chain(Table::Nat, "POSTROUTING"), others);
        assert!(chain(Table::Nat, "DOCKER").is_empty());
        host.assert_exact(&none);
    }
}

#[test]
fn ten_thousand_ports_come_and_go_in_both() {
    for flavour in FLAVOURS {
        let host = Host::new(flavour);
        let net = network(1, "docker0", "172.17.0.0/16");
        let (id, mut many) = endpoint(1, 1, "172.17.0.2", &[]);
        many.ports = vec![port("0.0.0.0:10001-20000->10001-20000/tcp")];
        let all = dual(wish(std::slice::from_ref(&net), &[(id, many)], true));
        host.apply(&all);
        host.assert_exact_in_both(&all);
        let none = dual(wish(&[net], &[], true));
        host.apply(&none);
        host.assert_exact_in_both(&none);
    }
}

#[test]
fn a_refusal_in_either_puts_both_back() {
    for (flavour, refusing) in FLAVOURS
        .into_iter()
        .flat_map(|f| Family::BOTH.map(|v| (f, v)))
    {
        let mut host = Host::new(flavour);
        host.apply(&both());
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("restore");
        let real = format!("{}-{}-restore", program(refusing), host.name);
        // Does all but the nat table if it is to learn of br-bad, as when the kernel lacks something.
        let text = format!(
            "#!/bin/sh\ncat > $0.in\ngrep -q br-bad $0.in || exec {real} \"$@\" < $0.in\n\
             sed '/^.nat/,$d' $0.in | {real} \"$@\"\necho 'line 2 failed' >&2; exit 1\n",
        );
        std::fs::write(&script, text).unwrap();
        host.node.sh(&format!("chmod +x {}", script.display()));
        let workers = Arc::get_mut(&mut host.firewall)
            .unwrap()
            .workers
            .get_mut()
            .unwrap();
        match refusing {
            Family::V4 => workers.v4.programs.restore = script,
            Family::V6 => workers.v6.as_mut().unwrap().programs.restore = script,
        }
        let mut bad = everything();
        let (id, rules) = network(9, "br-bad", "10.99.0.0/16");
        bad.networks.insert(id, rules);
        let error = host.try_apply(&dual(bad)).unwrap_err().to_string();
        assert!(error.contains("line 2 failed (that line is: "), "{error}");
        host.assert_exact_in_both(&both());
        assert_eq!(host.verify(&both()), Vec::<String>::new());
    }
}

/// A host without ip6tables, or with one that has no table nat.
fn without(flavour: (super::super::Flavour, &'static str), lacks: Lacks) -> Node {
    let node = Node::new();
    node.run(|| unshare(CloneFlags::CLONE_NEWNS).unwrap());
    node.sh("mount --make-rprivate /; mount -t tmpfs none /mnt; mkdir /mnt/sbin; cp -a /usr/sbin/*tables* /mnt/sbin");
    match lacks {
        Lacks::Programs => node.sh("rm /mnt/sbin/ip6tables*"),
        Lacks::Nat => node.sh(&format!(
            "ln -s xtables-{0}-multi /mnt/sbin/real-ip6tables-{0}-restore; rm /mnt/sbin/ip6tables-{0}-restore
             printf '#!/bin/sh\\necho \"line 1: cannot initialize table nat\" >&2; exit 3\\n' > /mnt/sbin/ip6tables-{0}-restore
             chmod +x /mnt/sbin/ip6tables-{0}-restore",
            flavour.1
        )),
    };
    node.sh("mount --bind /mnt/sbin /usr/sbin");
    node
}

#[derive(Clone, Copy)]
enum Lacks {
    Programs,
    Nat,
}

#[test]
fn without_ip6tables_ipv4_works_and_ipv6_is_refused_with_what_to_do() {
    for flavour in FLAVOURS {
        for lacks in [Lacks::Programs, Lacks::Nat] {
            let node = without(flavour, lacks);
            let firewall = open(&node, flavour.0).unwrap();
            let host = Host {
                node,
                name: flavour.1,
                firewall: firewall.into(),
            };
            host.apply(&everything());
            host.assert_exact(&everything());
            let error = host.try_apply(&both()).unwrap_err();
            let FirewallError::NoIpv6 { source } = &error else {
                panic!("{error}");
            };
            assert!(
                error
                    .to_string()
                    .contains("install it (Debian package iptables)"),
                "{error}"
            );
            match lacks {
                Lacks::Programs => assert!(matches!(**source, FirewallError::Missing { .. })),
                Lacks::Nat => assert!(source.to_string().contains("ip6table_nat"), "{source}"),
            }
            host.assert_exact(&everything());
            assert_eq!(host.verify(&everything()), Vec::<String>::new());
            host.node.sh("umount /usr/sbin");
            host.apply(&both());
            host.assert_exact_in_both(&both());
        }
    }
}

#[test]
fn rules_of_ipv6_in_the_other_flavour_hinder_only_ipv6() {
    for (flavour, (_, other)) in [(FLAVOURS[0], FLAVOURS[1]), (FLAVOURS[1], FLAVOURS[0])] {
        let host = Host::new(flavour);
        host.node
            .sh(&format!("ip6tables-{other} -A INPUT -j ACCEPT"));
        host.apply(&everything());
        let error = host.try_apply(&both()).unwrap_err();
        assert!(matches!(error, FirewallError::Mixed { .. }), "{error}");
        host.node.sh(&format!("ip6tables-{other} -F"));
        host.apply(&both());
        host.assert_exact_in_both(&both());
    }
}

#[test]
fn docker_s_chains_in_ipv6_are_told_from_ours() {
    for (flavour, name) in FLAVOURS {
        let host = Host::new((flavour, name));
        let is_foreign = || {
            let job = move || Iptables::foreign_owner(Some(flavour)).unwrap();
            host.node.run(job)
        };
        host.apply(&both());
        assert!(!is_foreign(), "ours");
        let prefix = ChainPrefix::Docker.names();
        for chain in [prefix.ports, prefix.stage_1, prefix.stage_2] {
            host.command(Family::V6, &format!("-F {chain}"));
        }
        host.command(Family::V6, "-t nat -F");
        assert!(!is_foreign(), "flushed");
        host.command(Family::V6, "-A DOCKER-ISOLATION-STAGE-1 -j RETURN");
        assert!(is_foreign(), "a Docker's");
    }
}
