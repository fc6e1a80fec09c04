//! What a user means by a word: a name, an id or the beginning of an id.

use std::collections::BTreeMap;
use std::sync::Arc;

use netd_model::{
    Container, ContainerId, ContainerName, Endpoint, Network, NetworkId, NetworkName, RuntimeId,
    RuntimeKey,
};

use super::State;

/// A word fits no object, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupError {
    /// Nothing of that name or id.
    Unknown,
    /// A prefix of these ids.
    Ambiguous(Vec<String>),
}

impl State {
    /// The network that a user means by a name, an id or the beginning of an id.
    ///
    /// # Errors
    /// [`LookupError`] when nothing or several fit.
    pub fn find_network(&self, word: &str) -> Result<&Arc<Network>, LookupError> {
        if let Some(network) = NetworkName::new(word)
            .ok()
            .and_then(|name| self.network_named(&name))
        {
            return Ok(network);
        }
        by_prefix(word, &self.networks, NetworkId::from_bytes)
    }

    /// The container that a user means by a name, an id or the beginning of an id.
    ///
    /// # Errors
    /// [`LookupError`] when nothing or several fit.
    pub fn find_container(&self, word: &str) -> Result<&Arc<Container>, LookupError> {
        if let Some(container) = ContainerName::new(word)
            .ok()
            .and_then(|name| self.container_named(&name))
        {
            return Ok(container);
        }
        by_prefix(word, &self.containers, ContainerId::from_bytes)
    }
}

impl State {
    /// The container that a runtime calls so.
    #[must_use]
    pub fn container_of_runtime(&self, id: &RuntimeId) -> Option<&Arc<Container>> {
        self.containers.get(self.runtime_ids.get(id)?)
    }

    /// The endpoints that a runtime knows by this key: one, and such as are on their way out still.
    #[must_use]
    pub fn endpoints_of_runtime(&self, key: &RuntimeKey) -> Vec<Arc<Endpoint>> {
        let Some(container) = self.container_of_runtime(&key.container) else {
            return Vec::new();
        };
        let mut endpoints = self.endpoints_of(container.id);
        endpoints.retain(|endpoint| {
            let inside = endpoint.interface.as_ref();
            endpoint.joined_as.as_ref() == Some(&key.network)
                && inside.is_some_and(|interface| interface.inside == key.interface)
        });
        endpoints
    }

    /// The keys under which a runtime knows endpoints of one of its network configurations.
    #[must_use]
    pub fn keys_of_runtime(&self, network: &RuntimeId) -> Vec<RuntimeKey> {
        let key = |endpoint: &Arc<Endpoint>| {
            Some(RuntimeKey {
                network: endpoint.joined_as.clone().filter(|name| name == network)?,
                container: self.container(endpoint.container)?.runtime_id.clone()?,
                interface: endpoint.interface.as_ref()?.inside.clone(),
            })
        };
        self.endpoints().filter_map(key).collect()
    }
}

fn by_prefix<'a, Id: Ord + ToString, T>(
    word: &str,
    all: &'a BTreeMap<Id, Arc<T>>,
    from_bytes: impl Fn([u8; 32]) -> Id,
) -> Result<&'a Arc<T>, LookupError> {
    let word = word.to_ascii_lowercase();
    let first = first_of_prefix(&word).ok_or(LookupError::Unknown)?;
    // Ids stand in the order of their digits.
    let fitting: Vec<(String, &'a Arc<T>)> = all
        .range(from_bytes(first)..)
        .map(|(id, object)| (id.to_string(), object))
        .take_while(|(id, _)| id.starts_with(&word))
        .collect();
    match &fitting[..] {
        [] => Err(LookupError::Unknown),
        [(_, one)] => Ok(*one),
        _ => Err(LookupError::Ambiguous(
            fitting.iter().map(|(id, _)| id[..12].to_owned()).collect(),
        )),
    }
}

/// The lowest id that begins with these hexadecimal digits, if that is what they are.
fn first_of_prefix(digits: &str) -> Option<[u8; 32]> {
    let mut first = [0; 32];
    if digits.is_empty() || digits.len() > 2 * first.len() {
        return None;
    }
    for (at, digit) in digits.chars().enumerate() {
        let value = u8::try_from(digit.to_digit(16)?).ok()?;
        first[at / 2] |= if at % 2 == 0 { value << 4 } else { value };
    }
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(first: [u8; 2]) -> ContainerId {
        let mut bytes = [0x5a; 32];
        bytes[..2].copy_from_slice(&first);
        ContainerId::from_bytes(bytes)
    }

    #[test]
    fn an_object_is_found_by_any_beginning_of_its_id_that_no_other_has() {
        let ids = [[0x0f, 0xff], [0xa0, 0x00], [0xa0, 0x1f], [0xff, 0xff]].map(id);
        let all: BTreeMap<_, _> = ids.iter().map(|id| (*id, Arc::new(*id))).collect();
        let find = |word: &str| by_prefix(word, &all, ContainerId::from_bytes).map(|one| **one);
        for (word, one) in [
            ("0", ids[0]),
            ("0f", ids[0]),
            ("A000", ids[1]),
            ("a01", ids[2]),
            ("ffff5", ids[3]),
            (&ids[1].to_string(), ids[1]),
        ] {
            assert_eq!(find(word), Ok(one), "{word}");
        }
        let both = ids[1..3].iter().map(|id| id.short()).collect();
        assert_eq!(find("a0"), Err(LookupError::Ambiguous(both)));
        for word in ["", "1", "a02", "fff0", "web", "0x0f", &"0".repeat(65)] {
            assert_eq!(find(word), Err(LookupError::Unknown), "{word}");
        }
    }
}
