//! What a user means by CONTAINER: something that netd knows, or a namespace to hand over.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use netd_api::{Client, ContainerName, ContainerView, ErrorCode, Netns};

use super::failure::Failure;
use super::networks::is;

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
    File(OwnedFd),
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
    let file = Path::new(NETNS_DIRECTORY).join(&name);
    if name.is_empty() || !file.exists() {
        return Ok(Target::Known(name));
    }
    match client.container(&name) {
        Ok(_) => Ok(Target::Known(name)),
        Err(error) if is(&error, ErrorCode::ContainerNotFound) => open_file(&file),
        Err(other) => Err(other.into()),
    }
}

fn open_file(path: &Path) -> Result<Target, Failure> {
    let file = File::open(path).map_err(|error| {
        Failure::Refused(format!(
            "cannot open the namespace {}: {error}",
            path.display()
        ))
    })?;
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(Target::Handed(Handed {
        source: Source::File(file.into()),
        default_name: name.and_then(|name| name.parse().ok()),
    }))
}

/// The name under which netd knows `text`: a name as it is, a process or a path by the namespace that it stands for.
pub(super) fn known(client: &Client, text: &str) -> Result<String, Failure> {
    let path = match spelling(text)? {
        Spelling::Name(name) => return Ok(name),
        Spelling::Process(pid) => process_netns(pid),
        Spelling::Path(path) => path,
    };
    let wanted = identity(&path);
    let fits = |view: &&ContainerView| {
        let kept = view
            .netns_path
            .clone()
            .or_else(|| view.pid.map(process_netns));
        // A container in another's namespace, or in the host's, is not what stands for that namespace.
        let is_own = view.ended.is_none() && view.namespace == "private";
        is_own
            && kept
                .is_some_and(|kept| kept == path || (wanted.is_some() && wanted == identity(&kept)))
    };
    let containers = client.containers()?;
    let found = containers.iter().find(fits);
    found.map(|view| view.id.to_string()).ok_or_else(|| {
        Failure::Refused(format!(
            "netd knows no running container in the namespace of {text}; `net ps` shows those it knows"
        ))
    })
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
