//! `net update`: short flags become the driver's options; the daemon decides what can change.

use netd_api::{Client, PoolRequest, UpdateRequest};

use crate::net::args::UpdateArgs;
use crate::net::failure::Failure;
use crate::net::out;

const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const MTU: &str = "com.docker.network.driver.mtu";

/// Changes a network and prints its name.
pub(in crate::net) fn update(client: &Client, args: UpdateArgs) -> Result<(), Failure> {
    let network = args.network.clone();
    let request = request(args)?;
    let view = client.update_network(&network, &request)?;
    Ok(out::print(&format!("{}\n", view.name))?)
}

fn request(args: UpdateArgs) -> Result<UpdateRequest, Failure> {
    let pools = pools(&args);
    let short = [
        (ICC, "--icc", args.icc.map(|icc| icc.to_string())),
        (
            MASQUERADE,
            "--masquerade",
            args.masquerade.map(|masquerade| masquerade.to_string()),
        ),
        (MTU, "--mtu", args.mtu.map(|mtu| mtu.to_string())),
    ];
    let mut options: std::collections::BTreeMap<_, _> = args.opt.into_iter().collect();
    for (key, flag, value) in short {
        let Some(value) = value else { continue };
        if let Some(other) = options.get(key).filter(|other| **other != value) {
            return Err(Failure::Usage(format!(
                "{flag}={value} and -o {key}={other} say different things; give one of them"
            )));
        }
        options.insert(key.to_owned(), value);
    }
    let request = UpdateRequest {
        labels: args.label.into_iter().collect(),
        remove_labels: args.label_rm,
        add_dns: args.dns,
        remove_dns: args.dns_rm,
        internal: args.internal,
        options,
        driver: args.driver,
        pools,
    };
    if let Some(both) = request
        .remove_labels
        .iter()
        .find(|key| request.labels.contains_key(*key))
    {
        return Err(Failure::Usage(format!(
            "--label and --label-rm both name {both}; give one of them"
        )));
    }
    if let Some(both) = request
        .add_dns
        .iter()
        .find(|server| request.remove_dns.contains(server))
    {
        return Err(Failure::Usage(format!(
            "--dns and --dns-rm both name {both}; give one of them"
        )));
    }
    if request == UpdateRequest::default() {
        return Err(Failure::Usage(
            "nothing to change was given; `net update --help` shows what can be".to_owned(),
        ));
    }
    Ok(request)
}

/// Whatever of addresses was given, for the daemon to refuse.
fn pools(args: &UpdateArgs) -> Vec<PoolRequest> {
    let subnets = args.subnet.iter().map(|subnet| PoolRequest {
        subnet: Some(*subnet),
        ..PoolRequest::default()
    });
    let gateways = args.gateway.iter().map(|gateway| PoolRequest {
        gateway: Some(*gateway),
        ..PoolRequest::default()
    });
    let ranges = args.ip_range.iter().map(|range| PoolRequest {
        range: Some(*range),
        ..PoolRequest::default()
    });
    let aux = (!args.aux_address.is_empty()).then(|| PoolRequest {
        aux: args.aux_address.iter().cloned().collect(),
        ..PoolRequest::default()
    });
    subnets.chain(gateways).chain(ranges).chain(aux).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::net::args::{Arguments, Verb};

    fn asked(flags: &str) -> Result<UpdateRequest, String> {
        let line = format!("net update {flags} lab");
        match Arguments::parse_from(line.split_whitespace()).verb {
            Verb::Update(args) => request(args).map_err(|failure| failure.sentence().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn short_flags_are_options_of_the_driver() {
        let request = asked("--icc=0 --mtu 1400 --masquerade --internal=false").unwrap();
        let options: Vec<_> = request
            .options
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        assert_eq!(
            options,
            [
                "com.docker.network.bridge.enable_icc=false",
                "com.docker.network.bridge.enable_ip_masquerade=true",
                "com.docker.network.driver.mtu=1400",
            ]
        );
        assert_eq!(request.internal, Some(false));
        assert_eq!(asked("--internal").unwrap().internal, Some(true));
    }

    #[test]
    fn contradictions_and_nothing_at_all_are_refused() {
        for (flags, word) in [
            ("", "nothing to change"),
            (
                "--mtu 1400 -o com.docker.network.driver.mtu=1500",
                "say different",
            ),
            ("--label a=1 --label-rm a", "both name a"),
            (
                "--dns 192.0.2.1 --dns-drop 192.0.2.1",
                "both name 192.0.2.1",
            ),
        ] {
            let sentence = asked(flags).unwrap_err();
            assert!(sentence.contains(word), "{flags}: {sentence}");
        }
        assert!(asked("--mtu 1400 -o com.docker.network.driver.mtu=1400").is_ok());
    }

    #[test]
    fn what_cannot_change_is_handed_on() {
        let request = asked("-d macvlan --subnet 10.0.0.0/24 --gateway 10.0.0.9").unwrap();
        assert_eq!(request.driver.as_deref(), Some("macvlan"));
        assert_eq!(request.pools.len(), 2);
    }
}
