//! What a user means by CONTAINER: something that netd knows, or a namespace to hand over.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use netd_api::{Client, ContainerName, ContainerView, ErrorCode, Netns};

use super::failure::Failure;
use super::networks::is;
use crate::netns;

/// Where `ip netns` keeps its namespaces (ip-netns(8)).
const NETNS_DIRECTORY: &str = "/run/netns";

/// What CONTAINER turned out to be.
#[derive(Debug)]
pub(super) enum Target {
    /// A name or id that netd knows, or may know.
    Known(String),
    /// A namespace that netd gets to know.
    Handed(Handed),
}

/// A namespace, kept open until the daemon has answered.
#[derive(Debug)]
pub(super) struct Handed {
    source: Source,
    /// The name of its file, if that can be a container's.
    pub(super) default_name: Option<ContainerName>,
}

#[derive(Debug)]
enum Source {
    Process(u32),
    File(File),
}

impl Handed {
    /// How the daemon gets at it. Valid as long as `self`.
    pub(super) fn netns(&self) -> Netns {
        match &self.source {
            Source::Process(pid) => Netns {
                pid: *pid,
                fd: None,
            },
            Source::File(file) => Netns {
                pid: std::process::id(),
                fd: u32::try_from(file.as_raw_fd()).ok(),
            },
        }
    }

    /// The id of the running container whose namespace this is, if netd knows one.
    pub(super) fn known(&self, client: &Client) -> Result<Option<String>, Failure> {
        let identity = match &self.source {
            Source::Process(pid) => identity(&process_netns(*pid)),
            Source::File(file) => file.metadata().ok().map(|file| (file.dev(), file.ino())),
        };
        match identity {
            Some(wanted) => owner(client, |kept| self::identity(kept) == Some(wanted)),
            None => Ok(None),
        }
    }
}

/// What the text itself says.
#[derive(Debug, PartialEq, Eq)]
enum Spelling {
    Process(u32),
    Path(PathBuf),
    Name(String),
}

fn spelling(text: &str) -> Result<Spelling, Failure> {
    if let Some(digits) = text.strip_prefix("pid:") {
        let pid = digits.parse().ok().filter(|pid| *pid > 0);
        let pid = pid.ok_or_else(|| {
            Failure::Usage(format!(
                "{text:?} names no process: expected pid:N, such as pid:4711"
            ))
        })?;
        return Ok(Spelling::Process(pid));
    }
    if text.contains('/') {
        return Ok(Spelling::Path(PathBuf::from(text)));
    }
    Ok(Spelling::Name(text.to_owned()))
}

/// Finds what `text` means, and opens it if it is a namespace that netd does not know by that name.
pub(super) fn open(client: &Client, text: &str) -> Result<Target, Failure> {
    let name = match spelling(text)? {
        Spelling::Process(pid) => {
            return Ok(Target::Handed(Handed {
                source: Source::Process(pid),
                default_name: None,
            }));
        }
        Spelling::Path(path) => return open_file(&path),
        Spelling::Name(name) => name,
    };
    match named_file(client, &name)? {
        None => Ok(Target::Known(name)),
        Some(file) => open_file(&file),
    }
}

/// The file below /run/netns that `name` means; none if netd knows a container of that name, or there is no such file.
fn named_file(client: &Client, name: &str) -> Result<Option<PathBuf>, Failure> {
    let file = Path::new(NETNS_DIRECTORY).join(name);
    if matches!(name, "" | "." | "..") || !file.exists() {
        return Ok(None);
    }
    match client.container(name) {
        Ok(_) => Ok(None),
        Err(error) if is(&error, ErrorCode::ContainerNotFound) => Ok(Some(file)),
        Err(other) => Err(other.into()),
    }
}

fn open_file(path: &Path) -> Result<Target, Failure> {
    // The daemon checks what matters; here it is told by the name that the user typed.
    let opened = netns::open(path);
    let file = opened.map_err(|error| Failure::Refused(error.to_string()))?;
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(Target::Handed(Handed {
        source: Source::File(file),
        default_name: name.and_then(|name| name.parse().ok()),
    }))
}

/// The name under which netd knows `text`: a name as it is, a process or a path by the namespace that it stands for.
pub(super) fn known(client: &Client, text: &str) -> Result<String, Failure> {
    let path = match spelling(text)? {
        Spelling::Name(name) => match named_file(client, &name)? {
            None => return Ok(name),
            Some(file) => file,
        },
        Spelling::Process(pid) => process_netns(pid),
        Spelling::Path(path) => path,
    };
    let wanted = identity(&path);
    let fits = |kept: &Path| kept == path || (wanted.is_some() && wanted == identity(kept));
    owner(client, fits)?.ok_or_else(|| {
        Failure::Refused(format!(
            "netd knows no running container in the namespace of {text}; `net ps` shows those it knows"
        ))
    })
}

/// The id of the running container whose own namespace `fits`, which is given what the daemon keeps it by.
fn owner(client: &Client, fits: impl Fn(&Path) -> bool) -> Result<Option<String>, Failure> {
    let is_it = |view: &&ContainerView| {
        let kept = view
            .netns_path
            .clone()
            .or_else(|| view.pid.map(process_netns));
        // A container in another's namespace, or in the host's, is not what stands for that namespace.
        let is_own = view.ended.is_none() && view.namespace == "private";
        is_own && kept.is_some_and(|kept| fits(&kept))
    };
    let containers = client.containers()?;
    Ok(containers
        .iter()
        .find(is_it)
        .map(|view| view.id.to_string()))
}

fn process_netns(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}

/// Device and inode, which are a namespace's identity (namespaces(7)).
fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_spelled_in_three_ways() {
        assert_eq!(spelling("pid:12").ok(), Some(Spelling::Process(12)));
        assert_eq!(
            spelling("/run/netns/a").ok(),
            Some(Spelling::Path("/run/netns/a".into()))
        );
        assert_eq!(spelling("./a").ok(), Some(Spelling::Path("./a".into())));
        assert_eq!(spelling("web").ok(), Some(Spelling::Name("web".into())));
        for bad in ["pid:", "pid:0", "pid:x", "pid:-1"] {
            assert!(matches!(spelling(bad), Err(Failure::Usage(_))), "{bad}");
        }
    }
}
