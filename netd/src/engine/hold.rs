//! The host's ports: taken by sockets before they are translated, and what was tracked before that is forgotten.

use std::sync::Arc;

use netd_kernel::ReservePortError;
use netd_model::desired::FlowFilter;
use netd_model::{ContainerName, Endpoint, EndpointId, Protocol, PublishRequest, PublishedPort};

use super::host_ports::{self, Avoid, Publisher};
use super::relay::publishes_locally;
use super::{Engine, EngineError};
use crate::ledger::Ledger;
use crate::store::Change;

/// How often a port of the daemon's choice is chosen anew because a process of the host has it.
const PORT_ATTEMPTS: usize = 128;

impl Engine {
    /// Takes the host ports of an endpoint: those `kept` from before, and those granted for `requests`. One of the
    /// daemon's own choice that a process has is chosen anew.
    pub(super) async fn hold_ports(
        &self,
        id: EndpointId,
        requests: &[PublishRequest],
        kept: &[PublishedPort],
    ) -> Result<(), EngineError> {
        let mut avoid = Avoid::new();
        loop {
            let ports = self
                .look(move |state| state.endpoint(id).map(|record| record.ports.clone()))
                .await?;
            let Some(ports) = ports.filter(|ports| !ports.is_empty()) else {
                return Ok(());
            };
            let refused = match self
                .kernel(move |kernel| kernel.reserve_ports(id, &ports))
                .await
            {
                Ok(()) => return self.relay_from_host(id).await,
                Err(refused) => refused,
            };
            let ReservePortError::Taken { protocol, port, .. } = refused else {
                return Err(EngineError::HostPort { source: refused });
            };
            if avoid.len() == PORT_ATTEMPTS || !avoid.insert((protocol, port)) {
                return Err(EngineError::HostPort { source: refused });
            }
            let (avoiding, requests, kept) = (avoid.clone(), requests.to_vec(), kept.to_vec());
            let moved = self
                .turns
                .take(move |ledger| choose_again(ledger, id, (&requests, &kept), &avoiding))
                .await??;
            if !moved {
                return Err(EngineError::HostPort { source: refused });
            }
        }
    }

    /// Makes the sockets on the host's ports what the records say, all in one go. Tells what cannot be had.
    pub(super) async fn hold_all_ports(&self) -> Result<Held, EngineError> {
        let wanted = self.look(|state| {
            let standing = state.endpoints().filter(|endpoint| state.stands(endpoint));
            let named = |endpoint: &Arc<Endpoint>| {
                let container = state.container(endpoint.container)?;
                Some((Arc::clone(endpoint), container.name.clone()))
            };
            standing.filter_map(named).collect::<Vec<_>>()
        });
        let wanted = wanted.await?;
        let held = self.kernel(move |kernel| {
            let hold = |(endpoint, name): &(Arc<Endpoint>, ContainerName)| {
                kernel.release_ports(endpoint.id, &endpoint.ports);
                let refused = kernel.reserve_ports(endpoint.id, &endpoint.ports).err()?;
                Some(format!("container {name}: {refused}"))
            };
            let problems = wanted.iter().filter_map(hold).collect();
            let publishing = wanted
                .iter()
                .filter(|(endpoint, _)| publishes_locally(endpoint))
                .map(|(endpoint, _)| endpoint.id)
                .collect();
            Held {
                problems,
                publishing,
            }
        });
        Ok(held.await)
    }

    /// Hands on what the host asks of these endpoints' ports on ::1.
    pub(super) async fn relay_all(&self, endpoints: Vec<EndpointId>) -> Result<(), EngineError> {
        for id in endpoints {
            self.relay_from_host(id).await?;
        }
        Ok(())
    }
}

/// What came of holding all ports.
pub(super) struct Held {
    /// What cannot be had, each a sentence.
    pub(super) problems: Vec<String>,
    /// Those whose ports the host may ask for on ::1.
    pub(super) publishing: Vec<EndpointId>,
}

/// UDP flows that were tracked before ports were published would go on to bypass them (moby issue 8795), and those
/// tracked before they were withdrawn would go on to be translated.
pub(super) fn stale_flows(ports: &[PublishedPort]) -> Vec<FlowFilter> {
    let udp = ports.iter().filter(|port| port.protocol == Protocol::Udp);
    udp.flat_map(|port| port.host_ports.iter())
        .map(|port| FlowFilter::ToHostPort {
            protocol: Protocol::Udp,
            port,
        })
        .collect()
}

/// Chooses other host ports where the daemon may; false if none of the requests leaves it the choice.
fn choose_again(
    ledger: &mut Ledger,
    id: EndpointId,
    (requests, kept): (&[PublishRequest], &[PublishedPort]),
    avoid: &Avoid,
) -> Result<bool, EngineError> {
    let state = ledger.state();
    let Some(record) = state.endpoint(id).cloned() else {
        return Ok(false);
    };
    let network = state.network(record.network);
    let Some(publisher) = network.and_then(|network| Publisher::of(network, &record)) else {
        return Ok(false);
    };
    let publisher = Publisher {
        present: kept,
        ..publisher
    };
    let chosen = host_ports::ports(state, publisher, requests, avoid)?;
    let ports: Vec<_> = kept.iter().cloned().chain(chosen).collect();
    if ports == record.ports {
        return Ok(false);
    }
    ledger.commit(&[Change::PutEndpoint(Endpoint {
        ports,
        ..Endpoint::clone(&record)
    })])?;
    Ok(true)
}
