//! What runtimes hand to a program that they call, and how it is checked: stdin within bounds, paths, addresses, ids.

use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Component, Path};
use std::time::Duration;

use netd_api::{ContainerId, ContainerName, IpNetwork, RuntimeId};

/// Longest input that is read, in bytes. A result of a whole chain with hundreds of addresses fits, and a bundle's
/// configuration as well.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// How long the daemon may take. Runtimes give up on a program after minutes only, and then know nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Why an input was not read. `what` it should have been stands before these sentences.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is longer than anything that makes sense.
    #[error("has more than {MAX_BYTES} bytes")]
    TooLong,
}

/// Reads at most [`MAX_BYTES`].
///
/// # Errors
/// [`ReadError`], also for input that is longer.
pub(crate) fn read(from: impl Read) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(ReadError::TooLong),
        false => Ok(bytes),
    }
}

/// Refuses a path that leads elsewhere than it seems to.
///
/// # Errors
/// A sentence that names the path and the rule.
pub(crate) fn check_path(what: &str, path: &Path) -> Result<(), String> {
    let climbs = path.components().any(|part| part == Component::ParentDir);
    if path.is_absolute() && !climbs && !path.as_os_str().as_encoded_bytes().contains(&0) {
        return Ok(());
    }
    Err(format!(
        "{what} is {path:?}: expected an absolute path without \"..\""
    ))
}

/// An address; a prefix behind it is the network's business.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let with_prefix = || text.parse::<IpNetwork>().ok().map(|network| network.ip());
    text.parse().ok().or_else(with_prefix)
}

/// What a container is to be called that a runtime knows by an id: 64 hexadecimal digits are netd's own kind of id;
/// another one is a name, if it can be.
pub(crate) fn called(id: &RuntimeId) -> (Option<ContainerId>, Option<ContainerName>) {
    match id.as_str().parse() {
        Ok(id) => (Some(id), None),
        Err(_) => (None, id.as_str().parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_climb_are_refused() {
        for bad in [
            "",
            "run/netns/a",
            "/run/netns/../../etc/passwd",
            "..",
            "/..",
        ] {
            assert!(check_path("CNI_NETNS", Path::new(bad)).is_err(), "{bad}");
        }
        for good in ["/run/netns/a", "/proc/1/ns/net", "/run/netns/a..b"] {
            assert!(check_path("CNI_NETNS", Path::new(good)).is_ok(), "{good}");
        }
    }

    #[test]
    fn no_more_is_read_than_the_bound() {
        let most = vec![b' '; usize::try_from(MAX_BYTES).unwrap()];
        assert_eq!(read(&most[..]).unwrap().len(), most.len());
        assert!(matches!(read(io::repeat(b' ')), Err(ReadError::TooLong)));
    }

    #[test]
    fn an_id_of_netds_own_kind_is_no_name() {
        let full = "0f".repeat(32);
        let (id, name) = called(&full.parse().unwrap());
        assert_eq!((id.unwrap().to_string(), name), (full, None));
        let (id, name) = called(&"web-1".parse().unwrap());
        assert_eq!((id, name.unwrap().as_str()), (None, "web-1"));
    }
}
