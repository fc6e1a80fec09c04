//! What a word came to that fits no object, or several.

use super::EngineError;
use crate::state::LookupError;

impl EngineError {
    /// What `find_network` said of a word.
    #[must_use]
    pub fn network_lookup(word: &str, error: LookupError) -> Self {
        match error {
            LookupError::Unknown => Self::NetworkNotFound(word.to_owned()),
            LookupError::Ambiguous(fitting) => Self::Ambiguous {
                word: word.to_owned(),
                fitting,
            },
        }
    }

    /// What `find_container` said of a word.
    #[must_use]
    pub fn container_lookup(word: &str, error: LookupError) -> Self {
        match error {
            LookupError::Unknown => Self::ContainerNotFound(word.to_owned()),
            LookupError::Ambiguous(fitting) => Self::Ambiguous {
                word: word.to_owned(),
                fitting,
            },
        }
    }
}
