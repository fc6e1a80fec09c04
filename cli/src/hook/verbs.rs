//! The two hooks: createRuntime connects, poststop disconnects.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

use netd_api::{
    AttachRequest, Client, ClientError, ErrorCode, IfName, Netns, NewIdentity, RetainRequest,
    RuntimeId, RuntimeKey, WantedNetwork,
};

use super::annotations::{Files, Place, Wishes};
use super::bind;
use super::bundle::Bundle;
use super::failure::Failure;
use super::process::Process;
use super::state::{State, Status};
use crate::handover::called;

/// Label of a container: its first process, as [`Process`] writes it.
const PROCESS_LABEL: &str = "org.netd.process";

/// Label of a container: the folder of its bundle.
const BUNDLE_LABEL: &str = "org.netd.bundle";

/// createRuntime: connects the container's namespace to each network, and puts netd's files into its /etc.
///
/// All or nothing: what was connected is disconnected again when something later fails.
pub(super) fn create_runtime(client: &Client, state: &State) -> Result<(), Failure> {
    if !matches!(state.status, Status::Creating | Status::Created) {
        let (verb, status) = ("createRuntime", state.status);
        return Err(Failure::Moment { verb, status });
    }
    let bundle = Bundle::read(&state.bundle)?;
    let wishes = Wishes::read(match state.annotations.is_empty() {
        true => &bundle.annotations,
        false => &state.annotations,
    })?;
    let pid = state.pid.unwrap_or_default();
    let process = Process::of(pid).ok_or(Failure::Gone { pid })?;
    if process.shares("net")? {
        return Err(Failure::HostNetwork);
    }
    // One that has a file of its own outlives the process, and so does what the container has in it, until poststop.
    let path = bundle.netns.as_ref();
    let bound = path.and_then(|path| crate::netns::open(path).ok());
    let start = Start {
        client,
        state,
        bound: bound.filter(|file| process.is_in(file)),
        process,
        bundle,
        wishes,
    };
    let mut made = Vec::new();
    start.connect(&mut made).inspect_err(|_| {
        // A daemon that cannot do it now, or is away, does it when the namespace ends, which the runtime sees to.
        made.iter().for_each(|key| drop(client.release(key)));
    })
}

/// A container that is to be connected.
struct Start<'a> {
    client: &'a Client,
    state: &'a State,
    process: Process,
    bound: Option<File>,
    bundle: Bundle,
    wishes: Wishes,
}

impl Start<'_> {
    /// Connects it; `made` is what has to be taken back if that fails.
    fn connect(&self, made: &mut Vec<RuntimeKey>) -> Result<(), Failure> {
        let mut files = None;
        for (number, place) in self.wishes.places.iter().enumerate() {
            let key = RuntimeKey {
                network: group(self.state)?,
                container: self.state.id.clone(),
                interface: interface(number)?,
            };
            let request = self.request(&key, place);
            let attached = match self.client.attach(&request) {
                Err(ClientError::Refused { body, .. }) if body.code == ErrorCode::NameTaken => {
                    self.clear_former()?;
                    self.client.attach(&request)
                }
                answer => answer,
            };
            files = Some(attached?.files);
            made.push(key);
        }
        // The same process all the time, so the namespace that the daemon found by its number was its own.
        if !self.process.is_running() {
            let pid = self.process.pid;
            return Err(Failure::Gone { pid });
        }
        match files.filter(|_| self.wishes.files == Files::Bound) {
            Some(files) => Ok(bind::bind(&self.process, &self.bundle, &files)?),
            None => Ok(()),
        }
    }

    /// Takes away what a former container of this id and bundle left, if its process has ended: one that was killed a moment
    /// ago, or whose namespace outlives it and whose poststop found no daemon.
    fn clear_former(&self) -> Result<(), Failure> {
        if !is_anothers(self.client, self.state, Some(&self.bundle))? {
            self.client.retain(&nothing_of(self.state)?)?;
        }
        Ok(())
    }

    fn request(&self, key: &RuntimeKey, place: &Place) -> AttachRequest {
        let mut aliases = place.aliases.clone();
        let (_, by_id) = called(&key.container);
        let is_renamed = self.wishes.name.is_some() && self.wishes.name != by_id;
        if is_renamed && place.has_names() {
            // Under the name that the runtime knows it by, too.
            aliases.extend(by_id.and_then(|id| id.as_str().parse().ok()));
        }
        aliases.dedup();
        AttachRequest {
            key: key.clone(),
            netns: self.netns(),
            network: WantedNetwork::Existing(place.network.clone()),
            container: self.identity(),
            ips: place.ips.clone(),
            mac: place.mac,
            aliases,
            rates: place.rates,
            ports: place.ports.clone(),
            routes: Vec::new(),
        }
    }

    fn netns(&self) -> Netns {
        let descriptor = self.bound.as_ref().map(AsRawFd::as_raw_fd);
        match descriptor.and_then(|fd| u32::try_from(fd).ok()) {
            Some(fd) => Netns {
                pid: std::process::id(),
                fd: Some(fd),
            },
            None => Netns {
                pid: self.process.pid,
                fd: None,
            },
        }
    }

    fn identity(&self) -> NewIdentity {
        let (id, by_id) = called(&self.state.id);
        // What name the runtime sets inside is its business: without one that netd takes, its files have the short id.
        let inside = || self.bundle.hostname.as_ref()?.parse().ok();
        let labels = [
            (PROCESS_LABEL, self.process.to_string()),
            (BUNDLE_LABEL, self.state.bundle.display().to_string()),
        ];
        NewIdentity {
            id,
            name: self.wishes.name.clone().or(by_id),
            hostname: self.wishes.hostname.clone().or_else(inside),
            dns: self.wishes.dns.clone(),
            labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
        }
    }
}

/// poststop: disconnects what the container had. Content with whatever is gone already, and with a daemon that is away if
/// the namespace is gone: the daemon gives back by itself what belonged to it.
pub(super) fn poststop(client: &Client, state: &State) -> Result<(), Failure> {
    if state.status != Status::Stopped {
        let (verb, status) = ("poststop", state.status);
        return Err(Failure::Moment { verb, status });
    }
    let bundle = Bundle::read(&state.bundle).ok();
    let request = nothing_of(state)?;
    let asked = match is_anothers(client, state, bundle.as_ref()) {
        Ok(true) => return Ok(()),
        Ok(false) => client.retain(&request),
        Err(error) => Err(error),
    };
    match asked {
        Ok(report) if report.failures.is_empty() => Ok(()),
        Ok(report) => Err(Failure::Left(report.failures)),
        Err(source @ (ClientError::NoDaemon { .. } | ClientError::Lost { .. })) => {
            let netns = bundle.and_then(|bundle| bundle.netns);
            match netns.filter(|path| crate::netns::open(path).is_ok()) {
                Some(netns) => Err(Failure::Unreleased { source, netns }),
                None => {
                    let then = "its namespace is gone, so the daemon gives back all it had as soon as it runs";
                    let _ = writeln!(
                        io::stderr(),
                        "netd-hook: container {}: {source}; {then}",
                        state.id
                    );
                    Ok(())
                }
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// True if the container that netd knows by this id and bundle runs: then another runtime started it, and the one that
/// stopped is a second one, which was refused.
fn is_anothers(
    client: &Client,
    state: &State,
    bundle: Option<&Bundle>,
) -> Result<bool, ClientError> {
    let annotations = match bundle {
        Some(bundle) if state.annotations.is_empty() => &bundle.annotations,
        _ => &state.annotations,
    };
    let named = Wishes::read(annotations)
        .ok()
        .and_then(|wishes| wishes.name);
    let word = named.map_or_else(|| state.id.to_string(), |name| name.to_string());
    match client.container(&word) {
        Ok(view) => {
            let process = view.labels.get(PROCESS_LABEL);
            Ok(process.is_some_and(|process| Process::runs(process)))
        }
        Err(ClientError::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Says that nothing is kept of a container.
fn nothing_of(state: &State) -> Result<RetainRequest, Failure> {
    Ok(RetainRequest {
        network: group(state)?,
        keep: Vec::new(),
    })
}

/// The name under which netd keeps what belongs to one container of one bundle: runtimes have an id each for themselves.
fn group(state: &State) -> Result<RuntimeId, Failure> {
    let bundle = state.bundle.as_os_str().as_encoded_bytes();
    let parts = state
        .id
        .as_str()
        .bytes()
        .chain([0])
        .chain(bundle.iter().copied());
    // FNV-1a of 64 bits (RFC 9923): the same in each version of this program.
    let hash = parts.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let name = format!("oci-{hash:016x}");
    name.parse()
        .map_err(|error: <RuntimeId as std::str::FromStr>::Err| Failure::State(error.to_string()))
}

/// What the interface on the network of this number is called inside.
fn interface(number: usize) -> Result<IfName, Failure> {
    let name = format!("eth{number}");
    name.parse()
        .map_err(|error| Failure::Annotation(format!("org.netd.network has too many: {error}")))
}
