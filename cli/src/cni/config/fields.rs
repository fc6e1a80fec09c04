//! Reading objects of a configuration: no key is passed over.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cni::failure::Failure;

/// Refuses keys that are not known, but those that the specification keeps for itself.
pub(super) fn only(what: &str, object: &Value, known: &[&str]) -> Result<(), Failure> {
    let stranger = |key: &&String| !known.contains(&key.as_str()) && !key.starts_with("cni.dev/");
    let mut keys = object.as_object().into_iter().flat_map(|map| map.keys());
    match keys.find(stranger) {
        Some(key) => {
            let field = match what {
                "" => key.clone(),
                what => format!("{what}.{key}"),
            };
            let why = format!("netd-cni knows {}", known.join(", "));
            Err(Failure::unsupported(&field, &object[key.as_str()], &why))
        }
        None => Ok(()),
    }
}

/// Reads an object that has these keys and no others.
pub(super) fn fields<T: DeserializeOwned>(
    what: &str,
    value: &Value,
    known: &[&str],
) -> Result<T, Failure> {
    if !value.is_object() {
        return Err(Failure::config(format!(
            "{what} is {value}: expected an object"
        )));
    }
    only(what, value, known)?;
    typed(what, value)
}

/// Reads a value of a type.
pub(super) fn typed<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(|error| Failure::config(format!("{what}: {error}")))
}
