//! All that a runtime has to do: the network namespace of a process joins a network, with a name and a published port.
//!
//! `cargo run -p netd-api --example join -- PID NETWORK`

use std::error::Error;
use std::io::Write;

use netd_api::{Client, ContainerRequest, Netns};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [pid, network] = &words[..] else {
        return Err("usage: join PID NETWORK".into());
    };
    // The daemon that NETD_HOST names, or else the usual one.
    let client = Client::from_host(None)?;
    let guest = client.register(&ContainerRequest {
        name: Some("guest".parse()?),
        netns: Some(Netns {
            pid: pid.parse()?,
            fd: None,
        }),
        network: Some(network.clone()),
        ports: vec!["8080:80".parse()?],
        auto_remove: true,
        ..ContainerRequest::default()
    })?;
    let addresses = guest.networks.iter().flat_map(|place| &place.addresses);
    for address in addresses {
        writeln!(std::io::stdout(), "{} {address}", guest.name)?;
    }
    // It leaves when the process ends, or here: client.forget("guest")
    Ok(())
}
