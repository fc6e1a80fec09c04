//! Versions of the specification, and what each has.

use serde_json::Value;

use super::failure::{Code, Failure};

/// A version that this plugin speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    /// Results with interfaces, and chains.
    V0_3_1,
    /// CHECK.
    V0_4_0,
    /// Addresses without a version of IP.
    V1_0_0,
    /// GC and STATUS.
    V1_1_0,
}

impl Version {
    /// All of them, the eldest first.
    pub(super) const ALL: [Self; 4] = [Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];

    /// The newest of them.
    pub(super) const NEWEST: Self = Self::V1_1_0;

    /// As it is written.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// The version that a text names.
    pub(super) fn of(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
    }

    /// The version of a configuration or result. One that says none is of 0.1.0, by the rule of those days.
    pub(super) fn of_object(object: &Value) -> Result<Self, Failure> {
        let text = match &object["cniVersion"] {
            Value::Null => "0.1.0",
            Value::String(text) => text,
            other => {
                let message = format!("cniVersion is {other}: expected a text such as \"1.1.0\"");
                return Err(Failure::new(Code::Decode, message));
            }
        };
        Self::of(text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Failure::new(
                Code::Version,
                format!("incompatible CNI version {text:?}: netd-cni speaks {known}"),
            )
        })
    }

    /// Refuses a command that came with a later version.
    pub(super) fn require(self, needed: Self, command: &str) -> Result<(), Failure> {
        if self >= needed {
            return Ok(());
        }
        let (has, needs) = (self.as_str(), needed.as_str());
        Err(Failure::new(
            Code::Version,
            format!("{command} came with CNI {needs}, and the configuration is of {has}"),
        ))
    }
}
