//! Kernel parameters below /proc/sys/net of one namespace.
//!
//! /proc/sys/net shows each thread its own namespace. The directories ipv4 and ipv6 below it are one per namespace,
//! though: opened inside once, their descriptors lead there for good, and nobody needs to enter again.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use netd_model::IfName;
use netd_model::desired::Sysctl;
use nix::libc::ENOENT;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::namespace::Namespace;
use super::views::View;

/// Where the parameters are.
const ROOT: &str = "/proc/sys/net";
/// The same from the root of proc.
const INSIDE: &str = "sys/net";

/// Values of `accept_ra` (ip-sysctl.rst).
const AS_A_HOST: &str = "1";
const AS_A_ROUTER_TOO: &str = "2";

/// Room for any number and the end of its line.
const NUMBER_BYTES: usize = 32;

/// The kernel has IPv6.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ipv6;

/// The directories of a namespace's parameters. Absent in a kernel without the family.
pub(super) struct Parameters {
    ipv4: Option<OwnedFd>,
    ipv6: Option<OwnedFd>,
    /// What they were found in.
    _view: Option<View>,
}

impl Parameters {
    /// Whether there is IPv6 here.
    pub(super) fn family_of_ipv6(&self) -> Option<Ipv6> {
        self.ipv6.as_ref().map(|_| Ipv6)
    }

    /// Opens those of the calling thread's namespace, in `view` or in /proc itself.
    pub(super) fn open(view: Option<View>) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = |family: &str| match &view {
            Some(view) => openat(view, format!("{INSIDE}/{family}"), flags, Mode::empty()).ok(),
            None => openat(CWD, format!("{ROOT}/{family}"), flags, Mode::empty()).ok(),
        };
        Self {
            ipv4: directory("ipv4"),
            ipv6: directory("ipv6"),
            _view: view,
        }
    }
}

/// What [`crate::Kernel::keep_router_advertisements`] promises.
pub(super) fn keep_router_advertisements(home: &Namespace) -> io::Result<Vec<IfName>> {
    let all = home.run(|| {
        let found = std::fs::read_dir(format!("{ROOT}/ipv6/conf"));
        match found {
            Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(Vec::new()),
            found => found?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<Vec<String>>>(),
        }
    })?;
    let mut kept = Vec::new();
    // `default` is what interfaces begin with that are yet to come; `all` has no meaning here.
    for name in all
        .iter()
        .filter(|name| !matches!(name.as_str(), "all" | "lo"))
    {
        let Ok(interface) = IfName::new(name) else {
            continue;
        };
        let key = Sysctl::of_interface("ipv6", &interface, "accept_ra");
        if home.read_parameter(&key)?.as_deref() == Some(AS_A_HOST) {
            home.write_parameter(&key, AS_A_ROUTER_TOO)?;
            if name != "default" {
                kept.push(interface);
            }
        }
    }
    Ok(kept)
}

impl Namespace {
    /// Writes a parameter. An absent optional one counts as done, unless a user named it.
    pub(super) fn write_parameter(&self, key: &Sysctl, value: &str) -> io::Result<()> {
        match self
            .parameter(key, OFlags::WRONLY)
            .and_then(|mut file| file.write_all(value.as_bytes()))
        {
            Err(error)
                if error.raw_os_error() == Some(ENOENT)
                    && key.is_optional()
                    && !key.is_of_user() =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// As [`Namespace::write_parameter`], of a number; tells what it was before.
    pub(super) fn replace_parameter(&self, key: &Sysctl, value: &str) -> io::Result<String> {
        let mut file = self.parameter(key, OFlags::RDWR)?;
        let mut before = [0; NUMBER_BYTES];
        let length = file.read(&mut before)?;
        // What is written anywhere else than at the beginning the kernel refuses (kernel.rst `sysctl_writes_strict`).
        file.write_all_at(value.as_bytes(), 0)?;
        let text = String::from_utf8_lossy(&before[..length]);
        Ok(text.trim_end().to_owned())
    }

    /// Reads a parameter; `None` if it is absent.
    pub(super) fn read_parameter(&self, key: &Sysctl) -> io::Result<Option<String>> {
        let mut text = String::new();
        match self
            .parameter(key, OFlags::RDONLY)
            .and_then(|mut file| file.read_to_string(&mut text))
        {
            Ok(_) => Ok(Some(text.trim_end().to_owned())),
            Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the kernel has br_netfilter. Not to be told from the attributes of a bridge: those are there, and can be
    /// set, while the module is not loaded (`br_changelink`, net/bridge/br_netlink.c).
    pub(super) fn filters_bridges(&self) -> io::Result<bool> {
        let switch = Sysctl::global("bridge/bridge-nf-call-iptables");
        Ok(self.read_parameter(&switch)?.is_some())
    }

    fn parameter(&self, key: &Sysctl, access: OFlags) -> io::Result<File> {
        let flags = access | OFlags::CLOEXEC;
        let (family, rest) = key.path().split_once('/').unwrap_or_default();
        let directory = match family {
            "ipv4" => self.parameters.ipv4.as_ref(),
            "ipv6" => self.parameters.ipv6.as_ref(),
            _ => None,
        };
        if let Some(directory) = directory {
            return Ok(openat(directory, rest, flags, Mode::empty())?.into());
        }
        // The namespace is settled when the file is opened, not when it is read or written.
        self.run(|| {
            let path = format!("{ROOT}/{}", key.path());
            Ok(openat(CWD, path, flags, Mode::empty())?.into())
        })
    }
}

/// What an observer reports for a parameter: what it read, or the wish itself where that is fulfilled: because both
/// differ in white space only, or because an optional parameter is absent and so has nothing to turn off.
pub(super) fn report(key: &Sysctl, wished: &str, read: Option<String>) -> Option<String> {
    match read {
        Some(text) if text.split_whitespace().eq(wished.split_whitespace()) => {
            Some(wished.to_owned())
        }
        Some(text) => Some(text),
        None => key.is_optional().then(|| wished.to_owned()),
    }
}
