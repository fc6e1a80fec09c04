//! Promises about namespaces, their anchors and their ends.

use std::collections::BTreeMap;

use netd_kernel::{AdoptError, KernelError, KernelEvent, NetnsHandle, Signal};
use netd_model::container::Anchor;
use netd_model::desired::{KernelState, LinkChange, SandboxState, Sysctl};
use netd_model::{NetnsId, Op, Sandbox, Supervisor};

use super::Machine;
use super::machine::{await_event, eventually, has_ended, listen, new_sandbox};
use super::wish::*;

pub fn adopting_twice_gives_the_same_answer(machine: &mut dyn Machine) {
    let (pid, sandbox) = new_sandbox(machine);
    let again = machine.kernel().adopt(NetnsHandle::Process { pid });
    assert_eq!(again.unwrap(), sandbox);
    let other = machine.new_process_in(pid);
    let third = machine.kernel().adopt(NetnsHandle::Process { pid: other });
    assert_eq!(third.unwrap().netns, sandbox.netns);
    let (_, stranger) = new_sandbox(machine);
    assert_ne!(stranger.netns, sandbox.netns);
    assert_ne!(machine.kernel().own_netns(), sandbox.netns);
    assert_eq!(
        machine.kernel().pinned(sandbox.netns),
        Some(sandbox.clone())
    );
    machine.kernel().release(sandbox.netns);
    assert_eq!(machine.kernel().pinned(sandbox.netns), None);
}

pub fn what_is_no_sandbox_is_refused(machine: &mut dyn Machine) {
    let host = machine.new_host_process();
    let adopt = |machine: &dyn Machine, handle| machine.kernel().adopt(handle).unwrap_err();
    let error = adopt(machine, NetnsHandle::Process { pid: host });
    assert!(matches!(error, AdoptError::OwnNamespace), "{error}");
    let gone = machine.new_process();
    machine.end_process(gone);
    let error = adopt(machine, NetnsHandle::Process { pid: gone });
    assert!(
        matches!(error, AdoptError::NoSuchProcess { pid } if pid == gone),
        "{error}"
    );
    let (pid, fd) = machine.open_in_a_process(None);
    let error = adopt(machine, NetnsHandle::Descriptor { pid, fd });
    assert!(matches!(error, AdoptError::NotANamespace { .. }), "{error}");
    let fd = 0xffff_0000;
    let error = adopt(machine, NetnsHandle::Descriptor { pid, fd });
    assert!(
        matches!(error, AdoptError::NoSuchDescriptor { .. }),
        "{error}"
    );
}

pub fn descriptors_lead_to_namespaces(machine: &mut dyn Machine) {
    let pid = machine.new_process();
    let path = machine.bind(pid);
    let (holder, fd) = machine.open_in_a_process(Some(&path));
    let handle = NetnsHandle::Descriptor { pid: holder, fd };
    let by_fd = machine.kernel().adopt(handle).unwrap();
    let by_pid = machine
        .kernel()
        .adopt(NetnsHandle::Process { pid })
        .unwrap();
    assert_eq!(by_fd.netns, by_pid.netns);
    // An open descriptor alone keeps the namespace alive.
    let events = listen(machine);
    machine.end_process(pid);
    machine.unbind(&path);
    let (last_pid, last) = new_sandbox(machine);
    machine.end_process(last_pid);
    await_event(&events, &KernelEvent::SandboxEnded(last.netns));
    assert!(!has_ended(&events, by_fd.netns));
    machine.end_process(holder);
    await_event(&events, &KernelEvent::SandboxEnded(by_fd.netns));
}

pub fn the_end_of_a_sandbox_is_told_though_it_is_pinned(machine: &mut dyn Machine) {
    let (pid, sandbox) = new_sandbox(machine);
    let net = Net::new(1);
    bring(machine, &one_container(&net, sandbox.netns));
    let events = listen(machine);
    machine.end_process(pid);
    await_event(&events, &KernelEvent::SandboxEnded(sandbox.netns));
    machine.kernel().release(sandbox.netns);
    eventually("the host end is gone", || {
        machine.links() == [net.bridge()].into()
    });
    // Releasing what is not pinned is fine.
    machine.kernel().release(sandbox.netns);
    let mut bridge = nothing([]);
    add_bridge(&mut bridge, &net);
    assert_eq!(steps(machine, &bridge), []);
}

pub fn a_sandbox_lives_until_its_last_process_ends(machine: &mut dyn Machine) {
    let (pid, sandbox) = new_sandbox(machine);
    let second = machine.new_process_in(pid);
    let (last_pid, last) = new_sandbox(machine);
    let events = listen(machine);
    machine.end_process(pid);
    // Whatever comes before the end of another sandbox has been looked at by then.
    machine.end_process(last_pid);
    await_event(&events, &KernelEvent::SandboxEnded(last.netns));
    assert!(!has_ended(&events, sandbox.netns));
    machine.end_process(second);
    await_event(&events, &KernelEvent::SandboxEnded(sandbox.netns));
}

pub fn a_bound_file_keeps_a_sandbox_alive(machine: &mut dyn Machine) {
    let (pid, sandbox) = new_sandbox(machine);
    let path = machine.bind(pid);
    let (last_pid, last) = new_sandbox(machine);
    let events = listen(machine);
    machine.end_process(pid);
    machine.end_process(last_pid);
    await_event(&events, &KernelEvent::SandboxEnded(last.netns));
    assert!(!has_ended(&events, sandbox.netns));
    bring(machine, &one_container(&Net::new(1), sandbox.netns));
    machine.unbind(&path);
    await_event(&events, &KernelEvent::SandboxEnded(sandbox.netns));
}

fn loopback_up(netns: NetnsId) -> [Op; 1] {
    let change = LinkChange {
        up: Some(true),
        ..LinkChange::default()
    };
    [Op::SetInterface {
        netns,
        name: name("lo"),
        change,
    }]
}

pub fn what_is_not_pinned_is_out_of_reach(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let netns = sandbox.netns;
    let about = nothing([netns]);
    let kernel = machine.kernel();
    assert!(
        kernel
            .observe(&about)
            .unwrap()
            .sandboxes
            .contains_key(&netns)
    );
    kernel.release(netns);
    assert!(kernel.observe(&about).unwrap().sandboxes.is_empty());
    let error = kernel.apply(&loopback_up(netns)).unwrap_err();
    let gone =
        |error: &KernelError| matches!(error, KernelError::SandboxGone { netns: n } if *n == netns);
    assert!(gone(&error.source), "{error}");
    let error = kernel.open_resolver(netns, None).unwrap_err();
    assert!(gone(&error), "{error}");
}

pub fn a_restarted_daemon_finds_its_sandbox_by_the_anchor(machine: &mut dyn Machine) {
    let (pid, sandbox) = new_sandbox(machine);
    let (ended_pid, ended) = new_sandbox(machine);
    let net = Net::new(1);
    let mut wished = one_container(&net, sandbox.netns);
    add_container(&mut wished, &net, (1, ended.netns));
    bring(machine, &wished);
    machine.end_process(ended_pid);
    machine.restart();
    let left = [net.bridge(), outside(&net, 0)];
    eventually("the ended sandbox's pair is gone", || {
        machine.links() == left.clone().into()
    });
    let error = machine.kernel().readopt(&ended).unwrap_err();
    assert!(
        matches!(&error, AdoptError::Gone { netns, .. } if *netns == ended.netns),
        "{error}"
    );
    machine.kernel().readopt(&sandbox).unwrap();
    machine.kernel().readopt(&sandbox).unwrap();
    assert_eq!(steps(machine, &one_container(&net, sandbox.netns)), []);
    let events = listen(machine);
    machine.end_process(pid);
    await_event(&events, &KernelEvent::SandboxEnded(sandbox.netns));
}

pub fn another_process_s_number_leads_nowhere(machine: &mut dyn Machine) {
    let (pid, sandbox) = new_sandbox(machine);
    let other = machine.new_process();
    machine.restart();
    let Anchor::Process(known) = &sandbox.anchor else {
        panic!("{sandbox:?}");
    };
    assert_eq!(known.pid, pid);
    let readopt = |machine: &dyn Machine, anchor: Supervisor| {
        let changed = Sandbox {
            anchor: Anchor::Process(anchor),
            ..sandbox.clone()
        };
        machine.kernel().readopt(&changed)
    };
    let later = Supervisor {
        start_ticks: known.start_ticks + 1,
        ..*known
    };
    let elsewhere = machine.kernel().identify(other).unwrap();
    for wrong in [later, elsewhere] {
        let error = readopt(machine, wrong).unwrap_err();
        assert!(matches!(error, AdoptError::Gone { .. }), "{error}");
    }
    readopt(machine, *known).unwrap();
}

pub fn a_signal_reaches_only_the_process_that_was_meant(machine: &mut dyn Machine) {
    let pid = machine.new_process();
    let kernel = machine.kernel();
    let process = kernel.identify(pid).unwrap();
    let later = Supervisor {
        start_ticks: process.start_ticks + 1,
        ..process
    };
    assert!(!kernel.signal(later, Signal::Kill).unwrap());
    assert!(kernel.signal(process, Signal::Probe).unwrap());
    assert!(!kernel.boot_id().unwrap().is_empty());
    assert!(kernel.signal(process, Signal::Kill).unwrap());
    eventually("the process has ended", || {
        !kernel.signal(process, Signal::Probe).unwrap()
    });
    assert_eq!(kernel.children(process).unwrap(), []);
    machine.end_process(pid);
    let kernel = machine.kernel();
    assert!(!kernel.signal(process, Signal::Probe).unwrap());
    let error = kernel.identify(pid).unwrap_err();
    assert!(matches!(error, AdoptError::NoSuchProcess { .. }), "{error}");
}

pub fn a_namespace_that_is_let_go_has_its_own_defaults_again(machine: &mut dyn Machine) {
    let (pid, sandbox) = new_sandbox(machine);
    let netns = sandbox.netns;
    let key = Sysctl::global("ipv6/conf/default/disable_ipv6");
    let write = |value: &str| Op::WriteSysctl {
        netns: Some(netns),
        key: key.clone(),
        value: value.to_owned(),
    };
    let read = |machine: &dyn Machine| {
        let wished = SandboxState {
            sysctls: BTreeMap::from([(key.clone(), "1".to_owned())]),
            ..SandboxState::default()
        };
        let mut wish = KernelState::default();
        wish.sandboxes.insert(netns, wished);
        let seen = machine.kernel().observe(&wish).unwrap();
        seen.sandboxes[&netns].sysctls[&key].clone()
    };
    assert_eq!(read(machine), "0");
    machine
        .kernel()
        .apply(&[write("1"), write("0"), write("1")])
        .unwrap();
    assert_eq!(read(machine), "1");
    machine.kernel().release(netns);
    let handle = NetnsHandle::Process { pid };
    assert_eq!(machine.kernel().adopt(handle).unwrap().netns, netns);
    assert_eq!(read(machine), "0");
}

pub fn who_holds_a_sandbox_besides_others_is_known(machine: &mut dyn Machine) {
    let (pid, sandbox) = new_sandbox(machine);
    let guest = machine.new_process_in(pid);
    let kernel = machine.kernel();
    let guest = kernel.identify(guest).unwrap();
    let netns = sandbox.netns;
    let is_held = |machine: &dyn Machine, besides: &[Supervisor]| {
        machine.kernel().is_held_besides(netns, besides).unwrap()
    };
    assert!(is_held(machine, &[guest]), "by its first process");
    assert!(is_held(machine, &[]));
    machine.end_process(pid);
    assert!(!is_held(machine, &[guest]));
    let later = Supervisor {
        start_ticks: guest.start_ticks + 1,
        ..guest
    };
    assert!(is_held(machine, &[later]), "by a process of that number");
    let _path = machine.bind(guest.pid);
    assert!(is_held(machine, &[guest]), "by a mount");
}

pub fn a_resolver_gets_the_port_that_it_had(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let kernel = machine.kernel();
    kernel.apply(&loopback_up(sandbox.netns)).unwrap();
    let sockets = kernel.open_resolver(sandbox.netns, None).unwrap();
    let port = sockets.port;
    assert_eq!(sockets.udp.local_addr().unwrap().port(), port);
    assert_eq!(sockets.tcp.local_addr().unwrap().port(), port);
    let second = kernel.open_resolver(sandbox.netns, Some(port)).unwrap();
    assert_ne!(second.port, port, "the port is taken");
    drop((sockets, second));
    // A program that another test starts has a copy of the sockets until its exec.
    eventually("the resolver has its port again", || {
        let again = kernel.open_resolver(sandbox.netns, Some(port)).unwrap();
        again.port == port
    });
}
