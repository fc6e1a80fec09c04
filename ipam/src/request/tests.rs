//! Requests that work, with Docker's visible results, and each one that cannot.

use super::*;

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn request(subnet_text: &str) -> PoolRequest {
    PoolRequest {
        subnet: Some(subnet(subnet_text)),
        ..PoolRequest::default()
    }
}

fn plan(request: PoolRequest) -> Result<PoolSpec, PlanPoolError> {
    plan_pool(request, &crate::docker_defaults(), &[])
}

fn with_aux(mut request: PoolRequest, aux: &[(&str, &str)]) -> PoolRequest {
    request.aux = aux
        .iter()
        .map(|(name, address)| ((*name).to_owned(), ip(address)))
        .collect();
    request
}

#[test]
fn nothing_said_gives_docker_s_first_subnet_and_its_first_address() {
    let spec = plan(PoolRequest::default()).unwrap();
    assert_eq!(spec.subnet, subnet("172.17.0.0/16"));
    assert_eq!(spec.gateway, ip("172.17.0.1"));
    assert!(!spec.subnet_given && !spec.gateway_given);
}

#[test]
fn what_was_given_is_kept() {
    let spec = plan(PoolRequest {
        range: Some(subnet("172.28.5.0/24")),
        gateway: Some(ip("172.28.5.254")),
        ..request("172.28.0.0/16")
    })
    .unwrap();
    assert_eq!(spec.gateway_address().to_string(), "172.28.5.254/16");
    assert_eq!(spec.range, Some(subnet("172.28.5.0/24")));
    assert!(spec.subnet_given && spec.gateway_given);
}

#[test]
fn the_gateway_is_the_first_address_that_nothing_else_has() {
    let gateway = |request| plan(request).unwrap().gateway;
    let ranged = |range| PoolRequest {
        range: Some(subnet(range)),
        ..request("172.28.0.0/16")
    };
    assert_eq!(gateway(request("192.0.2.0/24")), ip("192.0.2.1"));
    assert_eq!(gateway(request("fd00:28::/64")), ip("fd00:28::1"));
    assert_eq!(gateway(ranged("172.28.5.0/24")), ip("172.28.5.0"));
    assert_eq!(gateway(ranged("172.28.0.0/24")), ip("172.28.0.1"));
    let aux = with_aux(
        request("10.1.0.0/24"),
        &[("a", "10.1.0.1"), ("b", "10.1.0.2")],
    );
    assert_eq!(gateway(aux), ip("10.1.0.3"));
}

#[test]
fn parts_without_a_subnet_are_refused() {
    let none = PoolRequest::default;
    let cases = [
        (
            PoolRequest {
                range: Some(subnet("10.0.0.0/24")),
                ..none()
            },
            "--ip-range 10.0.0.0/24",
        ),
        (
            PoolRequest {
                gateway: Some(ip("10.0.0.1")),
                ..none()
            },
            "--gateway 10.0.0.1",
        ),
        (
            with_aux(none(), &[("a", "10.0.0.1")]),
            "--aux-address a=10.0.0.1",
        ),
    ];
    for (request, given) in cases {
        assert_eq!(
            plan(request).unwrap_err().to_string(),
            format!("{given} says nothing without a subnet; give --subnet too")
        );
    }
}

#[test]
fn an_overlap_names_the_other_party_and_a_network_before_a_route() {
    let network = Used {
        subnet: subnet("172.28.0.0/16"),
        by: UsedBy::Network("backend".parse().unwrap()),
    };
    let route = Used {
        subnet: subnet("172.16.0.0/12"),
        by: UsedBy::HostRoute("tun0".parse().unwrap()),
    };
    let used = [route, network];
    let refused = |text| {
        plan_pool(request(text), &[], &used)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused("172.28.5.0/24"),
        "subnet 172.28.5.0/24 overlaps 172.28.0.0/16 of network backend; give another --subnet"
    );
    assert_eq!(
        refused("172.29.0.0/24"),
        "subnet 172.29.0.0/24 overlaps 172.16.0.0/12 that the host routes through tun0; give another --subnet"
    );
    assert!(plan_pool(request("10.0.0.0/24"), &[], &used).is_ok());
}

#[test]
fn a_subnet_that_cannot_work_is_refused() {
    for text in [
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/8",
        "127.0.0.0/8",
        "127.1.0.0/16",
        "224.0.0.0/24",
        "128.0.0.0/1",
        "169.254.1.0/24",
        "fe80::/64",
        "ff02::/16",
        "::/64",
        "::ffff:10.0.0.0/104",
    ] {
        let refused = plan(request(text));
        assert!(
            matches!(refused, Err(PlanPoolError::Unusable { .. })),
            "{text}: {refused:?}"
        );
    }
}

#[test]
fn the_smallest_subnets_hold_a_gateway_and_a_container() {
    for (text, smallest) in [
        ("10.0.0.0/31", 30),
        ("10.0.0.0/32", 30),
        ("fd00::/127", 126),
    ] {
        let expected = PlanPoolError::TooSmall {
            subnet: subnet(text),
            smallest,
        };
        assert_eq!(plan(request(text)), Err(expected));
    }
    assert!(plan(request("10.0.0.0/30")).is_ok());
    assert!(plan(request("fd00::/126")).is_ok());
}

#[test]
fn what_lies_outside_is_refused() {
    for range in ["10.0.0.0/24", "172.0.0.0/8", "fd00::/64"] {
        let refused = plan(PoolRequest {
            range: Some(subnet(range)),
            ..request("172.44.0.0/16")
        });
        assert!(
            matches!(refused, Err(PlanPoolError::RangeOutside { .. })),
            "{range}"
        );
    }
    let gateway = |gateway| {
        plan(PoolRequest {
            gateway: Some(ip(gateway)),
            ..request("172.44.0.0/16")
        })
    };
    assert!(matches!(
        gateway("10.0.0.1"),
        Err(PlanPoolError::GatewayOutside { .. })
    ));
    assert!(matches!(
        gateway("fd00::1"),
        Err(PlanPoolError::GatewayOutside { .. })
    ));
    assert_eq!(
        gateway("172.44.255.255").unwrap_err().to_string(),
        "gateway 172.44.255.255 is the broadcast address of 172.44.0.0/16; give one of the addresses between"
    );
    assert!(matches!(
        gateway("172.44.0.0"),
        Err(PlanPoolError::GatewayReserved { .. })
    ));
}

#[test]
fn auxiliary_addresses_are_distinct_and_inside() {
    let aux = |aux: &[(&str, &str)]| plan(with_aux(request("10.0.0.0/24"), aux)).unwrap_err();
    assert!(matches!(
        aux(&[("a", "10.0.1.1")]),
        PlanPoolError::AuxOutside { .. }
    ));
    assert!(matches!(
        aux(&[("a", "10.0.0.0")]),
        PlanPoolError::AuxReserved { .. }
    ));
    assert_eq!(
        aux(&[("a", "10.0.0.7"), ("b", "10.0.0.7")]).to_string(),
        "address 10.0.0.7 was given to two auxiliary names, a and b; drop one"
    );
    let on_gateway = PoolRequest {
        gateway: Some(ip("10.0.0.9")),
        ..with_aux(request("10.0.0.0/24"), &[("a", "10.0.0.9")])
    };
    assert!(matches!(
        plan(on_gateway),
        Err(PlanPoolError::AuxIsGateway { .. })
    ));
}

#[test]
fn a_pool_without_room_for_a_container_is_refused() {
    let one_address = PoolRequest {
        range: Some(subnet("10.0.0.8/32")),
        ..request("10.0.0.0/24")
    };
    let within = subnet("10.0.0.8/32");
    assert_eq!(plan(one_address), Err(PlanPoolError::NoRoom { within }));
    let all_aux = with_aux(
        request("10.0.0.0/30"),
        &[("a", "10.0.0.1"), ("b", "10.0.0.2")],
    );
    let within = subnet("10.0.0.0/30");
    assert_eq!(plan(all_aux), Err(PlanPoolError::NoRoom { within }));
}
