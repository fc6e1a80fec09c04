//! Links as the kernel lists them, and the requests that make, change and delete them.
//!
//! Knows rtnetlink's words for a link (linux/if_link.h), not what netd wants with it.

use std::io;

use netd_model::desired::{LinkChange, Mark, NewVeth};
use netd_model::{IfName, Mac};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoBridge, InfoData, InfoKind, InfoVeth,
    LinkAttribute, LinkExtentMask, LinkMessage,
};
use nix::libc;
use rtnetlink::{LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::attributes::{Attributes, text, u32_at};
use super::session::{Session, errno};
use super::sysctl::Ipv6;

/// `IF_OPER_UP` (linux/if.h).
const OPERATIONAL: u8 = 6;

/// Hairpin mode and isolation among the attributes of a bridge port (linux/if_link.h `IFLA_BRPORT_MODE`,
/// `IFLA_BRPORT_ISOLATED`).
const PORT_HAIRPIN: u16 = 4;
const PORT_ISOLATED: u16 = 33;
/// Whether iptables and ip6tables see what a bridge switches, among its attributes (linux/if_link.h
/// `IFLA_BR_NF_CALL_IPTABLES`, `IFLA_BR_NF_CALL_IP6TABLES`).
const BRIDGE_CALLS_IPTABLES: u16 = 36;
const BRIDGE_CALLS_IP6TABLES: u16 = 37;
/// Size of a `struct ifinfomsg` in bytes (linux/rtnetlink.h).
const INFO_BYTES: usize = 16;

/// Smallest MTU that a bridge takes, in bytes (`ETH_MIN_MTU`, linux/if_ether.h).
const MTU_MIN_BYTES: u32 = 68;

/// A link, as far as it matters to netd.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: IfName,
    pub(super) mark: Option<Mark>,
    pub(super) mac: Option<Mac>,
    pub(super) mtu_bytes: u32,
    pub(super) up: bool,
    /// Frames pass (RFC 2863 `ifOperStatus` up).
    pub(super) operational: bool,
    pub(super) loopback: bool,
    /// `bridge`, `veth` and so on; empty for hardware.
    pub(super) kind: String,
    /// Index of the bridge that it is a port of.
    pub(super) bridge: Option<u32>,
    /// Index of the other end of a veth pair, in the namespace `peer_nsid`.
    pub(super) peer: Option<u32>,
    /// How this namespace calls the other end's; `None` if that is the same.
    pub(super) peer_nsid: Option<i32>,
    pub(super) hairpin: bool,
    pub(super) isolated: bool,
    /// What a bridge says of itself; without br_netfilter nothing follows from it.
    pub(super) calls_iptables: bool,
    pub(super) calls_ip6tables: bool,
}

/// Reads the payload of an `RTM_NEWLINK`; `None` if the link has a name that netd cannot say.
pub(super) fn read_link(payload: &[u8]) -> Option<Link> {
    let flags = u32_at(payload, 8)?;
    let mut link = Link {
        index: u32_at(payload, 4)?,
        name: IfName::new("lo").ok()?,
        mark: None,
        mac: None,
        mtu_bytes: 0,
        up: has(flags, libc::IFF_UP),
        operational: false,
        loopback: has(flags, libc::IFF_LOOPBACK),
        kind: String::new(),
        bridge: None,
        peer: None,
        peer_nsid: None,
        hairpin: false,
        isolated: false,
        calls_iptables: false,
        calls_ip6tables: false,
    };
    let mut named = false;
    for (kind, value) in Attributes::new(payload.get(INFO_BYTES..)?) {
        match kind {
            libc::IFLA_IFNAME => {
                link.name = IfName::new(&text(value)?).ok()?;
                named = true;
            }
            libc::IFLA_IFALIAS => link.mark = text(value).and_then(|text| text.parse().ok()),
            libc::IFLA_ADDRESS => link.mac = value.try_into().ok().map(Mac::from_octets),
            libc::IFLA_OPERSTATE => link.operational = value.first() == Some(&OPERATIONAL),
            libc::IFLA_MTU => link.mtu_bytes = u32_at(value, 0)?,
            libc::IFLA_MASTER => link.bridge = u32_at(value, 0),
            libc::IFLA_LINK => link.peer = u32_at(value, 0),
            libc::IFLA_LINK_NETNSID => link.peer_nsid = u32_at(value, 0).map(u32::cast_signed),
            libc::IFLA_LINKINFO => read_info(value, &mut link),
            _ => {}
        }
    }
    named.then_some(link)
}

fn has(flags: u32, flag: libc::c_int) -> bool {
    flags & flag.cast_unsigned() != 0
}

fn read_info(info: &[u8], link: &mut Link) {
    let on = |value: &[u8]| value.first() == Some(&1);
    for (kind, value) in Attributes::new(info) {
        match kind {
            libc::IFLA_INFO_KIND => link.kind = text(value).unwrap_or_default(),
            // The kind comes first (`rtnl_link_info_fill`, net/core/rtnetlink.c).
            libc::IFLA_INFO_DATA if link.kind == "bridge" => {
                for (kind, value) in Attributes::new(value) {
                    match kind {
                        BRIDGE_CALLS_IPTABLES => link.calls_iptables = on(value),
                        BRIDGE_CALLS_IP6TABLES => link.calls_ip6tables = on(value),
                        _ => {}
                    }
                }
            }
            libc::IFLA_INFO_SLAVE_DATA => {
                for (kind, value) in Attributes::new(value) {
                    match kind {
                        PORT_HAIRPIN => link.hairpin = on(value),
                        PORT_ISOLATED => link.isolated = on(value),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// Without its counters a link takes half the room.
fn without_counters<T>(builder: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
    builder.append_extra_attribute(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]))
}

/// All links of a namespace.
pub(super) fn all(session: &mut Session) -> io::Result<Vec<Link>> {
    let message = without_counters(LinkMessageBuilder::<LinkUnspec>::new()).build();
    session.dump(&RouteNetlinkMessage::GetLink(message), read_link)
}

/// The link of that name, if there is one.
pub(super) fn by_name(session: &mut Session, name: &IfName) -> io::Result<Option<Link>> {
    one(session, LinkUnspec::new_with_name(name.as_str()))
}

/// The link of that number, if there is one.
pub(super) fn by_index(session: &mut Session, index: u32) -> io::Result<Option<Link>> {
    one(session, LinkUnspec::new_with_index(index))
}

fn one(session: &mut Session, wanted: LinkMessageBuilder<LinkUnspec>) -> io::Result<Option<Link>> {
    let message = without_counters(wanted).build();
    match session.get(RouteNetlinkMessage::GetLink(message), read_link) {
        Err(error) if errno(&error) == Some(libc::ENODEV) => Ok(None),
        other => other,
    }
}

/// Request that makes a bridge, down and without an alias: the kernel takes none at creation.
///
/// With another MTU than `mtu_bytes`, so that [`name_bridge`] changes it: a bridge whose MTU was never changed takes
/// that of its smallest port, and 1500 again when the last one leaves (`br_mtu_auto_adjust`, net/bridge/br_if.c).
pub(super) fn new_bridge(name: &str, mac: Mac, mtu_bytes: u32) -> (RouteNetlinkMessage, u16) {
    let other = if mtu_bytes > MTU_MIN_BYTES {
        mtu_bytes - 1
    } else {
        mtu_bytes + 1
    };
    let message = LinkBridge::new(name)
        .address(mac.octets().to_vec())
        .mtu(other)
        .build();
    create(message)
}

/// Request that makes a veth pair: the outside end a port of the bridge `bridge`, the inside end at once in its
/// namespace, both down.
///
/// One queue: with more, the kernel waits for two grace periods per pair. Never made here and moved there: that takes
/// 19 ms. The namespace is a descriptor number, which must stay open until the request was sent.
pub(super) fn new_pair(veth: &NewVeth, bridge: u32, netns: i32) -> (RouteNetlinkMessage, u16) {
    let end = |builder: LinkMessageBuilder<LinkUnspec>| {
        builder
            .mtu(veth.mtu_bytes)
            .append_extra_attribute(LinkAttribute::NumTxQueues(1))
            .append_extra_attribute(LinkAttribute::NumRxQueues(1))
    };
    let inside = end(LinkUnspec::new_with_name(veth.inside.as_str()))
        .address(veth.mac.octets().to_vec())
        .setns_by_fd(netns)
        .build();
    let message = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .name(veth.outside.as_str())
        .controller(bridge)
        .mtu(veth.mtu_bytes)
        .append_extra_attribute(LinkAttribute::NumTxQueues(1))
        .append_extra_attribute(LinkAttribute::NumRxQueues(1))
        .set_info_data(InfoData::Veth(InfoVeth::Peer(inside)))
        .build();
    create(message)
}

fn create(message: LinkMessage) -> (RouteNetlinkMessage, u16) {
    (
        RouteNetlinkMessage::NewLink(message),
        NLM_F_CREATE | NLM_F_EXCL,
    )
}

/// Request that gives the bridge `name` its mark.
pub(super) fn mark_bridge(name: &str, mark: Mark) -> (RouteNetlinkMessage, u16) {
    let builder = LinkUnspec::new_with_name(name).alias(mark.to_string());
    (RouteNetlinkMessage::NewLink(builder.build()), 0)
}

/// Request that gives the outer end of a new pair its mark and its settings as a bridge port.
///
/// A port speaks no IPv6 of its own: told so before it comes up, it never gets an address. By this and not by the parameter
/// disable_ipv6, whose writers spin for as long as somebody else changes links (`addrconf_disable_ipv6`).
pub(super) fn mark_outer_end(veth: &NewVeth, ipv6: Option<Ipv6>) -> (RouteNetlinkMessage, u16) {
    let mut builder = LinkMessageBuilder::<LinkBridgePort>::default()
        .name(veth.outside.as_str())
        .alias(veth.mark.to_string());
    if veth.hairpin || veth.isolated {
        builder = builder
            .set_port_kind(netlink_packet_route::link::InfoPortKind::Bridge)
            .hairpin(veth.hairpin)
            .isolated(veth.isolated);
    }
    // The kernel refuses words of a family that it does not have.
    if let Some(Ipv6) = ipv6 {
        let silent = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let of_family = vec![AfSpecUnspec::Inet6(vec![silent])];
        builder = builder.append_extra_attribute(LinkAttribute::AfSpecUnspec(of_family));
    }
    // RTM_SETLINK ignores port settings; RTM_NEWLINK without NLM_F_CREATE changes what is there.
    (RouteNetlinkMessage::NewLink(builder.build()), 0)
}

/// Request that changes the link `index`, apart from the settings of a bridge or of its port; `bridge` is the index of the one
/// to join, 0 for none. `None` if there is nothing to change.
pub(super) fn change_link(
    index: u32,
    change: &LinkChange,
    bridge: Option<u32>,
) -> Option<RouteNetlinkMessage> {
    let mut builder = LinkUnspec::new_with_index(index);
    let mut any = false;
    if let Some(mtu_bytes) = change.mtu_bytes {
        builder = builder.mtu(mtu_bytes);
        any = true;
    }
    if let Some(mac) = change.mac {
        builder = builder.address(mac.octets().to_vec());
        any = true;
    }
    if let Some(bridge) = bridge {
        builder = builder.controller(bridge);
        any = true;
    }
    if let Some(up) = change.up {
        builder = if up { builder.up() } else { builder.down() };
        any = true;
    }
    any.then(|| RouteNetlinkMessage::SetLink(builder.build()))
}

/// Request that changes the settings of the bridge `index`; `None` if there is nothing to change.
pub(super) fn change_bridge(index: u32, change: &LinkChange) -> Option<RouteNetlinkMessage> {
    let filtered = change.filtered?;
    let message = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Bridge)
        .index(index)
        .set_info_data(InfoData::Bridge(vec![
            InfoBridge::NfCallIpTables(filtered),
            InfoBridge::NfCallIp6Tables(filtered),
        ]))
        .build();
    // As for ports, RTM_SETLINK would ignore it.
    Some(RouteNetlinkMessage::NewLink(message))
}

/// Request that changes the settings of the bridge port `index`; `None` if there is nothing to change.
pub(super) fn change_port(index: u32, change: &LinkChange) -> Option<RouteNetlinkMessage> {
    if change.hairpin.is_none() && change.isolated.is_none() {
        return None;
    }
    let mut builder = LinkBridgePort::new(index);
    if let Some(hairpin) = change.hairpin {
        builder = builder.hairpin(hairpin);
    }
    if let Some(isolated) = change.isolated {
        builder = builder.isolated(isolated);
    }
    Some(RouteNetlinkMessage::NewLink(builder.build()))
}

/// Request that brings up the link `name`.
pub(super) fn bring_up(name: &IfName) -> RouteNetlinkMessage {
    RouteNetlinkMessage::SetLink(LinkUnspec::new_with_name(name.as_str()).up().build())
}

/// Request that gives a new bridge its name and its MTU, from then on fixed.
pub(super) fn name_bridge(index: u32, name: &IfName, mtu_bytes: u32) -> RouteNetlinkMessage {
    RouteNetlinkMessage::SetLink(
        LinkUnspec::new_with_index(index)
            .name(name.as_str())
            .mtu(mtu_bytes)
            .build(),
    )
}

/// Request that takes the link `index` off its bridge, if it is on one, and sets it down. It keeps its place in a
/// namespace, and its name.
pub(super) fn cut_off(index: u32) -> RouteNetlinkMessage {
    RouteNetlinkMessage::SetLink(
        LinkUnspec::new_with_index(index)
            .controller(0)
            .down()
            .build(),
    )
}

/// Request that takes the link `index` off the bridge that it is a port of.
pub(super) fn leave_bridge(index: u32) -> RouteNetlinkMessage {
    RouteNetlinkMessage::SetLink(LinkUnspec::new_with_index(index).controller(0).build())
}

/// Requests that set the link `index` down and then give it another name, which older kernels refuse while it is up.
pub(super) fn lay_down(index: u32, name: &IfName) -> [RouteNetlinkMessage; 2] {
    let down = LinkUnspec::new_with_index(index).down().build();
    [RouteNetlinkMessage::SetLink(down), rename(index, name)]
}

/// Request that gives the link `index` another name.
pub(super) fn rename(index: u32, name: &IfName) -> RouteNetlinkMessage {
    RouteNetlinkMessage::SetLink(
        LinkUnspec::new_with_index(index)
            .name(name.as_str())
            .build(),
    )
}

/// The ports of the bridge `index`.
pub(super) fn ports_of(session: &mut Session, index: u32) -> io::Result<Vec<Link>> {
    let of_bridge = LinkMessageBuilder::<LinkUnspec>::new().controller(index);
    let message = without_counters(of_bridge).build();
    let found = session.dump(&RouteNetlinkMessage::GetLink(message), read_link)?;
    // Kernels that know no filter list all.
    Ok(found
        .into_iter()
        .filter(|link| link.bridge == Some(index))
        .collect())
}

/// Request that puts the link `index` into a group, by which many can be deleted at once.
pub(super) fn into_group(index: u32, group: u32) -> RouteNetlinkMessage {
    RouteNetlinkMessage::SetLink(LinkUnspec::new_with_index(index).link_group(group).build())
}

/// Request that deletes the link `index`.
pub(super) fn delete(index: u32) -> RouteNetlinkMessage {
    RouteNetlinkMessage::DelLink(LinkUnspec::new_with_index(index).build())
}

/// Request that deletes every link of a group.
pub(super) fn delete_group(group: u32) -> RouteNetlinkMessage {
    RouteNetlinkMessage::DelLink(
        LinkMessageBuilder::<LinkUnspec>::new()
            .link_group(group)
            .build(),
    )
}
