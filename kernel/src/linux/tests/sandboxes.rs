//! Adopting namespaces, and finding them again.

use netd_model::container::Anchor;

use super::*;
use crate::AdoptError;

#[test]
fn a_process_s_namespace_is_adopted_once_and_found_again() {
    in_new_namespace(|linux| {
        let guest = Guest::start();
        let sandbox = pinned(&linux, &guest);
        assert_eq!(
            sandbox.netns.to_string(),
            guest.run("readlink /proc/self/ns/net").trim()
        );
        let Anchor::Process(process) = &sandbox.anchor else {
            panic!("{sandbox:?}");
        };
        assert_eq!(process.pid, guest.pid());
        assert_eq!(pinned(&linux, &guest), sandbox);

        let later = Linux::open().unwrap();
        later.readopt(&sandbox).unwrap();
        linux.release(sandbox.netns);
        linux.release(sandbox.netns);
        linux.readopt(&sandbox).unwrap();
        linux.release(sandbox.netns);
        guest.end();
        let error = linux.readopt(&sandbox).unwrap_err();
        assert!(matches!(error, AdoptError::Gone { .. }), "{error:?}");
    });
}

#[test]
fn a_descriptor_is_anchored_at_a_mount_then_at_a_process_then_at_its_holder() {
    in_new_namespace(|linux| {
        let mounts = tempfile::tempdir().unwrap();
        let path = mounts.path().join("a name");
        File::create(&path).unwrap();
        let guest = Guest::start();
        let open = File::open(format!("/proc/{}/ns/net", guest.pid())).unwrap();
        let bare = Bare(open);
        let sandbox = linux.adopt(bare.handle()).unwrap();
        assert!(matches!(sandbox.anchor, Anchor::Process(process) if process.pid == guest.pid()));
        linux.release(sandbox.netns);

        let mount = format!("{}", path.display());
        run(&format!(
            "mount --bind /proc/{}/ns/net '{mount}'",
            guest.pid()
        ));
        let sandbox = linux.adopt(bare.handle()).unwrap();
        let by_path = Bare(File::open(&path).unwrap());
        assert_eq!(linux.adopt(by_path.handle()).unwrap(), sandbox);
        drop(by_path);
        linux.release(sandbox.netns);
        linux.readopt(&sandbox).unwrap();
        linux.release(sandbox.netns);
        run(&format!("umount '{mount}'"));
        assert_eq!(sandbox.anchor, Anchor::Path(path));
        assert!(matches!(
            linux.readopt(&sandbox),
            Err(AdoptError::Gone { .. })
        ));

        guest.end();
        let sandbox = linux.adopt(bare.handle()).unwrap();
        assert!(
            matches!(sandbox.anchor, Anchor::Process(process) if process.pid == std::process::id())
        );
        linux.release(sandbox.netns);
        linux.readopt(&sandbox).unwrap();
    });
}

#[test]
fn what_is_no_foreign_network_namespace_is_refused() {
    in_new_namespace(|linux| {
        let own = std::process::id();
        let process = |pid| linux.adopt(NetnsHandle::Process { pid });
        let descriptor = |file: &File| linux.adopt(Bare(file.try_clone().unwrap()).handle());
        let host = File::open("/proc/thread-self/ns/net").unwrap();
        assert!(matches!(descriptor(&host), Err(AdoptError::OwnNamespace)));
        assert!(matches!(
            process(4_000_000),
            Err(AdoptError::NoSuchProcess { .. })
        ));
        assert!(matches!(process(0), Err(AdoptError::NoSuchProcess { .. })));
        let absent = NetnsHandle::Descriptor {
            pid: own,
            fd: 1_000_000,
        };
        assert!(matches!(
            linux.adopt(absent),
            Err(AdoptError::NoSuchDescriptor { .. })
        ));
        let (pipe, _other) = std::io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(pipe));
        for (file, found) in [
            (File::open("/proc/self/ns/uts").unwrap(), "uts:["),
            (File::open("/etc/passwd").unwrap(), "/etc/passwd"),
            (pipe, "pipe:["),
        ] {
            let handle = NetnsHandle::Descriptor {
                pid: own,
                fd: file.as_raw_fd().cast_unsigned(),
            };
            let error = linux.adopt(handle).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains(&format!("is no network namespace but {found}")),
                "{error}"
            );
        }
        let mut zombie = Command::new("true").spawn().unwrap();
        wait_for("the zombie", || linux.identify(zombie.id()).is_err());
        assert!(matches!(
            process(zombie.id()),
            Err(AdoptError::NoSuchProcess { .. })
        ));
        zombie.wait().unwrap();
    });
}

#[test]
fn processes_are_told_apart_signalled_and_listed() {
    in_new_namespace(|linux| {
        let mut parent = Command::new("sh")
            .args(["-c", "sleep 1000 & sleep 1001; true"])
            .spawn()
            .unwrap();
        let known = linux.identify(parent.id()).unwrap();
        wait_for("two children", || linux.children(known).unwrap().len() == 2);
        let later = netd_model::Supervisor {
            start_ticks: known.start_ticks + 1,
            ..known
        };
        assert!(!linux.signal(later, crate::Signal::Kill).unwrap());
        assert_eq!(linux.children(later).unwrap(), []);
        assert!(linux.signal(known, crate::Signal::Probe).unwrap());
        for child in linux.children(known).unwrap() {
            assert!(linux.signal(child, crate::Signal::Terminate).unwrap());
        }
        parent.wait().unwrap();
        assert!(!linux.signal(known, crate::Signal::Probe).unwrap());
        assert_eq!(linux.boot_id().unwrap().len(), 36);
    });
}

#[test]
fn facts_of_the_host_are_those_of_iproute2() {
    in_new_namespace(|linux| {
        run(
            "ip link add up0 type bridge && ip link set up0 up && ip addr add 192.0.2.5/24 dev up0 && \
             ip addr add 2001:db8::5/64 dev up0 nodad && ip route add 10.0.0.0/8 via 192.0.2.1 && \
             ip route add default via 192.0.2.1",
        );
        linux.apply(&[new_bridge("br0")]).unwrap();
        run("ip link set br0 up && ip addr add 172.17.0.1/16 dev br0");
        let routed = linux.routed_subnets().unwrap();
        let shown: Vec<String> = routed.iter().map(|(to, by)| format!("{to} {by}")).collect();
        assert_eq!(
            shown,
            ["10.0.0.0/8 up0", "192.0.2.0/24 up0", "2001:db8::/64 up0"]
        );
        // What is remembered of our own links hides nobody who comes later, not even under the name of one.
        assert_eq!(linux.routed_subnets().unwrap(), routed);
        run("ip link del br0 && ip link add br0 type bridge && ip link set br0 up");
        run("ip addr add 172.17.0.1/16 dev br0");
        let foreign = ("172.17.0.0/16".parse().unwrap(), name("br0"));
        assert!(linux.routed_subnets().unwrap().contains(&foreign));
        let interface = linux.host_interface(&name("up0")).unwrap().unwrap();
        assert!(
            interface.is_bridge && interface.mtu_bytes == 1500 && interface.addresses.len() == 2
        );
        assert_eq!(linux.host_interface(&name("nil")).unwrap(), None);
        assert!(linux.host_addresses().unwrap().contains(&ip("2001:db8::5")));
        assert!(!linux.forwards_ipv4().unwrap());
        run("sysctl -qw net.ipv4.ip_forward=1");
        // From another thread, whose namespace is another.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                assert!(linux.forwards_ipv4().unwrap());
                assert!(linux.host_interface(&name("up0")).unwrap().is_some());
            });
        });
    });
}

#[test]
fn a_process_with_all_its_files_open_says_what_to_raise() {
    let error = crate::linux::refused("open a socket")(std::io::Error::from_raw_os_error(
        nix::libc::EMFILE,
    ));
    let sentence = error.to_string();
    assert!(
        sentence.starts_with("cannot open a socket: netd has "),
        "{sentence}"
    );
    assert!(sentence.contains("LimitNOFILE="), "{sentence}");
    assert!(!sentence.contains(" 0 files"), "{sentence}");
}

#[test]
fn a_thread_is_back_after_a_visit_even_if_the_work_fails_or_panics() {
    use crate::linux::namespace::{Namespace, identity, identity_at};
    use std::io;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    let here = || identity_at("/proc/thread-self/ns/net".as_ref());
    in_new_namespace(|_| {
        let home = here().unwrap();
        let bare = Bare::make();
        let there = identity(&bare.0).unwrap();
        assert_ne!(home, there);
        let (namespace, inside) = Namespace::open(bare.0, 1, None, here).unwrap();
        assert_eq!((inside, here().unwrap()), (there, home));
        assert_eq!(
            (namespace.run(here).unwrap(), here().unwrap()),
            (there, home)
        );
        let refused = namespace.run(|| Err::<(), _>(io::Error::other("no")));
        assert_eq!(
            (refused.unwrap_err().to_string().as_str(), here().unwrap()),
            ("no", home)
        );
        let bug = || namespace.run(|| -> io::Result<()> { panic!("a bug") });
        assert!(catch_unwind(AssertUnwindSafe(bug)).is_err());
        assert_eq!(here().unwrap(), home);
    });
}
