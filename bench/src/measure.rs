//! What is measured, in the order of the report, with the words and units that people read. Pure.

use serde::{Deserialize, Serialize};

/// Something that is measured in every lane that can do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Measure {
    /// Connect a known container, which has a fresh namespace, to a network that nobody else is on.
    Attach,
    /// Disconnect it.
    Detach,
    /// Make a network.
    Create,
    /// Remove it.
    Remove,
}

/// Whether small or large figures are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Times, memory.
    Small,
    /// Rates.
    Large,
}

impl Measure {
    /// Heading of its table.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Attach => "Attach one container",
            Self::Detach => "Detach it",
            Self::Create => "Create a network",
            Self::Remove => "Remove it",
        }
    }

    /// What is measured and how, for people.
    #[must_use]
    pub fn note(self) -> &'static str {
        match self {
            Self::Attach => {
                "From the request to the answer: a known container with a fresh namespace joins a network that nobody else is on."
            }
            Self::Detach => {
                "Until it is acknowledged. What goes on afterwards, such as the deletion of the pair, is waited for but not counted."
            }
            Self::Create => "A bridge network with defaults.",
            Self::Remove => "Until it is acknowledged; a network that nobody is on.",
        }
    }

    /// Unit of its values.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Attach | Self::Detach | Self::Create | Self::Remove => "ms",
        }
    }

    /// What its places are the number of; `None` when it has only one.
    #[must_use]
    pub fn axis(self) -> Option<&'static str> {
        match self {
            Self::Attach | Self::Detach | Self::Create | Self::Remove => None,
        }
    }

    /// Which figures are good.
    #[must_use]
    pub fn better(self) -> Better {
        match self {
            Self::Attach | Self::Detach | Self::Create | Self::Remove => Better::Small,
        }
    }

    /// Name of its plot's file, without ending.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Detach => "detach",
            Self::Create => "create",
            Self::Remove => "remove",
        }
    }
}
