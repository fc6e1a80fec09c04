//! What a Docker engine asks for, as steps for the crash tests; and that its endpoints end with their interfaces.

use std::net::IpAddr;

use netd::engine::{
    AddressAsked, DockerNames, EndpointAsked, EngineError, NetworkAsked, PoolAsked,
};
use netd_model::{ContainerId, NetworkId, Subnet};

use crate::bench::{Bench, request};
use crate::whole::check;

/// One call of a Docker engine; each is about the same pool, address, network and endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Docker {
    Pool,
    Address,
    Network,
    Endpoint,
    Publish,
    Names,
    Revoke,
    DeleteEndpoint,
    ReleaseAddress,
    DeleteNetwork,
    ReleasePool,
}

impl Docker {
    /// From nothing to a named container with a port, and back.
    pub(crate) const LIFE: [Self; 11] = [
        Self::Pool,
        Self::Address,
        Self::Network,
        Self::Endpoint,
        Self::Publish,
        Self::Names,
        Self::Revoke,
        Self::DeleteEndpoint,
        Self::ReleaseAddress,
        Self::DeleteNetwork,
        Self::ReleasePool,
    ];
}

const NETWORK: NetworkId = NetworkId::from_bytes([0xaa; 32]);
const ENDPOINT: ContainerId = ContainerId::from_bytes([0xee; 32]);

fn subnet() -> Subnet {
    "10.7.0.0/24".parse().unwrap()
}

fn address() -> IpAddr {
    "10.7.0.9".parse().unwrap()
}

/// Makes a call and says what the daemon said.
pub(crate) async fn call(bench: &Bench, call: Docker) -> Result<(), EngineError> {
    let engine = bench.engine();
    match call {
        Docker::Pool => {
            let asked = PoolAsked {
                subnet: Some(subnet()),
                range: None,
                ipv6: false,
            };
            engine.request_pool(asked).await.map(|_| ())
        }
        Docker::Address => {
            let asked = AddressAsked {
                pool: subnet(),
                address: Some(address()),
                is_gateway: false,
            };
            engine.request_address(asked).await.map(|_| ())
        }
        Docker::Network => {
            let asked = NetworkAsked {
                id: NETWORK,
                name: None,
                request: request("dockers", "10.7.0.0/24"),
            };
            engine.create_docker_network(asked).await
        }
        Docker::Endpoint => {
            let asked = EndpointAsked {
                network: NETWORK,
                id: ENDPOINT,
                addresses: vec![address()],
                mac: None,
            };
            engine.create_docker_endpoint(asked).await.map(|_| ())
        }
        Docker::Publish => {
            let ports = vec!["8080:80".parse()?];
            engine.publish_of_docker(ENDPOINT, ports).await
        }
        Docker::Names => {
            let names = DockerNames {
                name: "shop".to_owned(),
                hostname: "box".to_owned(),
                aliases: vec!["www".to_owned()],
            };
            engine.name_docker_endpoint(ENDPOINT, names).await
        }
        Docker::Revoke => engine.unpublish_of_docker(ENDPOINT).await,
        Docker::DeleteEndpoint => engine.delete_docker_endpoint(ENDPOINT).await,
        Docker::ReleaseAddress => engine.release_address(subnet(), address()).await,
        Docker::DeleteNetwork => engine.delete_docker_network(NETWORK).await,
        Docker::ReleasePool => engine.release_pool(subnet()).await,
    }
}

/// Gives back all that an engine has; whatever there is not is given back already.
pub(crate) fn give_back(bench: &Bench) {
    for last in [Docker::DeleteEndpoint, Docker::DeleteNetwork] {
        bench.wait(call(bench, last)).unwrap();
    }
    if bench.look(|state| state.docker_pool(subnet()).is_some()) {
        bench.wait(call(bench, Docker::ReleasePool)).unwrap();
    }
}

/// What the records say of an engine's things.
pub(crate) fn told(state: &netd::state::State) -> Vec<(String, String)> {
    let pools = state.docker_pools().map(|pool| {
        let held = state.is_held(address());
        let key = format!("pool {}", pool.subnet);
        (key, format!("{} times, held {held}", pool.references))
    });
    let networks = state.docker_network(NETWORK).map(|known| {
        let key = format!("docker's {}", known.id.short());
        (key, known.network.short())
    });
    pools.chain(networks).collect()
}

#[test]
fn an_endpoint_ends_with_its_interface_and_its_address_is_the_engines_until_it_gives_it_back() {
    let bench = Bench::new();
    for step in &Docker::LIFE[..6] {
        bench.wait(call(&bench, *step)).unwrap();
    }
    check(&bench, "with an endpoint");
    let outside = bench.look(|state| {
        let endpoint = state.endpoints_of(ENDPOINT).remove(0);
        endpoint.interface.as_ref().unwrap().outside.clone()
    });
    bench.world.remove_link(&outside);
    bench.until("the end of the endpoint", |bench| {
        bench.look(|state| state.container(ENDPOINT).is_none())
    });
    check(&bench, "without its interface");
    let taken = bench.run("thief", "dockers", crate::bench::at("10.7.0.9"));
    assert!(taken.is_err(), "the engine holds it");
    bench.wait(call(&bench, Docker::ReleaseAddress)).unwrap();
    bench
        .run("heir", "dockers", crate::bench::at("10.7.0.9"))
        .unwrap();
    // Late calls find nothing to do, and take nothing from the heir.
    for late in [
        Docker::Revoke,
        Docker::DeleteEndpoint,
        Docker::ReleaseAddress,
    ] {
        bench.wait(call(&bench, late)).unwrap();
    }
    assert_eq!(bench.addresses("heir"), ["10.7.0.9"]);
    check(&bench, "with an heir");
}
