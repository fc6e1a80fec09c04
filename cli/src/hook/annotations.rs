//! What a container's annotations ask for. Their keys begin with [`PREFIX`], the domain reversed, as the OCI runtime
//! specification wants it (config.md, section "Annotations"). One that begins so and is not known is refused: passed
//! over in silence, it would be a promise that nobody keeps.

mod keys;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use netd_api::{
    Alias, ContainerName, DnsSettings, Hostname, Mac, PublishRequest, Rate, Rates, parse_burst,
    parse_rate,
};

use super::failure::Failure;
use crate::handover;
pub(super) use keys::{KEYS, PREFIX};

/// What a container wants on one network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Name or id of the network.
    pub(super) network: String,
    /// Addresses to have.
    pub(super) ips: Vec<IpAddr>,
    /// Ethernet address to have.
    pub(super) mac: Option<Mac>,
    /// Further names.
    pub(super) aliases: Vec<Alias>,
    /// How fast its traffic may be.
    pub(super) rates: Rates,
    /// Ports to publish.
    pub(super) ports: Vec<PublishRequest>,
}

impl Place {
    /// The default network has no names, as in Docker.
    pub(super) fn has_names(&self) -> bool {
        self.network != "bridge" && self.network != "default"
    }
}

/// Which files of netd stand in the container's /etc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Files {
    /// hosts, resolv.conf and hostname.
    #[default]
    Bound,
    /// None: those of the root stay.
    Own,
}

/// All that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// The networks, the first with `eth0`.
    pub(super) places: Vec<Place>,
    /// Its name, if that is not the runtime's id.
    pub(super) name: Option<ContainerName>,
    /// Its host name, if that is not the one of config.json.
    pub(super) hostname: Option<Hostname>,
    /// Resolver settings.
    pub(super) dns: DnsSettings,
    /// Its files.
    pub(super) files: Files,
}

impl Wishes {
    /// Reads the annotations of netd among all of a container's.
    pub(super) fn read(annotations: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let given = keys::given(annotations)?;
        let at = |key: &str| given.get(&(key, None)).copied();
        let Some(networks) = at("network") else {
            return Err(Failure::Annotation(format!(
                "{PREFIX}network is missing: give the name of a network, `net ls` lists them; `netd-hook example` prints all that a config.json needs"
            )));
        };
        let mut wishes = Self {
            name: at("name").map(|text| one("name", text)).transpose()?,
            hostname: at("hostname")
                .map(|text| one("hostname", text))
                .transpose()?,
            dns: DnsSettings {
                servers: list("dns", at("dns"))?,
                search: list("dns-search", at("dns-search"))?,
                options: list("dns-opts", at("dns-opts"))?,
            },
            files: match at("files") {
                None | Some("bound") => Files::Bound,
                Some("none") => Files::Own,
                Some(other) => return Err(wrong("files", other, "expected bound or none")),
            },
            places: Vec::new(),
        };
        for network in words(networks) {
            if wishes.places.iter().any(|place| place.network == network) {
                return Err(wrong("network", networks, "once is enough for each"));
            }
            let place = place(network, wishes.places.is_empty(), &given)?;
            wishes.places.push(place);
        }
        if wishes.places.is_empty() {
            return Err(wrong("network", networks, "expected a name"));
        }
        keys::check_networks(&given, &wishes.places)?;
        Ok(wishes)
    }
}

/// What is said of one network, by its name; what is said of none is about the first, and aliases about all.
fn place(network: &str, is_first: bool, given: &keys::Given<'_>) -> Result<Place, Failure> {
    let at = |key: &'static str| {
        let here = given.get(&(key, Some(network))).copied();
        here.or_else(|| given.get(&(key, None)).copied().filter(|_| is_first))
    };
    let mut place = Place {
        network: network.to_owned(),
        ips: addresses(at("ip"))?,
        mac: at("mac").map(|text| one("mac", text)).transpose()?,
        aliases: Vec::new(),
        rates: Rates {
            inward: rate(("rate-in", at("rate-in")), ("burst-in", at("burst-in")))?,
            outward: rate(("rate-out", at("rate-out")), ("burst-out", at("burst-out")))?,
        },
        ports: match at("ports") {
            // The sources of a port have commas between.
            Some(text) => ports(text)?,
            None => Vec::new(),
        },
    };
    let here = given.get(&("aliases", Some(network))).copied();
    let everywhere = given.get(&("aliases", None)).copied();
    place.aliases = list("aliases", here)?;
    if place.has_names() || is_first {
        place.aliases.extend(list("aliases", everywhere)?);
    }
    Ok(place)
}

fn wrong(key: &str, value: &str, why: impl std::fmt::Display) -> Failure {
    let mut shown = value.to_owned();
    if let Some((end, _)) = shown.char_indices().nth(100) {
        shown.truncate(end);
        shown.push_str("...");
    }
    Failure::Annotation(format!("{PREFIX}{key} is {shown:?}: {why}"))
}

/// Words with commas or blanks between.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_between = |sign: char| sign == ',' || sign.is_whitespace();
    text.split(is_between).filter(|word| !word.is_empty())
}

fn one<T: FromStr<Err: std::fmt::Display>>(key: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| wrong(key, text, error))
}

fn list<T: FromStr<Err: std::fmt::Display>>(
    key: &str,
    text: Option<&str>,
) -> Result<Vec<T>, Failure> {
    let text = text.unwrap_or_default();
    let word = |word: &str| word.parse().map_err(|error| wrong(key, text, error));
    words(text).map(word).collect()
}

fn addresses(text: Option<&str>) -> Result<Vec<IpAddr>, Failure> {
    let text = text.unwrap_or_default();
    let word = |word: &str| {
        handover::address(word)
            .ok_or_else(|| wrong("ip", text, format!("{word:?} is no IP address")))
    };
    words(text).map(word).collect()
}

/// A limit, as tc(8) writes it, and how much may come at once.
fn rate(
    (rate_key, rate): (&str, Option<&str>),
    (burst_key, burst): (&str, Option<&str>),
) -> Result<Option<Rate>, Failure> {
    let given = rate
        .map(|text| (rate_key, text))
        .or(burst.map(|text| (burst_key, text)));
    let rate = rate.map(|text| parse_rate(text).map_err(|error| wrong(rate_key, text, error)));
    let burst = burst.map(|text| parse_burst(text).map_err(|error| wrong(burst_key, text, error)));
    let limit = Rate::given(rate.transpose()?, burst.transpose()?);
    limit.map_err(|error| {
        let (key, text) = given.unwrap_or_default();
        wrong(key, text, error)
    })
}

fn ports(text: &str) -> Result<Vec<PublishRequest>, Failure> {
    let port = |word: &str| {
        let refused = |error| {
            wrong(
                "ports",
                text,
                format!("{error}; several have blanks between"),
            )
        };
        word.parse().map_err(refused)
    };
    text.split_whitespace().map(port).collect()
}

#[cfg(test)]
mod tests;
