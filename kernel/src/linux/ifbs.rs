//! Devices that packets go through to be held back (net/ifb.c): requests that make them and take them out of use.

use netd_model::IfName;
use netd_model::desired::Mark;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoKind, LinkAttribute,
};
use rtnetlink::{LinkMessageBuilder, LinkUnspec};

use super::links;
use super::queues::Request;
use super::sysctl::Ipv6;

/// Requests that make an ifb, mark it, and bring it up. It speaks no IPv6 of its own, as the outer end of a pair does not.
pub(super) fn new(name: &IfName, mark: Mark, ipv6: Option<Ipv6>) -> [Request; 3] {
    let made = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Ifb)
        .name(name.to_string())
        .append_extra_attribute(LinkAttribute::NumTxQueues(1))
        .append_extra_attribute(LinkAttribute::NumRxQueues(1))
        .build();
    let mut marked = LinkUnspec::new_with_name(name.as_str()).alias(mark.to_string());
    // The kernel refuses words of a family that it does not have.
    if let Some(Ipv6) = ipv6 {
        let silent = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let of_family = vec![AfSpecUnspec::Inet6(vec![silent])];
        marked = marked.append_extra_attribute(LinkAttribute::AfSpecUnspec(of_family));
    }
    [
        (
            RouteNetlinkMessage::NewLink(made),
            NLM_F_CREATE | NLM_F_EXCL,
        ),
        (RouteNetlinkMessage::NewLink(marked.build()), 0),
        (links::bring_up(name), 0),
    ]
}

/// Request that sets the link `index` down.
pub(super) fn set_down(index: u32) -> RouteNetlinkMessage {
    RouteNetlinkMessage::SetLink(LinkUnspec::new_with_index(index).down().build())
}
