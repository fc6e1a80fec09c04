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
    #[error("{flag} is given twice for one subnet: {first} and {second}")]
    Twice {
        flag: &'static str,
        first: String,
        second: String,
    },
    #[error(
        "--aux-address {name} is given twice: {first} and {second}; give each address a name of its own"
    )]
    Named {
        name: String,
        first: IpAddr,
        second: IpAddr,
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
        let claim = Claim::new("--ip-range", range, range.first());
        let pool = claim.home(&mut pools)?;
        put(&mut pool.range, *range, &claim)?;
    }
    for gateway in &args.gateway {
        let claim = Claim::new("--gateway", gateway, *gateway);
        let pool = claim.home(&mut pools)?;
        put(&mut pool.gateway, *gateway, &claim)?;
    }
    for (name, address) in &args.aux_address {
        let claim = Claim::new("--aux-address", &format!("{name}={address}"), *address);
        let pool = claim.home(&mut pools)?;
        if let Some(first) = pool.aux.insert(name.clone(), *address) {
            return Err(PoolError::Named {
                name: name.clone(),
                first,
                second: *address,
            });
        }
    }
    Ok(pools)
}

/// A flag that belongs to the subnet its address lies in.
struct Claim {
    flag: &'static str,
    given: String,
    address: IpAddr,
}

impl Claim {
    fn new(flag: &'static str, given: &impl ToString, address: IpAddr) -> Self {
        let given = given.to_string();
        Self {
            flag,
            given,
            address,
        }
    }

    fn home<'p>(&self, pools: &'p mut [PoolRequest]) -> Result<&'p mut PoolRequest, PoolError> {
        let subnets: Vec<Subnet> = pools.iter().filter_map(|pool| pool.subnet).collect();
        let holds =
            |pool: &&mut PoolRequest| pool.subnet.is_some_and(|own| own.contains(self.address));
        pools
            .iter_mut()
            .find(holds)
            .ok_or_else(|| PoolError::Homeless {
                flag: self.flag,
                given: self.given.clone(),
                subnets,
            })
    }
}

fn put<T: ToString>(place: &mut Option<T>, value: T, claim: &Claim) -> Result<(), PoolError> {
    if let Some(first) = place {
        return Err(PoolError::Twice {
            flag: claim.flag,
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
                "--gateway is given twice for one subnet: 10.0.0.1 and 10.0.0.2",
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
