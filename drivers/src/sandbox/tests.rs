//! A container's plan, and the steps from one plan to the next.

use netd_model::desired::{Mark, Op};
use netd_model::diff::diff;

use super::*;
use crate::testing::{INSTANCE, NETNS, endpoint, network, sandbox, spec, subnet};

type Member = (Network, Endpoint);

fn member(name: &str, number: u8, subnets: &[&str]) -> Member {
    let network = network(name, number, subnets);
    let endpoint = endpoint(&network, number);
    (network, endpoint)
}

fn try_plan(members: &[&Member]) -> Result<KernelState, PlanError> {
    let attachments: Vec<_> = members
        .iter()
        .map(|(network, endpoint)| Attachment { network, endpoint })
        .collect();
    plan_sandbox(&sandbox(), &attachments, INSTANCE, ResolverWish::Embedded)
}

fn plan(members: &[&Member]) -> KernelState {
    try_plan(members).unwrap()
}

fn inside(plan: &KernelState) -> &SandboxState {
    &plan.sandboxes[&NETNS]
}

fn gateways(members: &[&Member]) -> Vec<String> {
    let plan = plan(members);
    let routes = inside(&plan).routes.iter();
    routes.map(|route| route.gateway.to_string()).collect()
}

fn sysctls(plan: &KernelState) -> Vec<String> {
    let text = |(key, value): (&Sysctl, &String)| format!("{}={value}", key.path());
    inside(plan).sysctls.iter().map(text).collect()
}

/// The kinds of the steps, in their order.
fn kinds(ops: &[Op]) -> Vec<&'static str> {
    let kind = |op: &Op| match op {
        Op::WriteSysctl { .. } => "sysctl",
        Op::CreateVeth(_) => "veth",
        Op::SetLink { .. } => "link",
        Op::SetInterface { .. } => "interface",
        Op::AddAddress { .. } => "address",
        Op::AddRoute { .. } => "route",
        Op::RemoveRoute { .. } => "no route",
        Op::RedirectDns { .. } => "dns",
        Op::DeleteLink { .. } => "delete",
        _ => "other",
    };
    ops.iter().map(kind).collect()
}

#[test]
fn one_attachment_is_a_pair_an_address_a_route_and_a_resolver() {
    let web = member("web", 1, &["172.28.0.0/16"]);
    let plan = plan(&[&web]);
    let (name, veth) = plan.host.veths.first_key_value().unwrap();
    assert_eq!(name.as_str(), "veth1");
    assert_eq!(veth.mark, Some(Mark::endpoint(INSTANCE, web.1.id)));
    assert_eq!(veth.bridge.as_ref().unwrap().as_str(), "br-010101010101");
    assert_eq!((veth.hairpin, veth.isolated, veth.up), (true, false, true));
    assert_eq!(veth.peer, Some(NETNS));
    let sandbox = inside(&plan);
    let (name, interface) = sandbox.interfaces.first_key_value().unwrap();
    assert_eq!(veth.peer_name.as_ref(), Some(name));
    let address = "172.28.0.2/16".parse().unwrap();
    assert_eq!(interface.addresses, BTreeSet::from([address]));
    assert_eq!((interface.mtu_bytes, interface.up), (1500, true));
    let route = RouteState {
        destination: subnet("0.0.0.0/0"),
        gateway: "172.28.0.1".parse().unwrap(),
        interface: Some("eth1".parse().unwrap()),
    };
    assert_eq!(sandbox.routes, BTreeSet::from([route]));
    assert_eq!(sandbox.dns_redirect, Some(41000));
    assert!(sandbox.loopback_up);
}

#[test]
fn bridge_options_reach_both_ends() {
    let mut quiet = member("quiet", 1, &["10.0.0.0/24"]);
    spec(&mut quiet.0).mtu_bytes = Some(1400);
    let plan = plan(&[&quiet]);
    let (_, veth) = plan.host.veths.first_key_value().unwrap();
    let (_, interface) = inside(&plan).interfaces.first_key_value().unwrap();
    assert_eq!((veth.mtu_bytes, interface.mtu_bytes), (1400, 1400));
}

#[test]
fn without_icc_ports_are_isolated_where_the_firewall_would_not_decide() {
    let isolated = |owned, icc, subnets: &[&str]| {
        let mut quiet = member("quiet", 1, subnets);
        spec(&mut quiet.0).icc = icc;
        spec(&mut quiet.0).owned = owned;
        plan(&[&quiet])
            .host
            .veths
            .values()
            .all(|veth| veth.isolated)
    };
    let (v4, both) = (&["10.0.0.0/24"][..], &["10.0.0.0/24", "fd00::/64"][..]);
    assert!(!isolated(true, false, v4));
    assert!(!isolated(true, false, both));
    assert!(isolated(false, false, v4));
    for (owned, subnets) in [(true, v4), (true, both), (false, v4)] {
        assert!(!isolated(owned, true, subnets));
    }
}

#[test]
fn the_default_route_follows_priority_then_name() {
    let mut a = member("a", 1, &["10.0.1.0/24"]);
    let mut b = member("b", 2, &["10.0.2.0/24"]);
    assert_eq!(gateways(&[&b, &a]), ["10.0.1.1"]);
    b.1.gateway_priority = 5;
    assert_eq!(gateways(&[&a, &b]), ["10.0.2.1"]);
    a.1.gateway_priority = -1;
    b.1.gateway_priority = 0;
    assert_eq!(gateways(&[&a, &b]), ["10.0.2.1"]);
    b.0.policy.internal = true;
    assert_eq!(gateways(&[&a, &b]), ["10.0.1.1"]);
    a.0.policy.internal = true;
    assert!(gateways(&[&a, &b]).is_empty());
}

#[test]
fn each_family_has_its_own_default_route() {
    let a = member("a", 1, &["10.0.1.0/24"]);
    let b = member("b", 2, &["10.0.2.0/24", "fd00:2::/64"]);
    assert_eq!(gateways(&[&a, &b]), ["10.0.1.1", "fd00:2::1"]);
}

#[test]
fn a_gateway_of_the_administrator_s_takes_the_bridge_s_place_in_its_family() {
    let mut a = member("a", 1, &["10.0.1.0/24", "fd00:1::/64"]);
    spec(&mut a.0).gateway_override = Some("10.0.1.254".parse().unwrap());
    assert_eq!(gateways(&[&a]), ["10.0.1.254", "fd00:1::1"]);
}

#[test]
fn ipv6_is_off_everywhere_without_an_address_of_it() {
    let a = member("a", 1, &["10.0.1.0/24"]);
    let always = [
        "ipv6/conf/default/accept_ra=0",
        "ipv6/conf/default/disable_ipv6=1",
    ];
    assert_eq!(sysctls(&plan(&[])), always);
    let own = "ipv6/conf/eth1/disable_ipv6=1";
    assert_eq!(sysctls(&plan(&[&a])), [always[0], always[1], own]);
}

#[test]
fn ipv6_is_on_exactly_where_there_is_an_address_of_it() {
    let a = member("a", 1, &["10.0.1.0/24"]);
    let b = member("b", 2, &["10.0.2.0/24", "fd00:2::/64"]);
    assert_eq!(
        sysctls(&plan(&[&a, &b])),
        [
            "ipv6/conf/default/accept_ra=0",
            "ipv6/conf/default/disable_ipv6=1",
            "ipv6/conf/eth1/disable_ipv6=1",
            "ipv6/conf/eth2/accept_dad=0",
            "ipv6/conf/eth2/accept_ra=0",
            "ipv6/conf/eth2/disable_ipv6=0",
            "ipv6/conf/lo/disable_ipv6=0"
        ]
    );
}

#[test]
fn names_are_answered_only_on_networks_that_a_user_made() {
    let mut default = member("bridge", 1, &["172.17.0.0/16"]);
    spec(&mut default.0).is_default = true;
    let user = member("user", 2, &["172.18.0.0/16"]);
    let port = |members: &[&Member]| inside(&plan(members)).dns_redirect;
    assert_eq!(port(&[&default]), None);
    assert_eq!(port(&[&default, &user]), Some(41000));
    let attachment = Attachment {
        network: &user.0,
        endpoint: &user.1,
    };
    let off = plan_sandbox(&sandbox(), &[attachment], INSTANCE, ResolverWish::Off).unwrap();
    assert_eq!(inside(&off).dns_redirect, None);
}

#[test]
fn host_none_and_endpoints_on_their_way_out_leave_loopback_alone_up() {
    let mut leaving = member("a", 1, &["10.0.1.0/24"]);
    leaving.1.phase = Phase::Detaching;
    let mut none = member("none", 2, &[]);
    none.0.driver = DriverSpec::Null;
    let mut host = member("host", 3, &[]);
    host.0.driver = DriverSpec::Host;
    let plan = plan(&[&leaving, &none, &host]);
    assert!(plan.host.veths.is_empty());
    let sandbox = inside(&plan);
    assert!(sandbox.loopback_up && sandbox.interfaces.is_empty() && sandbox.routes.is_empty());
    assert_eq!(sandbox.dns_redirect, None);
}

#[test]
fn records_that_do_not_fit_together_are_refused() {
    let a = member("a", 1, &["10.0.1.0/24"]);
    let b = member("b", 2, &["10.0.2.0/24"]);
    let crossed = (a.0.clone(), b.1.clone());
    let error = |members: &[&Member]| try_plan(members).unwrap_err();
    assert!(matches!(error(&[&crossed]), PlanError::WrongNetwork { .. }));
    let mut bare = a.clone();
    bare.1.interface = None;
    assert!(matches!(error(&[&bare]), PlanError::NoInterface { .. }));
    let mut foreign = a.clone();
    foreign.1.leases = b.1.leases.clone();
    assert!(matches!(error(&[&foreign]), PlanError::ForeignLease { .. }));
    let mut twin = b.clone();
    twin.1.interface = a.1.interface.clone();
    assert_eq!(
        error(&[&a, &twin]).to_string(),
        "interface name eth1 is wanted on two networks, a and b; disconnect one of them"
    );
}

#[test]
fn a_name_inside_may_equal_one_on_the_host() {
    let a = member("a", 1, &["10.0.1.0/24"]);
    let mut b = member("b", 2, &["10.0.2.0/24"]);
    if let Some(interface) = &mut b.1.interface {
        interface.inside = "veth1".parse().unwrap();
    }
    assert!(try_plan(&[&a, &b]).is_ok());
}

#[test]
fn a_first_attach_takes_eight_steps_and_none_the_second_time() {
    let a = member("a", 1, &["10.0.1.0/24"]);
    let wished = plan(&[&a]);
    let ops = diff(&wished, &KernelState::default(), INSTANCE);
    let expected = [
        "sysctl",
        "sysctl",
        "interface",
        "veth",
        "address",
        "interface",
        "route",
        "dns",
    ];
    assert_eq!(kinds(&ops), expected);
    assert_eq!(diff(&wished, &wished, INSTANCE), []);
}

#[test]
fn a_second_attach_touches_only_its_own_pair_and_the_routes() {
    let (a, b) = (
        member("a", 1, &["10.0.1.0/24"]),
        member("b", 2, &["10.0.2.0/24"]),
    );
    let ops = diff(&plan(&[&a, &b]), &plan(&[&a]), INSTANCE);
    assert_eq!(
        kinds(&ops),
        ["veth", "sysctl", "address", "interface", "route"]
    );
}

#[test]
fn a_detach_is_one_deletion_and_the_next_gateway() {
    let (a, b) = (
        member("a", 1, &["10.0.1.0/24"]),
        member("b", 2, &["10.0.2.0/24"]),
    );
    let before = plan(&[&a, &b]);
    assert_eq!(kinds(&diff(&plan(&[&a]), &before, INSTANCE)), ["delete"]);
    let mut leaving = a.clone();
    leaving.1.phase = Phase::Detaching;
    let ops = diff(&plan(&[&leaving, &b]), &before, INSTANCE);
    assert_eq!(kinds(&ops), ["delete", "route"]);
}

#[test]
fn a_change_of_the_gateway_is_one_route() {
    let (a, mut b) = (
        member("a", 1, &["10.0.1.0/24"]),
        member("b", 2, &["10.0.2.0/24"]),
    );
    let before = plan(&[&a, &b]);
    b.1.gateway_priority = 1;
    let ops = diff(&plan(&[&a, &b]), &before, INSTANCE);
    let gateway: IpAddr = "10.0.2.1".parse().unwrap();
    assert!(matches!(&ops[..], [Op::AddRoute { route, .. }] if route.gateway == gateway));
    b.0.policy.internal = true;
    let mut closed = a.clone();
    closed.0.policy.internal = true;
    let ops = diff(&plan(&[&closed, &b]), &before, INSTANCE);
    assert_eq!(kinds(&ops), ["no route"]);
}

#[test]
fn ipv6_comes_to_a_sandbox_that_had_none_without_opening_the_others() {
    let a = member("a", 1, &["10.0.1.0/24"]);
    let b = member("b", 2, &["10.0.2.0/24", "fd00:2::/64"]);
    let ops = diff(&plan(&[&a, &b]), &plan(&[&a]), INSTANCE);
    let written = ops.iter().filter_map(|op| match op {
        Op::WriteSysctl { key, value, .. } => Some(format!("{}={value}", key.path())),
        _ => None,
    });
    assert_eq!(
        written.collect::<BTreeSet<_>>(),
        BTreeSet::from([
            "ipv6/conf/lo/disable_ipv6=0".to_owned(),
            "ipv6/conf/eth2/accept_dad=0".to_owned(),
            "ipv6/conf/eth2/accept_ra=0".to_owned(),
            "ipv6/conf/eth2/disable_ipv6=0".to_owned(),
        ])
    );
}

/// A second interface on the network of a first one.
fn again((network, _): &Member, number: u8) -> Member {
    let mut endpoint = endpoint(network, number);
    for lease in &mut endpoint.leases {
        lease.address = lease.pool.nth(u128::from(number) + 2).unwrap();
    }
    (network.clone(), endpoint)
}

#[test]
fn of_several_interfaces_on_a_network_each_speaks_for_itself() {
    let web = member("web", 1, &["10.0.1.0/24"]);
    let other = member("other", 5, &["10.0.5.0/24"]);
    let second = again(&web, 2);
    let spoken = |members: &[&Member]| -> Vec<String> {
        let all = sysctls(&plan(members)).into_iter();
        all.filter(|text| text.starts_with("ipv4/")).collect()
    };
    assert!(spoken(&[&web, &other]).is_empty());
    let manners = ["arp_announce=2", "arp_ignore=1", "rp_filter=2"];
    let both = ["eth1", "eth2"].map(|own| manners.map(|key| format!("ipv4/conf/{own}/{key}")));
    assert_eq!(spoken(&[&web, &second, &other]), both.concat());
}

#[test]
fn of_several_interfaces_on_a_network_the_first_leads_out_unless_another_is_preferred() {
    let web = member("web", 1, &["10.0.1.0/24"]);
    let mut second = again(&web, 2);
    let ways = |members: &[&Member]| -> Vec<String> {
        let plan = plan(members);
        let way = |route: &RouteState| {
            let leaves_by = route.interface.as_ref().unwrap();
            format!(
                "{} via {} dev {leaves_by}",
                route.destination, route.gateway
            )
        };
        inside(&plan).routes.iter().map(way).collect()
    };
    assert_eq!(ways(&[&second, &web]), ["0.0.0.0/0 via 10.0.1.1 dev eth1"]);
    second.1.routes.push(ContainerRoute {
        destination: subnet("10.9.0.0/16"),
        gateway: None,
    });
    second.1.gateway_priority = 1;
    let all = [
        "0.0.0.0/0 via 10.0.1.1 dev eth2",
        "10.9.0.0/16 via 10.0.1.1 dev eth2",
    ];
    assert_eq!(ways(&[&web, &second]), all);
    // When the one goes that led out, the other does.
    let ops = diff(&plan(&[&web]), &plan(&[&web, &second]), INSTANCE);
    assert_eq!(kinds(&ops), ["delete", "no route", "route"]);
    assert_eq!(ways(&[&web]), ["0.0.0.0/0 via 10.0.1.1 dev eth1"]);
}
