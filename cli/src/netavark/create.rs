//! `create`: completes a definition that a user asked Podman for. Newer versions have netavark do it, and write down what
//! comes back; older ones do it themselves.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use netd_api::{Client, IfName, IpNetwork, NetworkName, NetworkView, Subnet};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::free::{self, Pool};
use super::network::{BRIDGE, MADE, Meant, last_usable};
use super::shares;
use super::wire::{LeaseRange, Network, SubnetOf};

/// The body.
#[derive(Debug, Deserialize)]
pub(super) struct Create {
    /// What the user said. What is not known here stays in it.
    network: Map<String, Value>,
    /// What there is already.
    #[serde(default)]
    used: Used,
    /// Podman's configuration.
    #[serde(default)]
    options: Options,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Used {
    interfaces: Vec<String>,
    names: BTreeMap<String, String>,
    subnets: Vec<IpNetwork>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    subnet_pools: Vec<Pool>,
    default_interface_name: Option<String>,
    check_used_subnets: bool,
}

impl Create {
    /// Reads the body.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(bytes).map_err(|error| Failure::Decode(error.to_string()))
    }

    /// The whole definition. A daemon that is away is no reason to refuse: it says at the first container what cannot be.
    pub(super) fn complete(mut self, client: &Client) -> Result<Value, Failure> {
        let name = self.name()?;
        let networks = client.networks().unwrap_or_default();
        self.fill("driver", "bridge".into());
        self.choose_bridge(&networks);
        if self.gives_addresses()? {
            let there = networks.iter().find(|view| view.name == name);
            let subnets = match there.filter(|view| !view.labels.contains_key(MADE)) {
                Some(view) if self.subnets()?.is_empty() => adopted(view),
                _ => self.chosen(&networks)?,
            };
            self.put_subnets(&subnets);
        } else {
            self.network.insert("dns_enabled".to_owned(), false.into());
        }
        self.network
            .insert("created".to_owned(), Timestamp::now().to_string().into());
        let whole: Network = self.read()?;
        if whole.network_dns_servers.is_some() && !whole.dns_enabled {
            let why =
                "it has no names, so nobody asks its resolvers; leave out --dns or --disable-dns";
            return Err(Failure::network(&whole.name, why));
        }
        // What netd could not make is refused here, and not at the first container.
        let _ = Meant::read(&whole)?;
        Ok(Value::Object(self.network))
    }

    fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, Failure> {
        let whole = Value::Object(self.network.clone());
        serde_json::from_value(whole).map_err(|error| Failure::Decode(format!("network: {error}")))
    }

    fn name(&self) -> Result<NetworkName, Failure> {
        let name = self.network.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| Failure::Decode("network has no name".to_owned()))?;
        if self.used.names.contains_key(name) {
            let why = "Podman has one of that name; choose another, or `podman network rm` it";
            return Err(Failure::network(name, why));
        }
        name.parse()
            .map_err(|error| Failure::network(name, format!("{error}")))
    }

    fn text(&self, key: &str) -> &str {
        self.network
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn is(&self, key: &str) -> bool {
        self.network.get(key) == Some(&Value::Bool(true))
    }

    /// Gives a key a value, unless it has one.
    fn fill(&mut self, key: &str, value: Value) {
        if self.text(key).is_empty() {
            self.network.insert(key.to_owned(), value);
        }
    }

    /// The first free name of a bridge, as Podman counts them.
    fn choose_bridge(&mut self, networks: &[NetworkView]) {
        let prefix = self.options.default_interface_name.as_deref();
        let prefix = prefix.unwrap_or("podman");
        let is_free = |name: &String| {
            !self.used.interfaces.contains(name)
                && !self.used.names.contains_key(name)
                && !networks
                    .iter()
                    .any(|view| view.options.get(BRIDGE) == Some(name))
        };
        let mut names = (1..=u16::MAX).map(|number| format!("{prefix}{number}"));
        let free = names.find(|name| is_free(name) && name.parse::<IfName>().is_ok());
        if let Some(free) = free {
            self.fill("network_interface", free.into());
        }
    }

    /// Whether Podman is to give out addresses; says so in the definition.
    fn gives_addresses(&mut self) -> Result<bool, Failure> {
        let given = self.network.entry("ipam_options").or_insert(Value::Null);
        if given.is_null() {
            *given = json!({});
        }
        let wrong = |what: &str| Failure::Decode(format!("network, ipam_options: {what}"));
        let options = given.as_object_mut().ok_or_else(|| wrong("no object"))?;
        let driver = options.entry("driver").or_insert(Value::Null);
        if driver.is_null() || driver == "" {
            *driver = "host-local".into();
        }
        let driver = driver
            .as_str()
            .ok_or_else(|| wrong("driver is no string"))?
            .to_owned();
        if driver != "none" || self.subnets()?.is_empty() {
            return Ok(driver != "none");
        }
        let why =
            "with the ipam driver none it has no subnets; leave out --subnet or --ipam-driver";
        Err(Failure::network(self.text("name"), why))
    }

    fn subnets(&self) -> Result<Vec<SubnetOf>, Failure> {
        #[derive(Deserialize)]
        struct Given {
            subnet: IpNetwork,
            #[serde(default)]
            gateway: Option<IpAddr>,
            #[serde(default)]
            lease_range: Option<LeaseRange>,
        }
        let given = match self.network.get("subnets") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(given) => Vec::<Given>::deserialize(given),
        };
        let given = given.map_err(|error| Failure::Decode(format!("network, subnets: {error}")))?;
        let whole = |one: Given| SubnetOf {
            subnet: Subnet::containing(one.subnet),
            gateway: one.gateway,
            lease_range: one.lease_range,
        };
        Ok(given.into_iter().map(whole).collect())
    }

    /// The subnets of the user, or free ones of the families that are wanted; each with a gateway if it is to have one.
    fn chosen(&self, networks: &[NetworkView]) -> Result<Vec<SubnetOf>, Failure> {
        let refused = |why: String| Failure::network(self.text("name"), why);
        let mut used: Vec<Subnet> = Vec::new();
        if self.options.check_used_subnets {
            used.extend(self.used.subnets.iter().copied().map(Subnet::containing));
            let pools = networks.iter().flat_map(|view| &view.ipam.config);
            used.extend(pools.filter_map(|pool| pool.subnet.parse::<Subnet>().ok()));
        }
        let mut subnets = self.subnets()?;
        free::check(&subnets, &used).map_err(refused)?;
        let has = |subnets: &[SubnetOf], ipv4: bool| {
            let mut each = subnets.iter();
            each.any(|one| one.subnet.is_ipv4() == ipv4)
        };
        if subnets.is_empty() || (self.is("ipv6_enabled") && !has(&subnets, true)) {
            let pool = free::ipv4(&self.options.subnet_pools, &used).map_err(refused)?;
            subnets.push(pool);
        }
        if self.is("ipv6_enabled") && !has(&subnets, false) {
            subnets.push(free::ipv6(&used).map_err(refused)?);
        }
        if !self.is("internal") || self.is("dns_enabled") {
            for one in &mut subnets {
                one.gateway = one.gateway.or_else(|| one.subnet.nth(1));
            }
        }
        Ok(subnets)
    }

    fn put_subnets(&mut self, subnets: &[SubnetOf]) {
        let shown = subnets.iter().map(|one| {
            let mut shown = json!({ "subnet": one.subnet });
            if let Some(gateway) = one.gateway {
                shown["gateway"] = gateway.to_string().into();
            }
            if let Some(range) = one.lease_range {
                shown["lease_range"] = json!(range);
            }
            shown
        });
        let has_ipv6 = subnets.iter().any(|one| !one.subnet.is_ipv4());
        let shown: Vec<Value> = shown.collect();
        self.network.insert("subnets".to_owned(), shown.into());
        self.network
            .insert("ipv6_enabled".to_owned(), has_ipv6.into());
    }
}

/// The subnets of a network that netd has by that name. Podman gives out what netd does not, or else the upper half,
/// since netd begins below.
fn adopted(view: &NetworkView) -> Vec<SubnetOf> {
    let pools = view.ipam.config.iter().filter_map(|pool| {
        let subnet: Subnet = pool.subnet.parse().ok()?;
        let of_netd: Option<Subnet> = pool.ip_range.parse().ok();
        let mut one = SubnetOf {
            subnet,
            gateway: pool.gateway.parse().ok().or_else(|| subnet.nth(1)),
            lease_range: of_netd.map(|range| LeaseRange {
                start_ip: Some(range.first()),
                end_ip: Some(range.last()),
            }),
        };
        one.lease_range = shares::of_others(&one).map(|part| LeaseRange {
            start_ip: match part.first() == subnet.first() {
                true => part.nth(1),
                false => Some(part.first()),
            },
            end_ip: match part.last() == subnet.last() {
                true => Some(last_usable(part)),
                false => Some(part.last()),
            },
        });
        Some(one)
    });
    pools.collect()
}
