//! What users do, as values: scripts for the crash tests, dice for the random one. And the story that the records tell.

use std::collections::{BTreeMap, BTreeSet};

use netd::engine::{Absent, Ending, EngineError, Leave, NewContainer, Which, Wish};
use netd_drivers::EndpointOptions;
use netd_model::container::Anchor;
use netd_model::network::BridgeSpec;
use netd_model::{ContainerId, ContainerState, IfName, LinkLocal, Network, NetworkId};

use crate::bench::{Bench, process, request};
use crate::plugin::{self, Docker};

/// One thing that a user asks for.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Create a network with this subnet; empty for any.
    Create(&'static str, &'static str),
    /// Remove a network.
    Remove(&'static str),
    /// Remove networks that nobody is on.
    Prune,
    /// Run a container on a network, with addresses, blanks between (or none said), and published ports.
    Run(
        &'static str,
        &'static str,
        Option<&'static str>,
        Vec<&'static str>,
    ),
    /// Run a container on a network, limited in both directions.
    RunLimited(&'static str, &'static str),
    /// Connect a container to a network, limited in both directions.
    ConnectLimited(&'static str, &'static str),
    /// Run a container in the namespace of another.
    Join(&'static str, &'static str),
    /// Run a container on a network again, in the namespace that others keep for it.
    Return(&'static str, &'static str),
    /// Connect a container to a network.
    Connect(&'static str, &'static str),
    /// Disconnect a container from a network.
    Disconnect(&'static str, &'static str),
    /// Connect a container to a network by an interface of this name, perhaps once more, with published ports.
    ConnectBy(&'static str, &'static str, &'static str, Vec<&'static str>),
    /// Disconnect one interface of a container from a network.
    DisconnectBy(&'static str, &'static str, &'static str),
    /// Publish a port.
    Publish(&'static str, &'static str),
    /// Withdraw a port.
    Unpublish(&'static str, &'static str),
    /// Let two networks talk.
    Allow(&'static str, &'static str),
    /// Keep two networks apart again.
    Deny(&'static str, &'static str),
    /// Change a network; the second is the request's body.
    Update(&'static str, &'static str),
    /// Set a route to a subnet by a gateway, for one network (or for all, if empty).
    Route(&'static str, &'static str, &'static str),
    /// Remove a route.
    Unroute(&'static str),
    /// Put a card on a network.
    Uplink(&'static str, &'static str),
    /// Take a card off a network.
    Unplug(&'static str, &'static str),
    /// The container's command ends.
    End(&'static str),
    /// Forget a container.
    Forget(&'static str),
    /// What a Docker engine calls.
    Docker(Docker),
}

async fn start(bench: &Bench, new: NewContainer, pid: u32) -> Result<(), EngineError> {
    let run = bench.engine().run_container(new).await;
    // Who is refused gives up; who gets no answer goes on.
    if run.is_err() && bench.world.fuel().check().is_ok() {
        bench.world.end_process(pid);
    }
    run.map(|_| ())
}

/// A process in the namespace of a container.
async fn beside(bench: &Bench, id: ContainerId) -> Result<u32, EngineError> {
    let engine = bench.engine();
    let anchor = engine.look(move |state| {
        let sandbox = state.container(id)?.sandbox.clone()?;
        Some(sandbox.anchor)
    });
    match anchor.await? {
        Some(Anchor::Process(process)) if bench.world.netns_of(process.pid).is_some() => {
            Ok(bench.world.spawn_process_in(process.pid))
        }
        _ => Err(EngineError::Invalid("nobody is in there".to_owned())),
    }
}

/// A request for a route; for all networks if none is named.
pub(crate) fn route(subnet: &str, gateway: &str, network: &str) -> netd_api::RouteRequest {
    let networks = [network].into_iter().filter(|name| !name.is_empty());
    netd_api::RouteRequest {
        subnet: subnet.parse().unwrap(),
        gateway: gateway.parse().unwrap(),
        networks: networks.map(str::to_owned).collect(),
        masquerade: false,
    }
}

fn wish(address: Option<&str>, ports: &[&str]) -> Wish {
    let words = address.into_iter().flat_map(str::split_whitespace);
    let (link_local, ips): (Vec<_>, Vec<_>) =
        words.partition(|word| word.parse::<LinkLocal>().is_ok());
    Wish {
        ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        link_local: link_local.iter().map(|ip| ip.parse().unwrap()).collect(),
        ports: ports.iter().map(|port| port.parse().unwrap()).collect(),
        ..Wish::default()
    }
}

/// A wish for an interface of a name.
pub(crate) fn named(interface: &str, wish: Wish) -> Wish {
    let options = EndpointOptions {
        inside: Some(interface.parse().unwrap()),
        ..EndpointOptions::default()
    };
    Wish { options, ..wish }
}

/// A wish for limits in both directions.
pub(crate) fn limited() -> Wish {
    let rate = |bits| Some(netd_model::Rate::new(bits, None).unwrap());
    Wish {
        rates: netd_model::Rates {
            inward: rate(10_000_000),
            outward: rate(1_000_000),
        },
        ..Wish::default()
    }
}

/// Does a step and says what the daemon said.
pub(crate) fn take(bench: &Bench, step: &Step) -> Result<(), EngineError> {
    let engine = bench.engine();
    bench.wait(async {
        let network = async |name: &str| -> Result<NetworkId, EngineError> {
            Ok(engine.find_network(name).await?.id)
        };
        let container = async |name: &str| -> Result<ContainerId, EngineError> {
            Ok(engine.find_container(name).await?.id)
        };
        match step {
            Step::Create(name, subnet) => {
                engine.create_network(request(name, subnet)).await?;
                Ok(())
            }
            Step::Remove(name) => engine.remove_network(network(name).await?).await,
            Step::Prune => {
                let report = engine.prune_networks().await?;
                match report.failures.first() {
                    Some(failure) => Err(EngineError::Invalid(failure.clone())),
                    None => Ok(()),
                }
            }
            Step::Run(name, on, address, ports) => {
                let pid = bench.world.spawn_process();
                start(bench, process(pid, name, on, wish(*address, ports)), pid).await
            }
            Step::RunLimited(name, on) => {
                let pid = bench.world.spawn_process();
                start(bench, process(pid, name, on, limited()), pid).await
            }
            Step::ConnectLimited(on, name) => {
                let (on, who) = (network(on).await?, container(name).await?);
                engine.connect(on, who, limited()).await.map(|_| ())
            }
            Step::Join(name, owner) => {
                let owner = container(owner).await?;
                let pid = beside(bench, owner).await?;
                let mode = format!("container:{owner}");
                let new = NewContainer {
                    netns: None,
                    supervisor_pid: Some(pid),
                    ..process(pid, name, &mode, Wish::default())
                };
                start(bench, new, pid).await
            }
            Step::Return(name, on) => {
                let pid = beside(bench, container(name).await?).await?;
                let new = NewContainer {
                    supervisor_pid: Some(pid),
                    ..process(pid, name, on, Wish::default())
                };
                start(bench, new, pid).await
            }
            Step::Connect(on, name) => {
                let (on, who) = (network(on).await?, container(name).await?);
                engine.connect(on, who, Wish::default()).await.map(|_| ())
            }
            Step::Disconnect(from, name) => {
                let (from, who) = (network(from).await?, container(name).await?);
                engine.disconnect(from, who, Absent::Refuse).await
            }
            Step::ConnectBy(on, name, interface, ports) => {
                let (on, who) = (network(on).await?, container(name).await?);
                let wish = named(interface, wish(None, ports));
                engine.connect(on, who, wish).await.map(|_| ())
            }
            Step::DisconnectBy(from, name, interface) => {
                let (from, who) = (network(from).await?, container(name).await?);
                let leave = Leave {
                    which: Which::Interface(interface.parse().unwrap()),
                    absent: Absent::Refuse,
                };
                engine.disconnect(from, who, leave).await
            }
            Step::Publish(name, port) => {
                let who = container(name).await?;
                engine.publish(who, vec![port.parse()?]).await
            }
            Step::Unpublish(name, port) => {
                let who = container(name).await?;
                engine.unpublish(who, vec![port.parse()?]).await
            }
            Step::Allow(one, other) => {
                let (one, other) = (network(one).await?, network(other).await?);
                engine.allow(one, other).await
            }
            Step::Deny(one, other) => {
                let (one, other) = (network(one).await?, network(other).await?);
                engine.deny(one, other).await
            }
            Step::Update(name, body) => {
                let request = serde_json::from_str(body).unwrap();
                let id = network(name).await?;
                engine.update_network(id, request).await.map(|_| ())
            }
            Step::Route(subnet, gateway, network) => {
                let request = route(subnet, gateway, network);
                engine.add_route(request).await.map(|_| ())
            }
            Step::Unroute(subnet) => engine.remove_route(subnet.parse().unwrap()).await,
            Step::Uplink(on, card) => {
                let (device, force) = (card.parse()?, false);
                let request = netd_api::UplinkRequest { device, force };
                engine.add_uplink(network(on).await?, request).await
            }
            Step::Unplug(from, card) => {
                engine
                    .remove_uplink(network(from).await?, card.parse()?)
                    .await
            }
            Step::End(name) => {
                let who = container(name).await?;
                engine.end_container(who, Ending::Exited(0)).await
            }
            Step::Docker(step) => plugin::call(bench, *step).await,
            Step::Forget(name) => {
                let who = container(name).await?;
                engine.end_container(who, Ending::Forgotten).await
            }
        }
    })
}

/// All that the records say that does not differ from one run to the next, by object.
pub(crate) fn story(bench: &Bench) -> BTreeMap<String, String> {
    bench.look(|state| {
        let mut story: BTreeMap<String, String> = plugin::told(state).into_iter().collect();
        for network in state.networks() {
            story.insert(format!("network {}", network.name), {
                let subnets: Vec<String> =
                    network.pools.iter().map(|p| p.subnet.to_string()).collect();
                let bridge = network.bridge().map(|spec| {
                    let BridgeSpec {
                        mtu_bytes,
                        icc,
                        masquerade,
                        ..
                    } = spec;
                    format!("{mtu_bytes:?} icc {icc} masquerade {masquerade}")
                });
                let Network {
                    phase,
                    policy,
                    labels,
                    dns_servers,
                    options,
                    ..
                } = &**network;
                format!("{phase:?} {subnets:?} {bridge:?} {policy:?} {labels:?} {dns_servers:?} {options:?}")
            });
            let allowed = state.allowed_with(network.id);
            let allowed: BTreeSet<String> = allowed.map(|other| other.name.to_string()).collect();
            if !allowed.is_empty() {
                story.insert(format!("allowed {}", network.name), format!("{allowed:?}"));
            }
            for container in state.containers() {
                let kept: Vec<String> = state
                    .reserved_for(network.id, &container.name)
                    .map(|kept| format!("{} firm {} {:?}", kept.address, kept.firm, kept.interface))
                    .collect();
                if !kept.is_empty() {
                    let key = format!("kept on {} for {}", network.name, container.name);
                    story.insert(key, format!("{kept:?}"));
                }
            }
        }
        for uplink in state.uplinks() {
            let name = state.network(uplink.network).unwrap().name.to_string();
            story.insert(format!("uplink {}", uplink.device), name);
        }
        for route in state.peer_routes() {
            let networks = route.networks.iter().flatten();
            let names = networks.map(|id| state.network(*id).unwrap().name.to_string());
            let names: BTreeSet<String> = names.collect();
            let text = format!("{:?} {} {names:?}", route.phase, route.gateway);
            story.insert(format!("route {}", route.subnet), text);
        }
        for container in state.containers() {
            let life = match &container.state {
                ContainerState::Exited { code, .. } => {
                    format!("exited {code:?} kept {}", container.is_kept())
                }
                other => format!("{other:?}"),
            };
            story.insert(format!("container {}", container.name), life);
            for endpoint in state.endpoints_of(container.id) {
                let network = state.network(endpoint.network).unwrap();
                let leases: Vec<String> = endpoint
                    .leases
                    .iter()
                    .map(|lease| lease.address.to_string())
                    .collect();
                let ports: Vec<String> = endpoint.ports.iter().map(|p| p.to_string()).collect();
                let inside = endpoint.inside().map_or("none", IfName::as_str);
                let key = format!("{} on {} by {inside}", container.name, network.name);
                let link_local = &endpoint.link_local;
                let text = format!(
                    "{:?} {leases:?} {link_local:?} {ports:?} {}",
                    endpoint.phase, endpoint.rates
                );
                story.insert(key, text);
            }
        }
        story
    })
}

/// Removes all that users made; all their processes end.
pub(crate) fn remove_all(bench: &Bench) {
    plugin::give_back(bench);
    let engine = bench.engine();
    let containers = bench.look(|state| state.containers().map(|c| c.id).collect::<Vec<_>>());
    for id in containers {
        bench
            .wait(engine.end_container(id, Ending::Forgotten))
            .unwrap();
    }
    let routes = bench.look(|state| state.peer_routes().map(|r| r.subnet).collect::<Vec<_>>());
    let cards = bench.look(|state| {
        let cards = state.uplinks();
        cards
            .map(|one| (one.network, one.device.clone()))
            .collect::<Vec<_>>()
    });
    for (network, card) in cards {
        bench.wait(engine.remove_uplink(network, card)).unwrap();
    }
    for subnet in routes {
        bench.wait(engine.remove_route(subnet)).unwrap();
    }
    let report = bench.wait(engine.prune_networks()).unwrap();
    assert_eq!(report.failures, Vec::<String>::new());
    // Names of the fake's processes are numbers from 1000 up; those in sandboxes are the only ones there are.
    let sandboxes = bench.world.snapshot().sandboxes.len();
    for pid in 1000.. {
        if bench.world.snapshot().sandboxes.is_empty() {
            break;
        }
        assert!(pid < 1_000_000, "{sandboxes} namespaces without a process");
        bench.world.end_process(pid);
    }
}
