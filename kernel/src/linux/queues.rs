//! What holds traffic back, in rtnetlink's words: a token bucket as a link's root queue, and a filter that sends what comes
//! in by a link through an ifb (linux/pkt_sched.h, linux/pkt_cls.h).
//!
//! Knows tbf, ingress, u32 and mirred, which any kernel with traffic control has; police, matchall, flower and the fair
//! queues are options of their own.

use std::collections::BTreeMap;
use std::io;

use netd_model::desired::Bucket;
use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAction, TcActionAttribute, TcActionMirrorOption, TcActionOption, TcActionType, TcAttribute,
    TcFilterU32Option, TcHandle, TcMessage, TcMirror, TcMirrorActionType, TcOption, TcU32Key,
    TcU32Selector, TcU32SelectorFlags,
};
use nix::libc;

use super::attributes::{Attributes, text, u32_at};
use super::session::{Session, errno};

/// `TCA_KIND`, `TCA_OPTIONS` (linux/rtnetlink.h).
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
/// Attributes of a tbf: `TCA_TBF_PARMS`, `TCA_TBF_RATE64`, `TCA_TBF_BURST`.
const TBF_PARMS: u16 = 1;
const TBF_RATE64: u16 = 4;
const TBF_BURST: u16 = 6;
/// Frames are counted with their Ethernet header and no more (`TC_LINKLAYER_ETHERNET`). Said so that the kernel does not
/// guess it from a table of rates, which nobody sends any more (`tbf_change`, net/sched/sch_tbf.c).
const LINKLAYER_ETHERNET: u8 = 1;
/// The kernel counts this many nanoseconds as one tick, as a power of two (`PSCHED_SHIFT`, net/pkt_sched.h).
const TICK_SHIFT: u32 = 6;
/// Attributes of a u32 filter: `TCA_U32_SEL`, `TCA_U32_ACT`.
const U32_SELECTOR: u16 = 5;
const U32_ACTIONS: u16 = 7;
/// `TC_U32_TERMINAL`: what fits has the action done, and is looked at by no other filter.
const TERMINAL: u8 = 1;
/// Actions are numbered from 1 (`TCA_ACT_MAX_PRIO`). `TCA_ACT_KIND`, `TCA_ACT_OPTIONS`, `TCA_MIRRED_PARMS`.
const FIRST_ACTION: u16 = 1;
const ACTION_KIND: u16 = 1;
const ACTION_OPTIONS: u16 = 2;
const MIRRED_PARMS: u16 = 2;
/// `TCA_EGRESS_REDIR` (linux/tc_act/tc_mirred.h).
const EGRESS_REDIRECT: u32 = 1;
/// Size of a `struct tcmsg` in bytes, and where in it the number of the link, the parent and the priority with the
/// protocol are (linux/rtnetlink.h).
const HEADER_BYTES: usize = 20;
const LINK_AT: usize = 4;
const PARENT_AT: usize = 12;
const INFO_AT: usize = 16;

/// Where filters of what comes in hang, with the queue "ingress" as with "clsact", which another may have put there.
const INCOMING: TcHandle = TcHandle {
    major: u16::MAX,
    minor: TcHandle::MIN_INGRESS,
};
/// The handle that both of them have.
const INGRESS_HANDLE: TcHandle = TcHandle {
    major: u16::MAX,
    minor: 0,
};
/// Priority of netd's filter: the number of its routes. Before all that somebody adds without a number, which begin at 49152
/// (`tcf_auto_prio`, net/sched/cls_api.c).
const PRIORITY: u32 = 0x6e;
/// Every protocol (linux/if_ether.h `ETH_P_ALL`), in network byte order.
const ALL_PROTOCOLS: u16 = 0x0003_u16.to_be();

/// What a request is, with its flags.
pub(super) type Request = (RouteNetlinkMessage, u16);

/// A token bucket as the kernel tells of it: its size in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeenBucket {
    bytes_per_second: u64,
    queue_bytes: u32,
    /// How long it takes to fill, in ticks, modulo 2^32.
    ticks: u32,
    /// Whether a second, faster rate bounds it, which netd never sets.
    has_peak: bool,
}

fn message(index: u32, parent: TcHandle, kind: &str) -> TcMessage {
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.parent = parent;
    message.attributes = vec![TcAttribute::Kind(kind.to_owned())];
    message
}

/// Request that puts a bucket at the root of the link `index`, in place of whatever queue is there.
///
/// A rate is told in 32 bits and again in 64, as far as it needs them, and the size in bytes: by the time that it takes to
/// fill, as the first field has it, it could be no more than 4 seconds (`tbf_change`, net/sched/sch_tbf.c).
pub(super) fn set_bucket(index: u32, bucket: &Bucket) -> Request {
    let narrow = u32::try_from(bucket.bytes_per_second).unwrap_or(u32::MAX);
    let ticks = u32::try_from(fill_ticks(bucket)).unwrap_or(u32::MAX);
    // struct tc_tbf_qopt: struct tc_ratespec rate, peakrate; __u32 limit, buffer, mtu.
    let mut parameters = Vec::with_capacity(36);
    // struct tc_ratespec: __u8 cell_log, linklayer; __u16 overhead; __s16 cell_align; __u16 mpu; __u32 rate.
    parameters.extend([0, LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0]);
    parameters.extend(narrow.to_ne_bytes());
    parameters.extend([0; 12]);
    for number in [bucket.queue_bytes, ticks, 0] {
        parameters.extend(number.to_ne_bytes());
    }
    let option = |kind, bytes: Vec<u8>| TcOption::Other(DefaultNla::new(kind, bytes));
    let mut options = vec![option(TBF_PARMS, parameters)];
    if narrow == u32::MAX {
        let wide = bucket.bytes_per_second.to_ne_bytes();
        options.push(option(TBF_RATE64, wide.to_vec()));
    }
    let burst = bucket.burst_bytes.to_ne_bytes();
    options.push(option(TBF_BURST, burst.to_vec()));
    let mut message = message(index, TcHandle::ROOT, "tbf");
    message.attributes.push(TcAttribute::Options(options));
    (
        RouteNetlinkMessage::NewQueueDiscipline(message),
        // One of this kind that is there is changed, and keeps what waits in it.
        NLM_F_CREATE | NLM_F_REPLACE,
    )
}

/// How long a bucket takes to fill, in the kernel's ticks.
fn fill_ticks(bucket: &Bucket) -> u64 {
    fill_nanoseconds(bucket.burst_bytes, bucket.bytes_per_second) >> TICK_SHIFT
}

fn fill_nanoseconds(bytes: u32, bytes_per_second: u64) -> u64 {
    let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second.max(1));
    u64::try_from(nanoseconds).unwrap_or(u64::MAX)
}

/// Requests that have all that comes in by the link `index` go through the ifb `ifb`: the queue where filters hang, which
/// may be there; then netd's own filter goes, if it is there, and comes. Filters of others stay.
pub(super) fn redirect(index: u32, ifb: u32) -> [Request; 3] {
    let mut ingress = message(index, TcHandle::INGRESS, "ingress");
    ingress.header.handle = INGRESS_HANDLE;
    let make = NLM_F_CREATE | NLM_F_EXCL;
    [
        (RouteNetlinkMessage::NewQueueDiscipline(ingress), make),
        (RouteNetlinkMessage::DelTrafficFilter(filter(index)), 0),
        (
            RouteNetlinkMessage::NewTrafficFilter(redirecting(index, ifb)),
            make,
        ),
    ]
}

/// What came of [`redirect`].
pub(super) fn redirected([made, removed, redirected]: [io::Result<()>; 3]) -> io::Result<()> {
    forgive(made, &[libc::EEXIST])?;
    // There was no filter of this number, or none at all.
    forgive(removed, &[libc::ENOENT, libc::EINVAL])?;
    redirected
}

fn forgive(result: io::Result<()>, codes: &[i32]) -> io::Result<()> {
    match result {
        Err(error) if errno(&error).is_some_and(|code| codes.contains(&code)) => Ok(()),
        other => other,
    }
}

/// Netd's filters of what comes in by a link, by their number.
fn filter(index: u32) -> TcMessage {
    let mut filter = TcMessage::with_index(index.cast_signed());
    filter.header.parent = INCOMING;
    filter.header.info = PRIORITY << 16 | u32::from(ALL_PROTOCOLS);
    filter
}

/// A filter that every packet fits: no bit of its first four bytes is looked at.
fn redirecting(index: u32, ifb: u32) -> TcMessage {
    let mut selector = TcU32Selector::default();
    selector.flags = TcU32SelectorFlags::Terminal;
    selector.nkeys = 1;
    selector.keys = vec![TcU32Key::default()];
    let mut way = TcMirror::default();
    way.generic.action = TcActionType::Stolen;
    way.eaction = TcMirrorActionType::EgressRedir;
    way.ifindex = ifb;
    let way = TcActionOption::Mirror(TcActionMirrorOption::Parms(way));
    let mut action = TcAction::default();
    action.attributes = vec![
        TcActionAttribute::Kind("mirred".to_owned()),
        TcActionAttribute::Options(vec![way]),
    ];
    let mut filter = filter(index);
    filter.attributes = vec![
        TcAttribute::Kind("u32".to_owned()),
        TcAttribute::Options(vec![
            TcOption::U32(TcFilterU32Option::Selector(selector)),
            TcOption::U32(TcFilterU32Option::Action(vec![action])),
        ]),
    ];
    filter
}

/// The buckets at the roots of links, by the links' numbers.
pub(super) fn buckets(session: &mut Session) -> io::Result<BTreeMap<u32, SeenBucket>> {
    let all = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
    let seen = session.dump(&all, |payload| {
        let root = u32_at(payload, PARENT_AT)? == u32::from(TcHandle::ROOT);
        let link = u32_at(payload, LINK_AT)?;
        let bucket = options_of(payload, "tbf").filter(|_| root)?;
        Some((link, read_bucket(bucket)?))
    })?;
    Ok(seen.into_iter().collect())
}

/// The options of a queue or filter, if it is of this kind.
fn options_of<'a>(payload: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let attributes = payload.get(HEADER_BYTES..)?;
    let kind = text(within(attributes, &[KIND])?)?;
    within(attributes, &[OPTIONS]).filter(|_| kind == wanted)
}

fn read_bucket(options: &[u8]) -> Option<SeenBucket> {
    let parameters = within(options, &[TBF_PARMS])?;
    let wide = within(options, &[TBF_RATE64])
        .and_then(|bytes| Some(u64::from_ne_bytes(bytes.try_into().ok()?)));
    let narrow = u32_at(parameters, 8)?;
    Some(SeenBucket {
        bytes_per_second: wide.unwrap_or(u64::from(narrow)),
        queue_bytes: u32_at(parameters, 24)?,
        ticks: u32_at(parameters, 28)?,
        has_peak: u32_at(parameters, 20)? != 0,
    })
}

impl SeenBucket {
    /// The bucket in the model's words. The kernel tells of its size as a time, counted in ticks that were rounded and lost
    /// what is above 32 bits; so if the size that is `wished` for takes that time, it is told.
    pub(super) fn report(&self, wished: &Bucket) -> Option<Bucket> {
        if self.has_peak {
            return None;
        }
        // The kernel multiplies and shifts by numbers of 32 bits instead of dividing (`psched_ratecfg_precompute`,
        // net/sched/sch_generic.c), and rounds twice.
        let ticks = fill_ticks(wished);
        let error = 2 + (ticks >> 30);
        let low = u32::try_from(ticks & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        let off = low.wrapping_sub(self.ticks);
        let fits = wished.bytes_per_second == self.bytes_per_second
            && u64::from(off.min(off.wrapping_neg())) <= error;
        let bytes = || {
            let nanoseconds = u128::from(self.ticks) << TICK_SHIFT;
            let bytes = nanoseconds * u128::from(self.bytes_per_second) / 1_000_000_000;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Some(Bucket {
            bytes_per_second: self.bytes_per_second,
            burst_bytes: if fits { wished.burst_bytes } else { bytes() },
            queue_bytes: self.queue_bytes,
        })
    }
}

/// The number of the ifb that netd's filter sends all to that comes in by the link `index`.
pub(super) fn way_in(session: &mut Session, index: u32) -> io::Result<Option<u32>> {
    let mut wanted = TcMessage::with_index(index.cast_signed());
    wanted.header.parent = INCOMING;
    let wanted = RouteNetlinkMessage::GetTrafficFilter(wanted);
    let found = session.dump(&wanted, read_way)?;
    Ok(found.first().copied())
}

fn read_way(payload: &[u8]) -> Option<u32> {
    if u32_at(payload, INFO_AT)? != PRIORITY << 16 | u32::from(ALL_PROTOCOLS) {
        return None;
    }
    let options = options_of(payload, "u32")?;
    // struct tc_u32_sel: __u8 flags, offshift, nkeys; 16 bytes in all, then the keys: __be32 mask, val; int off, offmask.
    let selector = within(options, &[U32_SELECTOR])?;
    let fits_all = selector.first()? & TERMINAL != 0
        && selector.get(2) == Some(&1)
        && u32_at(selector, 16)? == 0
        && u32_at(selector, 20)? == 0;
    let action = within(options, &[U32_ACTIONS, FIRST_ACTION])?;
    let is_mirred = text(within(action, &[ACTION_KIND])?).as_deref() == Some("mirred");
    // struct tc_mirred: __u32 index, capab; int action, refcnt, bindcnt, eaction; __u32 ifindex.
    let mirred = within(action, &[ACTION_OPTIONS, MIRRED_PARMS])?;
    let redirects = u32_at(mirred, 20)? == EGRESS_REDIRECT;
    // One whose link was deleted leads to number 0.
    let link = u32_at(mirred, 24)?;
    (fits_all && is_mirred && redirects && link != 0).then_some(link)
}

/// The value of an attribute within attributes within attributes.
fn within<'a>(bytes: &'a [u8], path: &[u16]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, wanted| {
        let mut found = Attributes::new(bytes).filter(|(kind, _)| kind == wanted);
        found.next().map(|(_, value)| value)
    })
}
