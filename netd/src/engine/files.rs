//! /etc/hosts, /etc/resolv.conf and /etc/hostname of each container, kept true while it runs.
//!
//! A runtime binds the files into the container, so an existing one is rewritten in place: a renamed one would leave
//! the container with the old.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use netd_api::container::ContainerFiles;
use netd_model::container::DnsSettings;
use netd_model::{Container, ContainerId, Endpoint, NamespaceMode, Phase};

use super::names::{RESOLVER, has_names};
use super::{Engine, EngineError};
use crate::state::State;

/// What systemd-resolved offers for those who cannot reach its 127.0.0.53.
const RESOLVED_UPSTREAMS: &str = "/run/systemd/resolve/resolv.conf";

/// Where the files are, and what all of them share.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    defaults: DnsSettings,
    host_resolv_conf: PathBuf,
    writing: tokio::sync::Mutex<()>,
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
            writing: tokio::sync::Mutex::new(()),
        }
    }

    /// Paths of a container's files; a container in another's namespace shares that one's.
    #[must_use]
    pub(super) fn of(&self, container: &Container) -> ContainerFiles {
        let owner = match container.namespace {
            NamespaceMode::Container(other) => other,
            NamespaceMode::Private | NamespaceMode::Host => container.id,
        };
        let directory = self.directory.join(owner.to_string());
        ContainerFiles {
            hosts: directory.join("hosts"),
            resolv_conf: directory.join("resolv.conf"),
            hostname: directory.join("hostname"),
        }
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

impl Engine {
    /// Rewrites the files of a container, and those of the containers that have links to it.
    ///
    /// # Errors
    /// [`EngineError::File`] when one cannot be written.
    pub(super) async fn refresh_files(&self, container: ContainerId) -> Result<(), EngineError> {
        // One writer at a time: what a turn said last is also what is written last.
        let _writing = self.files.writing.lock().await;
        let files = std::sync::Arc::clone(&self.files);
        let contents = self.turns.take(move |ledger| {
            let (state, host) = (ledger.state(), files.host_lines());
            let linked =
                |other: &Container| other.links.iter().any(|link| link.target == container);
            let wanted = state.containers().filter(|other| {
                (other.id == container || linked(other))
                    && !matches!(other.namespace, NamespaceMode::Container(_))
            });
            wanted
                .map(|other| (files.of(other), files.contents(state, other, &host)))
                .collect::<Vec<_>>()
        });
        let contents = contents.await?;
        blocking(move || {
            contents
                .iter()
                .try_for_each(|(paths, contents)| write_all(paths, contents))
        })
        .await
    }

    /// The same for all containers at once. Tells what cannot be written.
    pub(super) async fn refresh_all_files(&self) -> Result<Vec<String>, EngineError> {
        let _writing = self.files.writing.lock().await;
        let files = std::sync::Arc::clone(&self.files);
        let contents = self.look(move |state| {
            let host = files.host_lines();
            let own = |one: &Container| !matches!(one.namespace, NamespaceMode::Container(_));
            let wanted = state
                .containers()
                .filter(|one| own(one) && (one.stands() || !one.links.is_empty()));
            wanted
                .map(|one| {
                    (
                        one.name.clone(),
                        files.of(one),
                        files.contents(state, one, &host),
                    )
                })
                .collect::<Vec<_>>()
        });
        let contents = contents.await?;
        let refused = blocking(move || {
            let each = contents.iter().filter_map(|(name, paths, contents)| {
                let refused = write_all(paths, contents).err()?;
                Some(format!("container {name}: {}", refused.sentence()))
            });
            each.collect()
        });
        Ok(refused.await)
    }

    /// The same after something went, which stale files must not call back: a refusal is only logged.
    pub(super) async fn refresh_files_if_possible(&self, container: ContainerId) {
        if let Err(error) = self.refresh_files(container).await {
            tracing::warn!(container = %container.short(), error = %error.sentence(), "its files stay as they were");
        }
    }

    /// Removes the files of a container that is forgotten. That they are gone already is fine.
    pub(super) async fn remove_files(&self, container: ContainerId) {
        let directory = self.files.directory.join(container.to_string());
        // What cannot be removed is overwritten by a container with that id, and read by nobody else.
        blocking(move || _ = fs::remove_dir_all(directory)).await;
    }
}

/// Keeps work on files off the async threads.
async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // A panic in there is a bug; it goes on where it can be seen.
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}

fn write_all(paths: &ContainerFiles, contents: &Contents) -> Result<(), EngineError> {
    let directory = paths.hosts.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory).map_err(|source| EngineError::File {
        path: directory.to_owned(),
        source,
    })?;
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
