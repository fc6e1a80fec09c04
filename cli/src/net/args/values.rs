//! Values of flags that the vocabulary has no type for.

use netd_api::container::ExposedPort;
use netd_api::{ParseSubnetError, PortRange, Protocol, Subnet};

/// `KEY=VALUE`, or `KEY` for an empty value, as Docker reads labels and options.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.trim().is_empty() {
        return Err("expected KEY=VALUE".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// A name, an id, or what else stands for a network or a container.
pub(super) fn word(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("expected a name or an id; `net ls` and `net ps` list them".to_owned());
    }
    Ok(text.to_owned())
}

/// What `--network` takes.
pub(super) fn network_mode(text: &str) -> Result<String, String> {
    if text == "container:" {
        return Err("expected container:NAME, such as container:web".to_owned());
    }
    word(text)
}

/// The subnet of another host's containers.
pub(super) fn other_subnet(text: &str) -> Result<Subnet, String> {
    text.parse().map_err(|error| match error {
        ParseSubnetError::HostBits { given, meant } => {
            format!("{given} has host bits set; the subnet is {meant}")
        }
        form @ ParseSubnetError::Form { .. } => form.to_string(),
    })
}

/// `NAME=ADDRESS`.
pub(super) fn named_address(text: &str) -> Result<(String, std::net::IpAddr), String> {
    let form = || "expected NAME=ADDRESS, such as printer=172.28.5.9".to_owned();
    let (name, address) = text.split_once('=').ok_or_else(form)?;
    if name.is_empty() {
        return Err(form());
    }
    Ok((name.to_owned(), address.parse().map_err(|_| form())?))
}

/// `PORT[-PORT][/PROTOCOL]`.
pub(super) fn exposed(text: &str) -> Result<ExposedPort, String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    Ok(ExposedPort {
        protocol: protocol.parse::<Protocol>().map_err(|e| e.to_string())?,
        ports: ports.parse::<PortRange>().map_err(|e| e.to_string())?,
    })
}

/// The texts that Docker takes for truth values (Go's strconv.ParseBool).
pub(super) fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}
