//! /etc/hosts, /etc/resolv.conf and /etc/hostname of each container, kept true while it runs.
//!
//! A runtime binds the files into the container, so an existing one is rewritten in place: a renamed one would leave
//! the container with the old.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use netd_api::container::ContainerFiles;
use netd_model::container::DnsSettings;
use netd_model::{Container, ContainerId, ContainerState, Endpoint, NamespaceMode, Phase};

use super::names::{RESOLVER, has_names};
use super::{Engine, EngineError, Hands};
use crate::state::State;

/// What systemd-resolved offers for those who cannot reach its 127.0.0.53.
const RESOLVED_UPSTREAMS: &str = "/run/systemd/resolve/resolv.conf";

/// How many files are written at a time.
const WRITERS: usize = 16;

/// Where the files are, and what all of them share.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    defaults: DnsSettings,
    host_resolv_conf: PathBuf,
    /// Held by who writes; which one, says the last byte of the container's id.
    writing: [Mutex<()>; WRITERS],
}

struct Contents {
    hosts: String,
    resolv_conf: String,
    hostname: String,
}

impl Files {
    /// Files below `state_dir`.
    #[must_use]
    pub(super) fn new(state_dir: &Path, defaults: DnsSettings, host_resolv_conf: PathBuf) -> Self {
        let directory = state_dir.join("containers");
        Self {
            directory,
            defaults,
            host_resolv_conf,
            writing: Default::default(),
        }
    }

    /// Keeps others from the files of a container.
    fn writing(&self, container: ContainerId) -> MutexGuard<'_, ()> {
        let lane = usize::from(container.as_bytes()[31]) % WRITERS;
        self.writing[lane]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Paths of a container's files; a container in another's namespace shares that one's.
    #[must_use]
    pub(super) fn of(&self, container: &Container) -> ContainerFiles {
        let owner = match container.namespace {
            NamespaceMode::Container(other) => other,
            NamespaceMode::Private | NamespaceMode::Host | NamespaceMode::Docker => container.id,
        };
        let directory = self.directory.join(owner.to_string());
        ContainerFiles {
            hosts: directory.join("hosts"),
            resolv_conf: directory.join("resolv.conf"),
            hostname: directory.join("hostname"),
        }
    }

    /// Removes the files of a container that is forgotten. That they are gone already is fine.
    pub(super) fn remove(&self, container: ContainerId) {
        // What cannot be removed is overwritten by a container with that id, and read by nobody else.
        let _ = fs::remove_dir_all(self.directory.join(container.to_string()));
    }

    fn contents(&self, state: &State, container: &Container, host: &ResolvConf) -> Contents {
        Contents {
            hosts: hosts(state, container),
            resolv_conf: self.resolv_conf(state, container, host),
            hostname: format!("{}\n", container.hostname),
        }
    }

    fn resolv_conf(&self, state: &State, container: &Container, host: &ResolvConf) -> String {
        let named = live(state, container.id).any(|endpoint| {
            state
                .network(endpoint.network)
                .is_some_and(|network| has_names(network))
        });
        let own = &container.dns;
        let pick = |own: &[String], all: &[String]| {
            if own.is_empty() {
                all.to_vec()
            } else {
                own.to_vec()
            }
        };
        let servers = if own.servers.is_empty() {
            &self.defaults.servers
        } else {
            &own.servers
        };
        let mut search = pick(&own.search, &self.defaults.search);
        let mut options = pick(&own.options, &self.defaults.options);
        if search.is_empty() {
            search = host.search.clone();
        }
        let mut text = String::from("# Written by netd.\n");
        if named {
            let _ = writeln!(text, "nameserver {RESOLVER}");
            if !options.iter().any(|option| option.starts_with("ndots:")) {
                options.insert(0, "ndots:0".to_owned());
            }
        } else if servers.is_empty() {
            host.nameservers
                .iter()
                .for_each(|server| _ = writeln!(text, "nameserver {server}"));
        } else {
            servers
                .iter()
                .for_each(|server| _ = writeln!(text, "nameserver {server}"));
        }
        if !named && options.is_empty() {
            options.clone_from(&host.options);
        }
        if !search.is_empty() && search != ["."] {
            let _ = writeln!(text, "search {}", search.join(" "));
        }
        if !options.is_empty() {
            let _ = writeln!(text, "options {}", options.join(" "));
        }
        text
    }

    /// What the host's file says. Its loopback resolvers mean nothing in another namespace and are left out, except
    /// that those of systemd-resolved are replaced by the servers that it asks itself.
    fn host_lines(&self) -> ResolvConf {
        let read = |path: &Path| {
            fs::read_to_string(path)
                .map(|text| ResolvConf::parse(&text))
                .unwrap_or_default()
        };
        let mut host = read(&self.host_resolv_conf);
        let only_loopback =
            !host.nameservers.is_empty() && host.nameservers.iter().all(IpAddr::is_loopback);
        if only_loopback {
            host.nameservers = read(Path::new(RESOLVED_UPSTREAMS)).nameservers;
        }
        host.nameservers.retain(|server| !server.is_loopback());
        host
    }
}

/// The lines of resolv.conf(5) that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
struct ResolvConf {
    nameservers: Vec<IpAddr>,
    search: Vec<String>,
    options: Vec<String>,
}

impl ResolvConf {
    fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => parsed
                    .nameservers
                    .extend(words.next().and_then(|word| word.parse::<IpAddr>().ok())),
                Some("search" | "domain") => parsed.search = words.map(str::to_owned).collect(),
                Some("options") => parsed.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        parsed
    }
}

fn live(state: &State, container: ContainerId) -> impl Iterator<Item = std::sync::Arc<Endpoint>> {
    state
        .endpoints_of(container)
        .into_iter()
        .filter(|endpoint| endpoint.phase != Phase::Detaching)
}

/// Docker's lines, then the container's own addresses, then its links.
fn hosts(state: &State, container: &Container) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n\
         ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    let short = container.id.short();
    let also = if container.hostname.as_str() == short {
        String::new()
    } else {
        format!(" {short}")
    };
    let mut has_address = false;
    for lease in live(state, container.id).flat_map(|endpoint| endpoint.leases.clone()) {
        has_address = true;
        let _ = writeln!(text, "{}\t{}{also}", lease.address, container.hostname);
    }
    if !has_address {
        // As on a machine without a network (Debian's 127.0.1.1), so that a program finds its own name.
        let _ = writeln!(text, "127.0.1.1\t{}{also}", container.hostname);
    }
    let here: Vec<_> = live(state, container.id)
        .map(|endpoint| endpoint.network)
        .collect();
    for link in &container.links {
        let Some(target) = state.container(link.target) else {
            continue;
        };
        let shared = live(state, target.id).filter(|endpoint| here.contains(&endpoint.network));
        for lease in shared.flat_map(|endpoint| endpoint.leases.clone()) {
            let mut names = vec![
                link.alias.to_string(),
                target.id.short(),
                target.name.to_string(),
            ];
            names.dedup();
            let _ = writeln!(text, "{}\t{}", lease.address, names.join(" "));
        }
    }
    text
}

fn write(path: &Path, text: &str) -> Result<(), EngineError> {
    let failed = |source| EngineError::File {
        path: path.to_owned(),
        source,
    };
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(failed)?;
    // In one piece, and over all that was there, then shortened: a reader sees empty lines behind the new ones for an
    // instant, never the end of an old one.
    let before = file.metadata().map_err(failed)?.len();
    let width = text.len().max(usize::try_from(before).unwrap_or(0));
    let mut whole = text.as_bytes().to_vec();
    whole.resize(width, b'\n');
    file.write_all(&whole).map_err(failed)?;
    file.set_len(text.len() as u64).map_err(failed)
}

impl Hands {
    /// Rewrites the files of a container, and those of the containers that have links to it.
    ///
    /// # Errors
    /// [`EngineError::File`] when one cannot be written.
    pub(super) fn refresh_files(&self, container: ContainerId) -> Result<(), EngineError> {
        let linked = self.turns.now(|ledger| {
            let linked = ledger.state().linked_to(container);
            linked.collect::<Vec<_>>()
        })?;
        let host = self.files.host_lines();
        std::iter::once(container)
            .chain(linked)
            .try_for_each(|one| self.rewrite_files(one, &host))
    }

    fn rewrite_files(&self, container: ContainerId, host: &ResolvConf) -> Result<(), EngineError> {
        // One writer of a file at a time: what a turn said last is also what is written last.
        let _writing = self.files.writing(container);
        let contents = self.turns.now(|ledger| {
            let state = ledger.state();
            let known = state.container(container)?;
            // One that is about to be forgotten loses its files the next moment; those of Docker's are the engine's.
            let leaves = known.auto_remove && matches!(known.state, ContainerState::Ending { .. });
            let is_anothers = matches!(
                known.namespace,
                NamespaceMode::Container(_) | NamespaceMode::Docker
            );
            let own = !leaves && !is_anothers;
            own.then(|| {
                (
                    self.files.of(known),
                    self.files.contents(state, known, host),
                )
            })
        })?;
        match contents {
            Some((paths, contents)) => write_all(&paths, &contents),
            None => Ok(()),
        }
    }

    /// The same for all containers at once. Tells what cannot be written.
    fn refresh_all_files(&self) -> Result<Vec<String>, EngineError> {
        let host = self.files.host_lines();
        let all = self.turns.now(|ledger| {
            let all = ledger.state().containers();
            let wanted = all.filter(|one| one.stands() || !one.links.is_empty());
            wanted
                .map(|one| (one.id, one.name.clone()))
                .collect::<Vec<_>>()
        })?;
        let refused = all.into_iter().filter_map(|(id, name)| {
            let refused = self.rewrite_files(id, &host).err()?;
            Some(format!("container {name}: {}", refused.sentence()))
        });
        Ok(refused.collect())
    }

    /// The same after something went, which stale files must not call back: a refusal is only logged.
    pub(super) fn refresh_files_if_possible(&self, container: ContainerId) {
        if let Err(error) = self.refresh_files(container) {
            tracing::warn!(container = %container.short(), error = %error.sentence(), "its files stay as they were");
        }
    }
}

impl Engine {
    /// As [`Hands::refresh_files`], off the async threads.
    ///
    /// # Errors
    /// [`EngineError::File`] when a file cannot be written.
    pub(super) async fn refresh_files(&self, container: ContainerId) -> Result<(), EngineError> {
        self.at_work(move |hands| hands.refresh_files(container))
            .await
    }

    /// As [`Hands::refresh_all_files`], off the async threads.
    pub(super) async fn refresh_all_files(&self) -> Result<Vec<String>, EngineError> {
        self.at_work(Hands::refresh_all_files).await
    }

    /// As [`Hands::refresh_files_if_possible`], off the async threads.
    pub(super) async fn refresh_files_if_possible(&self, container: ContainerId) {
        self.at_work(move |hands| hands.refresh_files_if_possible(container))
            .await;
    }
}

fn write_all(paths: &ContainerFiles, contents: &Contents) -> Result<(), EngineError> {
    let directory = paths.hosts.parent().unwrap_or(Path::new("/"));
    if !directory.is_dir() {
        fs::create_dir_all(directory).map_err(|source| EngineError::File {
            path: directory.to_owned(),
            source,
        })?;
    }
    write(&paths.hosts, &contents.hosts)?;
    write(&paths.resolv_conf, &contents.resolv_conf)?;
    write(&paths.hostname, &contents.hostname)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_search_line_counts_and_nonsense_is_passed_over() {
        let text =
            "search a\nnameserver 10.0.0.1\nnameserver nonsense\n# x\nsearch b c\noptions rotate\n";
        let parsed = ResolvConf::parse(text);
        assert_eq!(parsed.nameservers, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(parsed.search, ["b", "c"]);
        assert_eq!(parsed.options, ["rotate"]);
    }

    #[test]
    fn a_shorter_text_replaces_a_longer_one_in_the_same_file() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        write(&path, "a long line\nand another\n").unwrap();
        let before = fs::metadata(&path).unwrap().ino();
        write(&path, "short\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "short\n");
        assert_eq!(
            fs::metadata(&path).unwrap().ino(),
            before,
            "a bind mount keeps seeing the file"
        );
    }
}
