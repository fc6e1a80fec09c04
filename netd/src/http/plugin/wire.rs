//! The forms of the protocol, under its own names. An empty text stands for what is left out.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::refused::Refused;

/// Answer to `Plugin.Activate`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Manifest {
    pub(super) implements: &'static [&'static str],
}

/// An answer without content.
#[derive(Debug, Serialize)]
pub(super) struct Done {}

/// Answer to `IpamDriver.GetCapabilities`.
#[derive(Debug, Serialize)]
pub(super) struct IpamCapabilities {
    #[serde(rename = "RequiresMACAddress")]
    pub(super) requires_mac_address: bool,
    #[serde(rename = "RequiresRequestReplay")]
    pub(super) requires_request_replay: bool,
}

/// Answer to `IpamDriver.GetDefaultAddressSpaces`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AddressSpaces {
    pub(super) local_default_address_space: &'static str,
    pub(super) global_default_address_space: &'static str,
}

/// `IpamDriver.RequestPool`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PoolRequest {
    pub(super) address_space: String,
    #[serde(default)]
    pub(super) pool: String,
    #[serde(default)]
    pub(super) sub_pool: String,
    #[serde(default)]
    pub(super) options: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) v6: bool,
}

/// Answer to it.
#[derive(Debug, Serialize)]
pub(super) struct PoolAnswer {
    #[serde(rename = "PoolID")]
    pub(super) pool_id: String,
    #[serde(rename = "Pool")]
    pub(super) pool: String,
    #[serde(rename = "Data")]
    pub(super) data: BTreeMap<&'static str, String>,
}

/// `IpamDriver.ReleasePool`.
#[derive(Debug, Deserialize)]
pub(super) struct PoolRelease {
    #[serde(rename = "PoolID")]
    pub(super) pool_id: String,
}

/// `IpamDriver.RequestAddress`.
#[derive(Debug, Deserialize)]
pub(super) struct AddressRequest {
    #[serde(rename = "PoolID")]
    pub(super) pool_id: String,
    #[serde(rename = "Address", default)]
    pub(super) address: String,
    #[serde(rename = "Options", default)]
    pub(super) options: Option<BTreeMap<String, String>>,
}

/// Answer to it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AddressAnswer {
    pub(super) address: String,
    pub(super) data: BTreeMap<&'static str, String>,
}

/// `IpamDriver.ReleaseAddress`.
#[derive(Debug, Deserialize)]
pub(super) struct AddressRelease {
    #[serde(rename = "PoolID")]
    pub(super) pool_id: String,
    #[serde(rename = "Address")]
    pub(super) address: String,
}

/// Answer to `NetworkDriver.GetCapabilities`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Capabilities {
    pub(super) scope: &'static str,
    pub(super) connectivity_scope: &'static str,
}

/// Answer to `NetworkDriver.AllocateNetwork`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Allocated {
    pub(super) options: BTreeMap<String, String>,
}

/// `NetworkDriver.CreateNetwork`.
#[derive(Debug, Deserialize)]
pub(super) struct NetworkRequest {
    #[serde(rename = "NetworkID")]
    pub(super) network_id: String,
    #[serde(rename = "Options", default)]
    pub(super) options: Option<BTreeMap<String, Value>>,
    #[serde(rename = "IPv4Data", default)]
    pub(super) ipv4_data: Option<Vec<IpamData>>,
    #[serde(rename = "IPv6Data", default)]
    pub(super) ipv6_data: Option<Vec<IpamData>>,
}

/// A subnet of a network, with what the engine's IPAM chose in it; addresses have the subnet's prefix.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct IpamData {
    pub(super) pool: String,
    #[serde(default)]
    pub(super) gateway: String,
    #[serde(default)]
    pub(super) aux_addresses: Option<BTreeMap<String, String>>,
}

/// A network by the engine's identity.
#[derive(Debug, Deserialize)]
pub(super) struct NetworkName {
    #[serde(rename = "NetworkID")]
    pub(super) network_id: String,
}

/// `NetworkDriver.CreateEndpoint`.
#[derive(Debug, Deserialize)]
pub(super) struct EndpointRequest {
    #[serde(rename = "NetworkID")]
    pub(super) network_id: String,
    #[serde(rename = "EndpointID")]
    pub(super) endpoint_id: String,
    #[serde(rename = "Interface", default)]
    pub(super) interface: Option<Interface>,
}

/// Addresses of an endpoint.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Interface {
    #[serde(rename = "Address")]
    pub(super) address: String,
    #[serde(rename = "AddressIPv6")]
    pub(super) address_ipv6: String,
    #[serde(rename = "MacAddress")]
    pub(super) mac_address: String,
}

/// Answer to `NetworkDriver.CreateEndpoint`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EndpointAnswer {
    pub(super) interface: Interface,
}

/// An endpoint by the engine's identities; that of the endpoint is enough for netd.
#[derive(Debug, Deserialize)]
pub(super) struct EndpointName {
    #[serde(rename = "EndpointID")]
    pub(super) endpoint_id: String,
}

/// Answer to `NetworkDriver.EndpointOperInfo`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OperationalInfo {
    pub(super) value: BTreeMap<&'static str, String>,
}

/// `NetworkDriver.Join`.
#[derive(Debug, Deserialize)]
pub(super) struct JoinRequest {
    #[serde(rename = "NetworkID")]
    pub(super) network_id: String,
    #[serde(rename = "EndpointID")]
    pub(super) endpoint_id: String,
}

/// Answer to `NetworkDriver.Join`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct JoinAnswer {
    pub(super) interface_name: InterfaceName,
    pub(super) gateway: String,
    #[serde(rename = "GatewayIPv6")]
    pub(super) gateway_ipv6: String,
    pub(super) disable_gateway_service: bool,
}

/// The interface to take, and what it is called inside, without a number.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InterfaceName {
    pub(super) src_name: String,
    pub(super) dst_prefix: String,
}

/// `NetworkDriver.ProgramExternalConnectivity`.
#[derive(Debug, Deserialize)]
pub(super) struct PortsRequest {
    #[serde(rename = "EndpointID")]
    pub(super) endpoint_id: String,
    #[serde(rename = "Options", default)]
    pub(super) options: Option<EndpointOptions>,
}

/// Those of an endpoint's options that netd reads.
#[derive(Debug, Default, Deserialize)]
pub(super) struct EndpointOptions {
    #[serde(rename = "com.docker.network.portmap", default)]
    pub(super) port_map: Option<Vec<PortBinding>>,
}

/// A port of the container on the host. Ports of 0 are for the driver to choose.
#[derive(Debug, Deserialize)]
pub(super) struct PortBinding {
    #[serde(rename = "Proto")]
    pub(super) protocol: u8,
    #[serde(rename = "Port")]
    pub(super) port: u16,
    #[serde(rename = "HostIP", default)]
    pub(super) host_ip: String,
    #[serde(rename = "HostPort", default)]
    pub(super) host_port: u16,
    #[serde(rename = "HostPortEnd", default)]
    pub(super) host_port_end: u16,
}

/// A text of the request as what it stands for.
pub(super) fn parsed<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, Refused> {
    text.parse()
        .map_err(|error| Refused::because(format!("{field}: {error}")))
}

/// The same of a text that may be empty.
pub(super) fn optional<T: FromStr<Err: Display>>(
    field: &str,
    text: &str,
) -> Result<Option<T>, Refused> {
    match text {
        "" => Ok(None),
        text => parsed(field, text).map(Some),
    }
}
