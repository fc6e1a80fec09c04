//! A network that is wanted by its description: made on first use, once, whoever else wants it at the same moment.

use std::sync::Arc;

use netd_api::{NetworkRequest, PoolRequest};
use netd_model::{Network, Phase, PoolSpec};

use super::{Engine, EngineError, RuntimeError};

impl Engine {
    /// The network of this name, made if there is none; tells which.
    ///
    /// # Errors
    /// [`RuntimeError::DescribedOtherwise`] if it is there and not as described; else why it could not be made.
    pub(super) async fn ensure_network(
        &self,
        request: NetworkRequest,
    ) -> Result<Ensured, EngineError> {
        if let Some(network) = self.standing(&request).await? {
            return agreeing(network, &request);
        }
        // The others find it there once the first has made it.
        let _one = self.describing.lock().await;
        if let Some(network) = self.standing(&request).await? {
            return agreeing(network, &request);
        }
        match self.create_network(request.clone()).await {
            // Somebody else made it by this name, who did not wait here.
            Err(taken @ EngineError::NetworkExists { .. }) => {
                let network = self.standing(&request).await?.ok_or(taken)?;
                agreeing(network, &request)
            }
            made => Ok(Ensured::Made(made?)),
        }
    }

    /// Removes a network that was made for one who did not come onto it after all, unless others are on it by now.
    pub(super) async fn withdraw(&self, ensured: &Ensured) {
        let Ensured::Made(network) = ensured else {
            return;
        };
        match self.remove_network(network.id).await {
            Ok(()) | Err(EngineError::InUse { .. } | EngineError::NetworkNotFound(_)) => {}
            Err(error) => {
                tracing::warn!(network = %network.name, error = %error.sentence(), "a network that nobody came onto stays");
            }
        }
    }

    /// The network of that name, once whoever is about to make or remove it has come to an end.
    async fn standing(
        &self,
        request: &NetworkRequest,
    ) -> Result<Option<Arc<Network>>, EngineError> {
        let find = || {
            let name = request.name.clone();
            self.look(move |state| state.network_named(&name).cloned())
        };
        let Some(network) = find().await? else {
            return Ok(None);
        };
        if network.phase == Phase::Attached {
            return Ok(Some(network));
        }
        let _lane = self.networks.shared(network.id).await;
        let settled = find().await?;
        Ok(settled.filter(|network| network.phase == Phase::Attached))
    }
}

/// A network that was wanted by its description.
#[derive(Clone, Debug)]
pub(super) enum Ensured {
    /// It was there.
    There(Arc<Network>),
    /// It was made for this.
    Made(Arc<Network>),
}

impl Ensured {
    /// The network.
    pub(super) fn network(&self) -> &Arc<Network> {
        match self {
            Self::There(network) | Self::Made(network) => network,
        }
    }
}

fn agreeing(network: Arc<Network>, request: &NetworkRequest) -> Result<Ensured, EngineError> {
    if network.is_builtin() {
        return Err(EngineError::Builtin {
            name: network.name.to_string(),
            action: "described",
        });
    }
    match difference(&network, request) {
        None => Ok(Ensured::There(network)),
        Some((has, described)) => Err(RuntimeError::DescribedOtherwise {
            network: network.name.clone(),
            has,
            described,
        }
        .into()),
    }
}

/// What the network has, and what was described in its place; `None` where nothing contradicts.
fn difference(network: &Network, request: &NetworkRequest) -> Option<(String, String)> {
    if network.bridge().is_none() {
        let driver = network.driver.name();
        return Some((format!("driver {driver}"), "driver bridge".to_owned()));
    }
    if let Some(difference) = difference_of_pools(&network.pools, &request.pools) {
        return Some(difference);
    }
    if network.policy.internal != request.internal {
        let shown = |internal: bool| format!("internal {internal}");
        return Some((shown(network.policy.internal), shown(request.internal)));
    }
    if network.options != request.options {
        let shown = |options: &std::collections::BTreeMap<String, String>| match options.is_empty()
        {
            true => "no options".to_owned(),
            false => {
                let each = options.iter().map(|(key, value)| format!("{key}={value}"));
                format!("options {}", each.collect::<Vec<_>>().join(" "))
            }
        };
        return Some((shown(&network.options), shown(&request.options)));
    }
    None
}

/// As [`difference`], of the subnets. One that the daemon may choose contradicts nothing.
fn difference_of_pools(has: &[PoolSpec], described: &[PoolRequest]) -> Option<(String, String)> {
    for pool in described {
        let Some(subnet) = pool.subnet else { continue };
        let there = has.iter().find(|there| there.subnet == subnet);
        let Some(there) = there else {
            return Some((subnets(has), format!("subnet {subnet}")));
        };
        if pool.gateway.is_some_and(|gateway| gateway != there.gateway) {
            let asked = pool.gateway.map(|gateway| gateway.to_string());
            let asked = asked.unwrap_or_default();
            return Some((
                format!("gateway {}", there.gateway),
                format!("gateway {asked}"),
            ));
        }
        if pool.range != there.range {
            let shown = |range: Option<netd_model::Subnet>| match range {
                Some(range) => format!("range {range}"),
                None => "no range".to_owned(),
            };
            return Some((shown(there.range), shown(pool.range)));
        }
    }
    let all_named = described.iter().all(|pool| pool.subnet.is_some());
    if all_named && !described.is_empty() && described.len() != has.len() {
        let asked = described.iter().filter_map(|pool| pool.subnet);
        let asked: Vec<_> = asked.map(|subnet| subnet.to_string()).collect();
        return Some((subnets(has), format!("subnet {}", asked.join(" and "))));
    }
    None
}

fn subnets(pools: &[PoolSpec]) -> String {
    let each: Vec<_> = pools.iter().map(|pool| pool.subnet.to_string()).collect();
    format!("subnet {}", each.join(" and "))
}
