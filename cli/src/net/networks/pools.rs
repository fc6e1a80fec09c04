//! Puts the address flags of `net create` together: each gateway, range and address goes to the subnet it lies in.

use std::net::IpAddr;

use netd_api::{PoolRequest, Subnet};

use crate::net::args::CreateArgs;

/// Address flags that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PoolError {
    #[error("{flag} {given} needs a --subnet that it lies in; {}", given_subnets(.subnets))]
    Homeless {
        flag: &'static str,
        given: String,
        subnets: Vec<Subnet>,
    },
    #[error("{flag} is given twice for {subnet}: {first} and {second}")]
    Twice {
        flag: &'static str,
        subnet: String,
        first: String,
        second: String,
    },
    #[error("the --subnet {first} and {second} overlap; give subnets that do not")]
    Overlap { first: Subnet, second: Subnet },
}

fn given_subnets(subnets: &[Subnet]) -> String {
    match subnets {
        [] => "none was given".to_owned(),
        given => {
            let given: Vec<String> = given.iter().map(ToString::to_string).collect();
            format!("given: {}", given.join(", "))
        }
    }
}

/// The pools that the flags describe; none if they say nothing of addresses.
pub(super) fn assemble(args: &CreateArgs) -> Result<Vec<PoolRequest>, PoolError> {
    let mut pools: Vec<PoolRequest> = Vec::new();
    for (at, second) in args.subnet.iter().enumerate() {
        if let Some(first) = args.subnet[..at]
            .iter()
            .find(|first| first.overlaps(*second))
        {
            let (first, second) = (*first, *second);
            return Err(PoolError::Overlap { first, second });
        }
        pools.push(PoolRequest {
            subnet: Some(*second),
            ..PoolRequest::default()
        });
    }
    for range in &args.ip_range {
        let pool = home(
            &mut pools,
            args,
            "--ip-range",
            &range.to_string(),
            range.first(),
        )?;
        put(&mut pool.range, *range, "--ip-range", pool.subnet)?;
    }
    for gateway in &args.gateway {
        let pool = home(
            &mut pools,
            args,
            "--gateway",
            &gateway.to_string(),
            *gateway,
        )?;
        put(&mut pool.gateway, *gateway, "--gateway", pool.subnet)?;
    }
    for (name, address) in &args.aux_address {
        let given = format!("{name}={address}");
        let pool = home(&mut pools, args, "--aux-address", &given, *address)?;
        pool.aux.insert(name.clone(), *address);
    }
    Ok(pools)
}

fn home<'p>(
    pools: &'p mut [PoolRequest],
    args: &CreateArgs,
    flag: &'static str,
    given: &str,
    address: IpAddr,
) -> Result<&'p mut PoolRequest, PoolError> {
    let holds =
        |pool: &&mut PoolRequest| pool.subnet.is_some_and(|subnet| subnet.contains(address));
    pools
        .iter_mut()
        .find(holds)
        .ok_or_else(|| PoolError::Homeless {
            flag,
            given: given.to_owned(),
            subnets: args.subnet.clone(),
        })
}

fn put<T: ToString>(
    place: &mut Option<T>,
    value: T,
    flag: &'static str,
    subnet: Option<Subnet>,
) -> Result<(), PoolError> {
    if let Some(first) = place {
        return Err(PoolError::Twice {
            flag,
            subnet: subnet.map_or_else(String::new, |subnet| subnet.to_string()),
            first: first.to_string(),
            second: value.to_string(),
        });
    }
    *place = Some(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::net::args::{Arguments, Verb};

    fn pools(flags: &str) -> Result<Vec<PoolRequest>, PoolError> {
        let line = format!("net create {flags} x");
        match Arguments::parse_from(line.split_whitespace()).verb {
            Verb::Create(args) => assemble(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_flag_finds_its_subnet() {
        let made = pools(
            "--gateway fd00::1 --gateway 10.0.0.1 --subnet 10.0.0.0/16 --subnet fd00::/64 --ip-range 10.0.5.0/24 \
             --aux-address a=10.0.0.9 --aux-address b=fd00::9",
        )
        .unwrap();
        assert_eq!(made.len(), 2);
        assert_eq!(made[0].gateway, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(made[0].range, Some("10.0.5.0/24".parse().unwrap()));
        assert_eq!(made[1].gateway, Some("fd00::1".parse().unwrap()));
        assert_eq!(made[1].aux["b"], "fd00::9".parse::<IpAddr>().unwrap());
        assert_eq!(pools(""), Ok(Vec::new()));
    }

    #[test]
    fn flags_that_do_not_fit_are_told() {
        for (flags, sentence) in [
            (
                "--gateway 10.0.0.1",
                "--gateway 10.0.0.1 needs a --subnet that it lies in; none was given",
            ),
            (
                "--subnet 10.0.0.0/24 --ip-range 10.1.0.0/24",
                "--ip-range 10.1.0.0/24 needs a --subnet that it lies in; given: 10.0.0.0/24",
            ),
            (
                "--subnet 10.0.0.0/24 --gateway 10.0.0.1,10.0.0.2",
                "--gateway is given twice for 10.0.0.0/24: 10.0.0.1 and 10.0.0.2",
            ),
            (
                "--subnet 10.0.0.0/8 --subnet 10.1.0.0/16",
                "the --subnet 10.0.0.0/8 and 10.1.0.0/16 overlap; give subnets that do not",
            ),
        ] {
            assert_eq!(pools(flags).unwrap_err().to_string(), sentence);
        }
    }
}
