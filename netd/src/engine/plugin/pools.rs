//! Docker's IPAM: pools and single addresses that the engine takes and gives back. They are netd's own: what is held for
//! the engine nobody else gets, and what others have the engine is refused.

use std::net::IpAddr;

use netd_ipam::PoolRequest;
use netd_model::{DockerPool, IpNetwork, Subnet};

use crate::engine::pools::{Family, chosen, used_subnets};
use crate::engine::{DockerError, Engine, EngineError};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::{Change, DockerChange};

/// A pool as an engine asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolAsked {
    /// All addresses; `None` leaves the choice to netd.
    pub subnet: Option<Subnet>,
    /// The part to hand out addresses from.
    pub range: Option<Subnet>,
    /// Whether a subnet that netd chooses is of IPv6.
    pub ipv6: bool,
}

/// A pool as an engine gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolGranted {
    /// All addresses.
    pub subnet: Subnet,
    /// The gateway, if a network of netd has the subnet already.
    pub gateway: Option<IpAddr>,
}

/// An address as an engine asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressAsked {
    /// The pool's subnet.
    pub pool: Subnet,
    /// This one; `None` for any that is free.
    pub address: Option<IpAddr>,
    /// Whether it is to be the network's gateway, which all who ask get alike.
    pub is_gateway: bool,
}

impl Engine {
    /// Gives a Docker engine a pool, or counts it once more. The subnet of a network that is there is given as it is.
    ///
    /// # Errors
    /// [`EngineError`] says who has addresses of it.
    pub async fn request_pool(&self, asked: PoolAsked) -> Result<PoolGranted, EngineError> {
        let routes = self.kernel(|kernel| kernel.routed_subnets()).await?;
        let defaults = self.settings.pools.clone();
        let plan = move |state: &State, family, request| {
            let used = used_subnets(state, &routes, None);
            chosen(family, Some(request), (&defaults, state.instance()), &used)
                .map(|spec| spec.subnet)
        };
        self.turns
            .take(move |ledger| {
                let state = ledger.state();
                let pool = match (asked.subnet, asked.range) {
                    (None, Some(range)) => return Err(DockerError::RangeAlone(range).into()),
                    (Some(subnet), range) => match known(state, subnet, range)? {
                        Some(pool) => pool,
                        None => {
                            let request = PoolRequest {
                                subnet: Some(subnet),
                                range,
                                ..PoolRequest::default()
                            };
                            fresh(plan(state, family_of(!subnet.is_ipv4()), request)?, range)
                        }
                    },
                    (None, None) => {
                        let family = family_of(asked.ipv6);
                        fresh(plan(state, family, PoolRequest::default())?, None)
                    }
                };
                let granted = PoolGranted {
                    subnet: pool.subnet,
                    gateway: gateway_of(state, pool.subnet),
                };
                ledger.commit(&[Change::Docker(DockerChange::PutPool(pool))])?;
                Ok(granted)
            })
            .await?
    }

    /// Takes a pool back, once it was given back as often as it was asked for, with all addresses that are held in it.
    ///
    /// # Errors
    /// [`DockerError::UnknownPool`].
    pub async fn release_pool(&self, subnet: Subnet) -> Result<(), EngineError> {
        self.turns
            .take(move |ledger| {
                let pool = pool_of(ledger.state(), subnet)?;
                let change = match pool.references {
                    0 | 1 => Change::Docker(DockerChange::RemovePool(subnet)),
                    more => Change::Docker(DockerChange::PutPool(DockerPool {
                        references: more - 1,
                        ..pool
                    })),
                };
                Ok(ledger.commit(&[change])?)
            })
            .await?
    }

    /// Holds an address for a Docker engine; gives it with its pool's prefix.
    ///
    /// # Errors
    /// [`EngineError`] says who has it, or that none is left.
    pub async fn request_address(&self, asked: AddressAsked) -> Result<IpNetwork, EngineError> {
        self.turns
            .take(move |ledger| {
                let address = match asked.is_gateway {
                    true => hold_gateway(ledger, asked)?,
                    false => hold(ledger, asked)?,
                };
                Ok(asked.pool.with_address(address))
            })
            .await?
    }

    /// Lets go of an address. One that is not held is let go of already, and the gateway stays as long as its pool.
    ///
    /// # Errors
    /// [`DockerError::UnknownPool`].
    pub async fn release_address(&self, pool: Subnet, address: IpAddr) -> Result<(), EngineError> {
        self.turns
            .take(move |ledger| {
                let state = ledger.state();
                let known = pool_of(state, pool)?;
                let stays = known.gateway == Some(address) || !pool.contains(address);
                if stays || !state.is_held(address) {
                    return Ok(());
                }
                Ok(ledger.commit(&[Change::Docker(DockerChange::LetGo(address))])?)
            })
            .await?
    }
}

fn family_of(ipv6: bool) -> Family {
    match ipv6 {
        true => Family::V6,
        false => Family::V4,
    }
}

fn fresh(subnet: Subnet, range: Option<Subnet>) -> DockerPool {
    DockerPool {
        subnet,
        range,
        gateway: None,
        references: 1,
    }
}

fn pool_of(state: &State, subnet: Subnet) -> Result<DockerPool, EngineError> {
    match state.docker_pool(subnet) {
        Some(pool) => Ok(DockerPool::clone(pool)),
        None => Err(DockerError::UnknownPool(subnet).into()),
    }
}

fn gateway_of(state: &State, subnet: Subnet) -> Option<IpAddr> {
    let mut pools = state.network_with(subnet)?.pools.iter();
    let pool = pools.find(|pool| pool.subnet == subnet)?;
    Some(pool.gateway)
}

/// The pool of a subnet that an engine or a network has already, counted once more.
fn known(
    state: &State,
    subnet: Subnet,
    range: Option<Subnet>,
) -> Result<Option<DockerPool>, EngineError> {
    let pool = match (state.docker_pool(subnet), state.network_with(subnet)) {
        (Some(pool), _) => DockerPool {
            references: pool.references.saturating_add(1),
            ..DockerPool::clone(pool)
        },
        (None, Some(network)) if network.is_builtin() => {
            return Err(DockerError::BuiltinSubnet {
                subnet,
                network: network.name.clone(),
            }
            .into());
        }
        (None, Some(network)) => {
            let mut pools = network.pools.iter();
            let spec = pools.find(|pool| pool.subnet == subnet);
            fresh(subnet, spec.and_then(|spec| spec.range))
        }
        (None, None) => return Ok(None),
    };
    match range {
        Some(asked) if pool.range != Some(asked) => Err(DockerError::OtherRange {
            subnet,
            has: pool.range.unwrap_or(subnet),
            asked,
        }
        .into()),
        _ => Ok(Some(pool)),
    }
}

/// All who ask for the gateway of a pool get the same one.
fn hold_gateway(ledger: &mut Ledger, asked: AddressAsked) -> Result<IpAddr, EngineError> {
    let state = ledger.state();
    let pool = pool_of(state, asked.pool)?;
    let has = gateway_of(state, asked.pool).or(pool.gateway);
    match (has, asked.address) {
        (Some(has), Some(other)) if has != other => Err(DockerError::OtherGateway {
            subnet: asked.pool,
            has,
            asked: other,
        }
        .into()),
        (Some(has), _) => Ok(has),
        (None, wanted) => {
            let gateway = choose(state, asked.pool, wanted)?;
            let pool = DockerPool {
                gateway: Some(gateway),
                ..pool
            };
            ledger.commit(&[
                Change::Docker(DockerChange::PutPool(pool)),
                Change::Docker(DockerChange::Hold(asked.pool, gateway)),
            ])?;
            Ok(gateway)
        }
    }
}

fn hold(ledger: &mut Ledger, asked: AddressAsked) -> Result<IpAddr, EngineError> {
    let state = ledger.state();
    pool_of(state, asked.pool)?;
    let address = choose(state, asked.pool, asked.address)?;
    ledger.commit(&[Change::Docker(DockerChange::Hold(asked.pool, address))])?;
    Ok(address)
}

fn choose(state: &State, subnet: Subnet, wanted: Option<IpAddr>) -> Result<IpAddr, EngineError> {
    let book = state
        .addresses_of_docker(subnet)
        .ok_or(DockerError::UnknownPool(subnet))?;
    book.offer(wanted).map_err(|source| {
        DockerError::Address {
            pool: subnet,
            source,
        }
        .into()
    })
}
