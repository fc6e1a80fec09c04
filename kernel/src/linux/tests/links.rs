//! Links one by one: under which marks they are made, changed and deleted, and what is refused.

use std::time::Instant;

use netd_model::desired::KernelState;

use super::*;
use crate::KernelError;

#[test]
fn nothing_that_carries_another_mark_is_made_over_or_deleted() {
    in_new_namespace(|linux| {
        let guest = Guest::start();
        let netns = pinned(&linux, &guest).netns;
        run("ip link add br0 type bridge");
        run("ip link add veth1 type veth peer name other");
        let refused = |op: Op| {
            let error = linux.apply(&[op]).unwrap_err();
            assert!(
                matches!(error.source, KernelError::ForeignLink { .. }),
                "{error:?}"
            );
        };
        let before = run("ip link | wc -l");
        refused(new_bridge("br0"));
        refused(Op::CreateVeth(Box::new(new_veth("veth1", "br0", netns))));
        for link in ["br0", "veth1"] {
            refused(Op::DeleteLink {
                name: name(link),
                mark: bridge_mark(1),
            });
        }
        linux.apply(&[new_bridge("br1")]).unwrap();
        refused(Op::DeleteLink {
            name: name("br1"),
            mark: bridge_mark(9),
        });
        linux
            .apply(&[Op::DeleteLink {
                name: name("br1"),
                mark: bridge_mark(1),
            }])
            .unwrap();
        linux
            .apply(&[Op::DeleteLink {
                name: name("br1"),
                mark: bridge_mark(1),
            }])
            .unwrap();
        wait_for("the end of br1", || run("ip link | wc -l") == before);
    });
}

#[test]
fn a_failed_step_leaves_nothing_and_says_which_it_was() {
    in_new_namespace(|linux| {
        let guest = Guest::start();
        let netns = pinned(&linux, &guest).netns;
        linux.apply(&[new_bridge("br0")]).unwrap();
        guest.run("ip link add eth0 type bridge");
        let before = run("ip link");
        let error = linux
            .apply(&[
                Op::SetLink {
                    name: name("br0"),
                    change: up(),
                },
                Op::CreateVeth(Box::new(new_veth("veth1", "br0", netns))),
                Op::SetLink {
                    name: name("br0"),
                    change: up(),
                },
            ])
            .unwrap_err();
        assert_eq!(error.index, 1);
        assert!(!run("ip link").contains("veth1"), "{before}");
        let gone = NetnsId {
            dev: netns.dev,
            inode: 1,
        };
        let error = linux
            .apply(&[Op::CreateVeth(Box::new(new_veth("veth1", "br0", gone)))])
            .unwrap_err();
        assert!(matches!(error.source, KernelError::SandboxGone { .. }));
    });
}

#[test]
fn many_links_are_deleted_in_the_time_of_one() {
    in_new_namespace(|linux| {
        let guest = Guest::start();
        let netns = pinned(&linux, &guest).netns;
        linux.apply(&[new_bridge("br0")]).unwrap();
        let pair = |number: usize| NewVeth {
            inside: name(&format!("eth{number}")),
            ..new_veth(&format!("veth{number}"), "br0", netns)
        };
        let made: Vec<Op> = (0..50)
            .map(|number| Op::CreateVeth(Box::new(pair(number))))
            .collect();
        linux.apply(&made).unwrap();
        run("ip link add bystander type bridge");
        let gone: Vec<Op> = (0..50)
            .map(|number| Op::DeleteLink {
                name: pair(number).outside,
                mark: endpoint_mark(2),
            })
            .collect();
        let start = Instant::now();
        linux.apply(&gone).unwrap();
        eprintln!("50 links taken out of use in {:?}", start.elapsed());
        // At once nobody has their names, and soon they are gone.
        let names = guest.run("ip -br link");
        assert!(!names.contains("eth"), "{names}");
        let seen = linux.observe(&KernelState::default()).unwrap();
        assert!(seen.host.veths.is_empty(), "{seen:?}");
        wait_for("the end of 50 links", || {
            !run("ip -br link").contains("veth")
        });
        eprintln!("50 links deleted in {:?}", start.elapsed());
        let left = run("ip -br link");
        assert!(left.contains("bystander") && left.contains("br0"), "{left}");
    });
}

#[test]
fn the_second_address_of_a_subnet_survives_the_first() {
    in_new_namespace(|linux| {
        linux.apply(&[new_bridge("br0")]).unwrap();
        let address = |text: &str| text.parse().unwrap();
        let add = |text| Op::AddAddress {
            netns: None,
            interface: name("br0"),
            address: address(text),
        };
        let remove = |text| Op::RemoveAddress {
            netns: None,
            interface: name("br0"),
            address: address(text),
        };
        linux
            .apply(&[
                add("10.1.0.1/24"),
                add("10.1.0.2/24"),
                add("10.1.0.2/24"),
                add("fd00::1/64"),
                add("fd00::1/64"),
            ])
            .unwrap();
        linux
            .apply(&[
                remove("10.1.0.1/24"),
                remove("10.1.0.1/24"),
                remove("10.7.0.1/24"),
            ])
            .unwrap();
        let shown = run("ip -br addr show br0");
        assert!(
            shown.contains("10.1.0.2/24") && !shown.contains("10.1.0.1/24"),
            "{shown}"
        );
    });
}

#[test]
fn without_br_netfilter_no_bridge_is_filtered_nor_seen_so() {
    in_new_namespace(|linux| {
        let change = LinkChange {
            filtered: Some(true),
            ..LinkChange::default()
        };
        let name = name("br0");
        let filter = [Op::SetLink {
            name: name.clone(),
            change,
        }];
        let filtered = || {
            let seen = linux.observe(&KernelState::default()).unwrap();
            seen.host.bridges[&name].filtered
        };
        linux.apply(&[new_bridge("br0")]).unwrap();
        linux.apply(&filter).unwrap();
        assert!(filtered());
        // As if the module were not loaded: the attributes of a bridge are there nevertheless.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        run("mount --make-rprivate / && mount -t tmpfs none /proc/sys/net/bridge");
        assert!(!filtered());
        let error = linux.apply(&filter).unwrap_err().source;
        assert!(
            matches!(&error, KernelError::NoBridgeFilter { bridge } if *bridge == name),
            "{error}"
        );
        assert!(error.to_string().contains("modprobe br_netfilter"));
    });
}
