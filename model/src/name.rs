//! Names that people and the kernel give to things, each checked once, when it is made.
//!
//! A value of one of these types is valid: nothing past the edge checks again. What a name refers to is not known here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest network, container or alias name, in bytes. DNS allows 253 for a whole name (RFC 1035 section 2.3.4); the
/// rest is left for `.network` behind it.
pub const NAME_MAX_BYTES: usize = 128;
/// Longest label between two dots, in bytes (RFC 1035 section 2.3.4).
pub const LABEL_MAX_BYTES: usize = 63;
/// Longest id that a runtime may give to something, in bytes: as many as a file name has, since that is what other
/// plugins make of it.
pub const RUNTIME_ID_MAX_BYTES: usize = 255;
/// Longest hostname that Linux takes, in bytes (`HOST_NAME_MAX`, sethostname(2)).
pub const HOSTNAME_MAX_BYTES: usize = 64;
/// Longest interface name, in bytes (`IFNAMSIZ` less the final NUL, linux/if.h).
pub const IFNAME_MAX_BYTES: usize = 15;

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseNameError {
    /// Nothing was given.
    #[error("{} {kind} cannot be empty", article(kind))]
    Empty {
        /// What the name was for.
        kind: &'static str,
    },
    /// More bytes than the kind allows.
    #[error("{} {kind} has at most {max_bytes} bytes, {} were given: {given:.20}...", article(kind), given.len())]
    TooLong {
        /// What the name was for.
        kind: &'static str,
        /// What was given.
        given: String,
        /// The limit in bytes.
        max_bytes: usize,
    },
    /// A character that the kind does not allow there.
    #[error(
        "{given:?} cannot be {} {kind}: {found:?} is not allowed there; use {allowed}",
        article(kind)
    )]
    BadCharacter {
        /// What the name was for.
        kind: &'static str,
        /// What was given.
        given: String,
        /// The offending character.
        found: char,
        /// The rule in words.
        allowed: &'static str,
    },
    /// Two dots in a row, a dot at the end, or more than 63 bytes between dots.
    #[error(
        "{given:?} cannot be {} {kind}: each part between dots has 1 to 63 bytes, since containers find it by DNS",
        article(kind)
    )]
    BadLabel {
        /// What the name was for.
        kind: &'static str,
        /// What was given.
        given: String,
    },
    /// A name that means something else to netd.
    #[error("{given:?} cannot be {} {kind}: the name is reserved", article(kind))]
    Reserved {
        /// What the name was for.
        kind: &'static str,
        /// What was given.
        given: String,
    },
}

fn article(kind: &str) -> &'static str {
    match kind.starts_with(['a', 'e', 'i', 'o']) {
        true => "an",
        false => "a",
    }
}

const NAME_RULE: &str = "letters, digits, '_', '.' and '-', beginning with a letter or digit";

fn check_name(kind: &'static str, given: &str) -> Result<(), ParseNameError> {
    if given.is_empty() {
        return Err(ParseNameError::Empty { kind });
    }
    if given.len() > NAME_MAX_BYTES {
        return Err(ParseNameError::TooLong {
            kind,
            given: given.to_owned(),
            max_bytes: NAME_MAX_BYTES,
        });
    }
    if let Some((_, found)) = given.char_indices().find(misplaced) {
        return Err(ParseNameError::BadCharacter {
            kind,
            given: given.to_owned(),
            found,
            allowed: NAME_RULE,
        });
    }
    if given
        .split('.')
        .any(|label| label.is_empty() || label.len() > LABEL_MAX_BYTES)
    {
        return Err(ParseNameError::BadLabel {
            kind,
            given: given.to_owned(),
        });
    }
    Ok(())
}

/// The rule of the CNI specification for the name of a network and the id of a container.
fn check_runtime_id(given: &str) -> Result<(), ParseNameError> {
    const KIND: &str = "runtime's id";
    if given.is_empty() {
        return Err(ParseNameError::Empty { kind: KIND });
    }
    if given.len() > RUNTIME_ID_MAX_BYTES {
        return Err(ParseNameError::TooLong {
            kind: KIND,
            given: given.to_owned(),
            max_bytes: RUNTIME_ID_MAX_BYTES,
        });
    }
    match given.char_indices().find(misplaced) {
        Some((_, found)) => Err(ParseNameError::BadCharacter {
            kind: KIND,
            given: given.to_owned(),
            found,
            allowed: NAME_RULE,
        }),
        None => Ok(()),
    }
}

/// True for what [`NAME_RULE`] does not allow at that place.
fn misplaced((at, c): &(usize, char)) -> bool {
    !(c.is_ascii_alphanumeric() || (*at > 0 && matches!(c, '_' | '.' | '-')))
}

fn check_network_name(given: &str) -> Result<(), ParseNameError> {
    const KIND: &str = "network name";
    check_name(KIND, given)?;
    if given == "default" || given == "container" {
        return Err(ParseNameError::Reserved {
            kind: KIND,
            given: given.to_owned(),
        });
    }
    Ok(())
}

fn check_hostname(given: &str) -> Result<(), ParseNameError> {
    const KIND: &str = "hostname";
    check_name(KIND, given)?;
    if given.len() > HOSTNAME_MAX_BYTES {
        return Err(ParseNameError::TooLong {
            kind: KIND,
            given: given.to_owned(),
            max_bytes: HOSTNAME_MAX_BYTES,
        });
    }
    Ok(())
}

fn check_interface(given: &str) -> Result<(), ParseNameError> {
    const KIND: &str = "interface name";
    if given.is_empty() {
        return Err(ParseNameError::Empty { kind: KIND });
    }
    if given.len() > IFNAME_MAX_BYTES {
        return Err(ParseNameError::TooLong {
            kind: KIND,
            given: given.to_owned(),
            max_bytes: IFNAME_MAX_BYTES,
        });
    }
    // dev_valid_name() in net/core/dev.c refuses white space, '/' and ':', and the names "." and "..". We also refuse
    // what a shell, an iptables wildcard ('+') or a format string ('%') would take for something else.
    let bad = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@'));
    if let Some(found) = given.chars().find(bad) {
        return Err(ParseNameError::BadCharacter {
            kind: KIND,
            given: given.to_owned(),
            found,
            allowed: "letters, digits, '_', '-', '.' and '@'",
        });
    }
    if matches!(given, "." | ".." | "all" | "default") || given.starts_with('-') {
        return Err(ParseNameError::Reserved {
            kind: KIND,
            given: given.to_owned(),
        });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:expr, $words:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks `text` and makes a name of it.
            ///
            /// # Errors
            /// [`ParseNameError`] says which rule is broken and by what.
            pub fn new(text: &str) -> Result<Self, ParseNameError> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The text of the name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseNameError;

            fn from_str(text: &str) -> Result<Self, ParseNameError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }

        crate::schema::text!($name, $words);
    };
}

name!(
    /// Name of a network, unique on a host. `default` and `container` are kept for the command line's modes.
    NetworkName,
    check_network_name,
    "name of a network, 1 to 128 of letters, digits, '_', '.' and '-', the first a letter or digit"
);
name!(
    /// Name of a container, unique on a host, resolvable by its neighbours.
    ContainerName,
    |text| check_name("container name", text),
    "name of a container, 1 to 128 of letters, digits, '_', '.' and '-', the first a letter or digit"
);
name!(
    /// Another name of a container on one network; several containers may share one.
    Alias,
    |text| check_name("alias", text),
    "another name of a container on one network, formed as its name is"
);
name!(
    /// What a runtime calls a container or a network configuration of its own. It is no name for DNS.
    RuntimeId,
    check_runtime_id,
    "a runtime's own id, of letters, digits, '_', '.' and '-', the first a letter or digit"
);
name!(
    /// What gethostname(2) says inside a container.
    Hostname,
    check_hostname,
    "what gethostname(2) says inside a container"
);
name!(
    /// Name of a network interface, 1 to 15 bytes.
    IfName,
    check_interface,
    "name of a network interface, 1 to 15 bytes"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for good in [
            "web",
            "my-net",
            "a",
            "10.0.0.1",
            "k8s_pod.ns",
            "Cli.Name",
            &"a".repeat(63),
        ] {
            assert!(NetworkName::new(good).is_ok(), "{good}");
            assert!(ContainerName::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn names_that_would_hurt_later_are_refused() {
        let bad = [
            "",
            " ",
            "a b",
            "a/b",
            "..",
            "a..b",
            "a.",
            "-a",
            "_a",
            "🦀",
            "a\n",
            "a\0b",
            "container:x",
            &"a".repeat(64),
            &"a.".repeat(100),
        ];
        for bad in bad {
            assert!(ContainerName::new(bad).is_err(), "{bad:?}");
            assert!(NetworkName::new(bad).is_err(), "{bad:?}");
            assert!(Alias::new(bad).is_err(), "{bad:?}");
        }
        assert!(NetworkName::new("default").is_err());
        assert!(Hostname::new(&format!("{}.b", "a".repeat(63))).is_err());
    }

    #[test]
    fn an_error_shows_the_character_and_the_rule() {
        let error = ContainerName::new("a/b").unwrap_err().to_string();
        assert_eq!(
            error,
            "\"a/b\" cannot be a container name: '/' is not allowed there; use letters, digits, '_', '.' and '-', \
             beginning with a letter or digit"
        );
        let error = Alias::new("").unwrap_err().to_string();
        assert_eq!(error, "an alias cannot be empty");
    }

    #[test]
    fn a_runtimes_ids_are_as_long_as_file_names() {
        let long = "default-".to_owned() + &"0f".repeat(32);
        for good in ["a", "a..b", "a.", &long, &"a".repeat(255)] {
            assert!(RuntimeId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "../a", "a/b", "-a", "a b", &"a".repeat(256)] {
            assert!(RuntimeId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn interface_names_are_the_kernels() {
        for good in [
            "eth0",
            "br-342c7e60094a",
            "veth1234567",
            "eth0.100",
            "wg-mullvad_1",
        ] {
            assert!(IfName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a b",
            "a/b",
            "a:b",
            ".",
            "..",
            "eth%d",
            "eth+",
            "sixteen-bytes-xx",
            "all",
            "-x",
        ] {
            assert!(IfName::new(bad).is_err(), "{bad}");
        }
    }
}
