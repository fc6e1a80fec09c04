//! Who else does something, and the ends of sandboxes.

use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use netd_model::Ruleset;

use super::*;
use crate::iptables::tests::wish::everything;
use crate::iptables::{ChainPrefix, Flavour, Iptables};
use crate::nftables::Nftables;
use crate::{Firewall, KernelEvent, RulesCommit};

fn watched(linux: &Linux) -> Receiver<KernelEvent> {
    let (sender, receiver) = channel();
    linux
        .watch(Box::new(move |event| {
            let _ = sender.send(event);
        }))
        .unwrap();
    receiver
}

/// How long to wait for an event. Nothing but the kernel's notice brings one, so this only ends a test that fails. Who makes a
/// mount namespace meanwhile, as tests beside do, copies the mounts of namespaces and holds these until his end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `wanted`.
fn expect(events: &Receiver<KernelEvent>, wanted: &KernelEvent) {
    let start = Instant::now();
    loop {
        let event = events.recv_timeout(PATIENCE.saturating_sub(start.elapsed()));
        if event.unwrap_or_else(|_| panic!("no {wanted:?}")) == *wanted {
            return;
        }
    }
}

/// Waits until a change of the rules is told.
fn expect_rules(events: &Receiver<KernelEvent>) {
    loop {
        let event = events.recv_timeout(PATIENCE);
        if let KernelEvent::RulesChanged(commits) = event.expect("no change of rules is told") {
            assert!(!commits.is_empty());
            return;
        }
    }
}

/// Nothing is said but that another holder was found.
fn quiet(events: &Receiver<KernelEvent>) {
    while let Ok(event) = events.recv_timeout(Duration::from_millis(300)) {
        let anchored = matches!(event, KernelEvent::SandboxAnchored(..));
        assert!(anchored, "{event:?}");
    }
}

#[test]
fn the_end_of_a_process_s_sandbox_is_noticed() {
    in_new_namespace(|linux| {
        let before = Guest::start();
        let early = pinned(&linux, &before).netns;
        before.end();
        let events = watched(&linux);
        expect(&events, &KernelEvent::SandboxEnded(early));

        let guest = Guest::start();
        let sandbox = pinned(&linux, &guest);
        let other = Guest::start();
        pinned(&linux, &other);
        guest.end();
        expect(&events, &KernelEvent::SandboxEnded(sandbox.netns));
        linux.release(sandbox.netns);
        quiet(&events);
    });
}

#[test]
fn many_sandboxes_that_end_together_are_all_noticed() {
    in_new_namespace(|linux| {
        let events = watched(&linux);
        let guests: Vec<Guest> = (0..50).map(|_| Guest::start()).collect();
        let mut left: std::collections::BTreeSet<NetnsId> = guests
            .iter()
            .map(|guest| pinned(&linux, guest).netns)
            .collect();
        drop(guests);
        let start = Instant::now();
        while !left.is_empty() {
            match events.recv_timeout(PATIENCE).unwrap() {
                KernelEvent::SandboxEnded(netns) => assert!(left.remove(&netns)),
                other => panic!("{other:?}"),
            }
        }
        eprintln!("50 ends noticed within {:?}", start.elapsed());
    });
}

#[test]
fn another_process_inside_keeps_a_sandbox_without_a_word() {
    in_new_namespace(|linux| {
        let events = watched(&linux);
        let guest = Guest::start();
        let netns = pinned(&linux, &guest).netns;
        let mut second = Command::new("nsenter")
            .args(["-t", &guest.pid().to_string(), "-n", "sleep", "1000"])
            .spawn()
            .unwrap();
        let inside = format!("/proc/{}/ns/net", second.id());
        wait_for("the second", || {
            std::fs::read_link(&inside).is_ok_and(|link| link.to_str() == Some(&netns.to_string()))
        });
        guest.end();
        quiet(&events);
        second.kill().unwrap();
        second.wait().unwrap();
        expect(&events, &KernelEvent::SandboxEnded(netns));
    });
}

#[test]
fn a_descriptor_elsewhere_keeps_a_sandbox() {
    in_new_namespace(|linux| {
        let events = watched(&linux);
        let guest = Guest::start();
        let netns = pinned(&linux, &guest).netns;
        let mut holder = Command::new("sh")
            .args([
                "-c",
                &format!("exec 7</proc/{}/ns/net; exec sleep 1000", guest.pid()),
            ])
            .spawn()
            .unwrap();
        let held = format!("/proc/{}/fd/7", holder.id());
        wait_for("the holder", || std::fs::read_link(&held).is_ok());
        guest.end();
        quiet(&events);
        holder.kill().unwrap();
        holder.wait().unwrap();
        expect(&events, &KernelEvent::SandboxEnded(netns));
    });
}

#[test]
fn the_end_of_a_mounted_sandbox_is_its_last_unmount() {
    in_new_namespace(|linux| {
        let events = watched(&linux);
        let mounts = tempfile::tempdir().unwrap();
        let path = |name: &str| mounts.path().join(name).display().to_string();
        let guest = Guest::start();
        for at in ["a", "b"] {
            File::create(path(at)).unwrap();
            run(&format!(
                "mount --bind /proc/{}/ns/net {}",
                guest.pid(),
                path(at)
            ));
        }
        let bare = Bare(File::open(path("a")).unwrap());
        let netns = linux.adopt(bare.handle()).unwrap().netns;
        drop(bare);
        guest.end();
        run(&format!("umount {}", path("a")));
        quiet(&events);
        run(&format!("umount {}", path("b")));
        expect(&events, &KernelEvent::SandboxEnded(netns));
    });
}

#[test]
fn a_mount_in_another_mount_namespace_keeps_a_sandbox() {
    in_new_namespace(|linux| {
        let events = watched(&linux);
        let mounts = tempfile::tempdir().unwrap();
        let path = mounts.path().join("net").display().to_string();
        File::create(&path).unwrap();
        let guest = Guest::start();
        let netns = pinned(&linux, &guest).netns;
        let script = format!(
            "mount --bind /proc/{}/ns/net {path}; exec sleep 1000",
            guest.pid()
        );
        let mut holder = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .spawn()
            .unwrap();
        let mountinfo = format!("/proc/{}/mountinfo", holder.id());
        wait_for("the mount", || {
            std::fs::read_to_string(&mountinfo).is_ok_and(|text| text.contains(&netns.to_string()))
        });
        guest.end();
        quiet(&events);
        run(&format!("nsenter -t {} -m umount {path}", holder.id()));
        expect(&events, &KernelEvent::SandboxEnded(netns));
        holder.kill().unwrap();
        holder.wait().unwrap();
    });
}

#[test]
fn changes_by_others_are_told() {
    in_new_namespace(|linux| {
        linux.apply(&[new_bridge("br0")]).unwrap();
        let events = watched(&linux);
        quiet(&events);
        run("ip link set br0 mtu 1400");
        expect(&events, &KernelEvent::LinkChanged(name("br0")));
        run("ip addr add 172.17.0.1/16 dev br0");
        expect(&events, &KernelEvent::HostChanged);
        run("nft add table inet stranger");
        expect_rules(&events);
        run("iptables-nft -t nat -A OUTPUT -j ACCEPT");
        expect_rules(&events);
        run("ip link del br0");
        expect(&events, &KernelEvent::LinkChanged(name("br0")));
    });
}

/// All transactions that are told until there is a pause.
fn commits(events: &Receiver<KernelEvent>) -> Vec<RulesCommit> {
    let mut commits = Vec::new();
    while let Ok(event) = events.recv_timeout(Duration::from_millis(300)) {
        if let KernelEvent::RulesChanged(more) = event {
            commits.extend(more);
        }
    }
    commits
}

#[test]
fn a_firewall_knows_its_own_changes_from_those_of_others() {
    in_new_namespace(|linux| {
        let events = watched(&linux);
        let by_programs = Iptables::open(ChainPrefix::Netd, Some(Flavour::Nft)).unwrap();
        let firewalls: [Box<dyn Firewall>; 2] =
            [Box::new(Nftables::open().unwrap()), Box::new(by_programs)];
        for firewall in firewalls {
            let made = |commits: &[RulesCommit]| {
                let own = commits.iter().filter(|commit| firewall.made(**commit));
                (own.count(), commits.len())
            };
            commits(&events);
            firewall.apply(&everything()).unwrap();
            firewall.apply(&Ruleset::default()).unwrap();
            let (own, all) = made(&commits(&events));
            assert!(
                own >= 2 && own == all,
                "{firewall:?}: {own} of {all}",
                firewall = firewall.describe()
            );
            run(
                "nft add table inet stranger; iptables-nft -t nat -A OUTPUT -j ACCEPT; iptables-nft -t nat -F OUTPUT",
            );
            let (own, all) = made(&commits(&events));
            assert!(
                own == 0 && all >= 3,
                "{}: {own} of {all}",
                firewall.describe()
            );
            // One of a stranger's between two of its own, all told at once.
            firewall.apply(&everything()).unwrap();
            run("nft delete table inet stranger");
            firewall.apply(&Ruleset::default()).unwrap();
            let (own, all) = made(&commits(&events));
            assert!(
                own >= 2 && own + 1 == all,
                "{}: {own} of {all}",
                firewall.describe()
            );
        }
    });
}

#[test]
fn the_watch_ends_with_its_kernel_and_drops_the_teller() {
    in_new_namespace(|linux| {
        let events = watched(&linux);
        drop(linux);
        wait_for("the end of the watch", || {
            matches!(
                events.try_recv(),
                Err(std::sync::mpsc::TryRecvError::Disconnected)
            )
        });
    });
}
