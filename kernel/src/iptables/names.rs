//! Names of the chains. Knows nothing of what stands in them.

/// Whose chain names to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChainPrefix {
    /// Docker's own: `DOCKER`, `DOCKER-ISOLATION-STAGE-1`, `DOCKER-ISOLATION-STAGE-2`.
    #[default]
    Docker,
    /// `NETD`, `NETD-ISOLATION-STAGE-1`, `NETD-ISOLATION-STAGE-2`: for a namespace in which another engine owns
    /// Docker's. `DOCKER-USER` is shared with it, since the rules there are the user's.
    Netd,
}

/// The names of the chains that netd makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainNames {
    /// Published ports, in the filter table and in the nat table.
    pub ports: &'static str,
    /// Packets that leave a bridge for another interface.
    pub stage_1: &'static str,
    /// Of those, packets to another bridge.
    pub stage_2: &'static str,
    /// The user's rules.
    pub user: &'static str,
}

impl ChainPrefix {
    /// The chains under this prefix.
    #[must_use]
    pub const fn names(self) -> ChainNames {
        match self {
            Self::Docker => ChainNames {
                ports: "DOCKER",
                stage_1: "DOCKER-ISOLATION-STAGE-1",
                stage_2: "DOCKER-ISOLATION-STAGE-2",
                user: "DOCKER-USER",
            },
            Self::Netd => ChainNames {
                ports: "NETD",
                stage_1: "NETD-ISOLATION-STAGE-1",
                stage_2: "NETD-ISOLATION-STAGE-2",
                user: "DOCKER-USER",
            },
        }
    }
}
