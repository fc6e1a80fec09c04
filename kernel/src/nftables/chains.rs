//! The chains of netd's table and their rules, which stay the same whatever networks and ports there are.

use super::sets::Set;
use super::words::{Field, Rule, Target};
use crate::Family;

/// The chain that is the user's: made, then never touched.
pub(super) const USER: &str = "DOCKER-USER";

/// Where a chain is called from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    /// `filter` or `nat`.
    pub(crate) kind: &'static str,
    /// `enum nf_inet_hooks` (linux/netfilter.h).
    pub(crate) number: u32,
    /// Lower goes first (`enum nf_ip_hook_priorities`, linux/netfilter_ipv4.h).
    pub(crate) priority: i32,
}

const PREROUTING: u32 = 0;
const FORWARD: u32 = 2;
pub(crate) const OUTPUT: u32 = 3;
/// Where destinations are translated (`NF_IP_PRI_NAT_DST`).
pub(crate) const TRANSLATION: i32 = -100;
const POSTROUTING: u32 = 4;

/// A chain.
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    /// `None` for one that is only jumped to.
    pub(crate) hook: Option<Hook>,
    /// Each with the reason, which stands beside it in a listing.
    pub(crate) rules: Vec<(Rule, &'static str)>,
}

/// All chains, those that are jumped to before those that jump.
pub(super) fn chains() -> Vec<Chain> {
    let mut chains = vec![
        plain(USER, Vec::new()),
        plain(NEIGHBOURS, neighbours()),
        plain("entering", entering()),
    ];
    chains.extend(Family::BOTH.map(|family| plain(published(family), translations(family))));
    chains.extend([
        hooked("guard", ("filter", PREROUTING, -300), guard()),
        hooked("prerouting", ("nat", PREROUTING, TRANSLATION), arriving()),
        hooked("output", ("nat", OUTPUT, TRANSLATION), asked_by_host()),
        hooked(FORWARDING, ("filter", FORWARD, 0), forward()),
        hooked("postrouting", ("nat", POSTROUTING, 100), leaving()),
    ]);
    chains
}

/// The chain that forwarded packets come to; its first rule leads to the user's.
pub(super) const FORWARDING: &str = "forward";

/// The chain for neighbours that are kept apart.
pub(super) const NEIGHBOURS: &str = "neighbours";

/// A chain that is only jumped to.
fn plain(name: &'static str, rules: Vec<(Rule, &'static str)>) -> Chain {
    Chain {
        name,
        hook: None,
        rules,
    }
}

/// A chain that the kernel calls: `filter` or `nat`, where, and in which order.
pub(crate) fn hooked(
    name: &'static str,
    (kind, number, priority): (&'static str, u32, i32),
    rules: Vec<(Rule, &'static str)>,
) -> Chain {
    Chain {
        name,
        hook: Some(Hook {
            kind,
            number,
            priority,
        }),
        rules,
    }
}

const fn published(family: Family) -> &'static str {
    match family {
        Family::V4 => "published4",
        Family::V6 => "published6",
    }
}

fn guard() -> Vec<(Rule, &'static str)> {
    // Bridges have route_localnet, so the kernel does not drop these as martians (CVE-2020-8558). IPv6 has no such way.
    vec![(
        Rule::of(Family::V4)
            .for_loopback_v4()
            .within(Set::Bridges, &[Field::In])
            .so(Target::Drop),
        "the host's 127.0.0.0/8 is not for containers",
    )]
}

fn arriving() -> Vec<(Rule, &'static str)> {
    let mut rules = vec![(
        // Only what the host itself sends may be translated there: a port published on 127.0.0.1 stays the host's.
        Rule::of(Family::V4).for_loopback_v4().so(Target::Return),
        "ports of 127.0.0.0/8 are not for the wire",
    )];
    rules.extend(to_published());
    rules.extend(Family::BOTH.map(|family| {
        use Field::{Destination, Port, Protocol, Source};
        let key = [Source(family), Destination(family), Protocol, Port];
        let asked = Rule::of(family).for_host();
        (
            asked.translated_by(Set::PortsFrom(family), &key, family),
            "published for some sources",
        )
    }));
    rules
}

fn asked_by_host() -> Vec<(Rule, &'static str)> {
    let mut rules = vec![(
        // `family::is_translated` says why.
        Rule::of(Family::V6).for_loopback_v6().so(Target::Return),
        "no answer finds back to ::1",
    )];
    rules.extend(to_published());
    rules.extend(Family::BOTH.map(|family| {
        let key = [Field::Destination(family), Field::Protocol, Field::Port];
        let asked = Rule::of(family).for_host();
        (
            asked.translated_by(Set::PortsOwn(family), &key, family),
            "published for some sources, of which the host is one",
        )
    }));
    rules
}

fn to_published() -> [(Rule, &'static str); 2] {
    Family::BOTH.map(|family| {
        (
            Rule::of(family)
                .for_host()
                .so(Target::Jump(published(family))),
            "published ports",
        )
    })
}

fn translations(family: Family) -> Vec<(Rule, &'static str)> {
    use Field::{Destination, Port, Protocol};
    let at_one = [Destination(family), Protocol, Port];
    let by = |set, fields: &[Field]| Rule::of(family).translated_by(set, fields, family);
    vec![
        (
            by(Set::PortsAt(family), &at_one),
            "of one address of the host",
        ),
        (
            by(Set::Ports(family), &[Protocol, Port]),
            "of every address",
        ),
        (by(Set::Ranges(family), &at_one), "ranges"),
        (
            by(Set::Runs(family), &at_one),
            "neighbours that lead to one port",
        ),
    ]
}

fn forward() -> Vec<(Rule, &'static str)> {
    use Field::{Destination, In, Out};
    let mut rules = vec![
        (Rule::any().so(Target::Jump(USER)), "yours"),
        (
            Rule::any().told_by(Set::Pairs, &[In, Out]),
            "within a network, and between networks that may talk",
        ),
        (
            Rule::any().within(Set::Internal, &[In]).so(Target::Drop),
            "nothing out of an internal network",
        ),
        (
            Rule::any().within(Set::Internal, &[Out]).so(Target::Drop),
            "nothing into an internal network",
        ),
    ];
    rules.extend(Family::BOTH.map(|family| {
        (
            Rule::of(family)
                .within(Set::Apart(family), &[Destination(family), In])
                .not_translated()
                .so(Target::Drop),
            "a route that is not for this network",
        )
    }));
    rules.extend([
        (
            Rule::any()
                .within(Set::Bridges, &[Out])
                .so(Target::Jump("entering")),
            "into a network",
        ),
        (
            Rule::any().within(Set::Bridges, &[In]).so(Target::Accept),
            "out of a network",
        ),
        (
            Rule::any()
                .within(Set::OwnOnly, &[Field::Version])
                .so(Target::Drop),
            "the host is no router for strangers",
        ),
    ]);
    rules
}

fn neighbours() -> Vec<(Rule, &'static str)> {
    vec![
        (
            Rule::any().translated().so(Target::Accept),
            "a port that the world reaches is no secret from a neighbour",
        ),
        (Rule::any().so(Target::Drop), "neighbours kept apart"),
    ]
}

fn entering() -> Vec<(Rule, &'static str)> {
    use Field::{In, Out, Source};
    let mut rules = routed();
    rules.extend([
        (
            // Before the established ones, so that `net deny` ends those, too.
            Rule::any()
                .within(Set::Bridges, &[Field::In])
                .not_translated()
                .so(Target::Drop),
            "networks meet only at published ports",
        ),
        (
            Rule::any().established_or_related().so(Target::Accept),
            "answers",
        ),
        (
            Rule::any().translated().so(Target::Accept),
            "published ports",
        ),
    ]);
    rules.extend(direct());
    rules.extend(Family::BOTH.map(|family| {
        (
            Rule::of(family)
                .within(Set::Peers(family), &[In, Source(family), Out])
                .so(Target::Accept),
            "containers of other hosts",
        )
    }));
    rules.push((
        Rule::any().so(Target::Drop),
        "no way to a container past its published ports",
    ));
    rules
}

/// Numbers of ICMP for IPv4 and for IPv6 (RFC 792, RFC 4443 section 2.1).
const fn icmp(family: Family) -> u8 {
    match family {
        Family::V4 => 1,
        Family::V6 => 58,
    }
}

/// Networks where nothing is translated: other networks reach their ports as the world does.
fn routed() -> Vec<(Rule, &'static str)> {
    Family::BOTH
        .into_iter()
        .flat_map(|family| {
            use Field::{Destination, In, Out, Port, Protocol};
            let of = || Rule::of(family);
            [
                (
                    of().within(Set::Routed(family), &[In])
                        .established_or_related()
                        .so(Target::Accept),
                    "answers out of a routed network",
                ),
                (
                    of().within(Set::Opened(family), &[Destination(family), Protocol, Port])
                        .so(Target::Accept),
                    "ports open at the container's own address",
                ),
                (
                    of().within(Set::Routed(family), &[Out])
                        .with(Protocol, &[icmp(family)])
                        .so(Target::Accept),
                    "whether somebody is there",
                ),
            ]
        })
        .collect()
}

/// Further ways to a container's own address.
fn direct() -> Vec<(Rule, &'static str)> {
    Family::BOTH
        .into_iter()
        .flat_map(|family| {
            use Field::{Destination, In, Out, Port, Protocol};
            let from = [In, Destination(family), Protocol, Port];
            [
                (
                    Rule::of(family)
                        .within(Set::Trusted(family), &from)
                        .so(Target::Accept),
                    "published ports, from interfaces that are trusted",
                ),
                (
                    Rule::of(family)
                        .within(Set::Unprotected(family), &[Out])
                        .so(Target::Accept),
                    "networks that nothing protects",
                ),
            ]
        })
        .collect()
}

fn leaving() -> Vec<(Rule, &'static str)> {
    Family::BOTH
        .into_iter()
        .flat_map(|family| {
            use Field::{Destination, Out, Source};
            let home = || Rule::of(family).within(Set::Home(family), &[Source(family), Out]);
            [
                (
                    home().translated().masqueraded(),
                    "a neighbour's answer must come back by the host",
                ),
                (home().so(Target::Return), "within a network"),
                (
                    Rule::of(family)
                        .within(Set::Routed(family), &[Out])
                        .by_host()
                        .so(Target::Return),
                    "into a routed network as it is",
                ),
                (
                    Rule::of(family)
                        .within(Set::Bridges, &[Out])
                        .by_host()
                        .masqueraded(),
                    "no container can answer to 127.0.0.1",
                ),
                (
                    Rule::of(family)
                        .within(Set::Kept(family), &[Source(family), Destination(family)])
                        .so(Target::Return),
                    "who may talk sees the other's own address",
                ),
                (
                    Rule::of(family).sourced_by(
                        Set::Sourced(family),
                        &[Source(family), Destination(family)],
                        family,
                    ),
                    "out by an address of their own",
                ),
                (
                    Rule::of(family)
                        .within(
                            Set::Masqueraded(family),
                            &[Source(family), Destination(family)],
                        )
                        .masqueraded(),
                    "out by the host's address",
                ),
            ]
        })
        .collect()
}
