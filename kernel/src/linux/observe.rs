//! What is there: the host's bridges and veth ends, parameters, and the insides of sandboxes. Reads, never changes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use netd_model::desired::{
    BridgeState, Bucket, HostState, IfbState, InterfaceState, KernelState, ROUTE_PROTOCOL,
    RouteState, SandboxState, Sysctl, UplinkState, VethState,
};
use netd_model::{IfName, NetnsId};

use super::addresses::{self, LinkAddress};
use super::links::{self, Link};
use super::namespace::Namespace;
use super::queues::{self, SeenBucket};
use super::sandboxes::{Pin, Sandboxes};
use super::session::Session;
use super::sysctl::report;
use super::{Linux, redirect, routes};

/// With fewer sandboxes another thread does not pay; with more threads the processors have no more to give.
const SANDBOXES_PER_THREAD: usize = 16;
const THREADS_MAX: usize = 4;

/// The links inside a sandbox, by their number.
type Inside = BTreeMap<u32, Link>;

/// What [`crate::Kernel::observe`] promises.
pub(super) fn observe(linux: &Linux, about: &KernelState) -> io::Result<KernelState> {
    let pins: Vec<(Arc<Pin>, &SandboxState)> = about
        .sandboxes
        .iter()
        .filter_map(|(netns, asked)| Some((linux.sandboxes.get(*netns).ok()?, asked)))
        .collect();
    let mut sandboxes = BTreeMap::new();
    let mut insides = BTreeMap::new();
    for (netns, (state, inside)) in look_inside(&pins)? {
        sandboxes.insert(netns, state);
        insides.insert(netns, inside);
    }
    Ok(KernelState {
        host: host(linux, &about.host, &insides)?,
        sandboxes,
    })
}

/// Looks into many sandboxes on several threads at once.
fn look_inside(
    pins: &[(Arc<Pin>, &SandboxState)],
) -> io::Result<Vec<(NetnsId, (SandboxState, Inside))>> {
    let look =
        |(pin, asked): &(Arc<Pin>, &SandboxState)| Ok((pin.namespace.id, sandbox(pin, asked)?));
    std::thread::scope(|scope| {
        let (here, there) = pins.split_at(pins.len().min(SANDBOXES_PER_THREAD));
        let size = there.len().div_ceil(THREADS_MAX).max(SANDBOXES_PER_THREAD);
        let threads: Vec<_> = there
            .chunks(size)
            .map(|chunk| {
                scope.spawn(move || chunk.iter().map(look).collect::<io::Result<Vec<_>>>())
            })
            .collect();
        let mut found = here.iter().map(look).collect::<io::Result<Vec<_>>>()?;
        for thread in threads {
            let seen = thread.join();
            found.extend(
                seen.map_err(|_| io::Error::other("a thread that looked inside panicked"))??,
            );
        }
        Ok(found)
    })
}

fn host(
    linux: &Linux,
    about: &HostState,
    insides: &BTreeMap<NetnsId, Inside>,
) -> io::Result<HostState> {
    let observer = linux.reaper.observer();
    let mut session = linux.home.session();
    let mut links = links::all(&mut session)?;
    links.retain(|link| !observer.misses(link.index));
    let addresses = addresses::all(&mut session, None)?;
    let routes = own_routes(&mut session, &|_| None)?;
    let pins = linux.sandboxes.all_by_nsid(&mut session)?;
    let held_back = HeldBack::look(&mut session, &links, about)?;
    drop(session);
    let names: BTreeMap<u32, &IfName> = links.iter().map(|link| (link.index, &link.name)).collect();
    // Read only where it matters: of a hundred networks hardly one is without icc.
    let says_filtered = |link: &Link| link.calls_iptables && link.calls_ip6tables;
    let filters = links.iter().any(says_filtered) && linux.home.filters_bridges()?;
    let named = |name: &IfName| {
        about.bridges.contains_key(name)
            || about.veths.contains_key(name)
            || about.ifbs.contains_key(name)
    };
    let mut state = HostState {
        routes,
        sysctls: parameters(&linux.home, &about.sysctls)?,
        ..HostState::default()
    };
    for link in links
        .iter()
        .filter(|link| link.mark.is_some() || named(&link.name))
    {
        match (link.kind.as_str(), link.mac) {
            ("bridge", Some(mac)) => {
                let bridge = BridgeState {
                    mark: link.mark,
                    mac,
                    addresses: addresses::of_link(&addresses, link.index, None),
                    mtu_bytes: link.mtu_bytes,
                    filtered: filters && says_filtered(link),
                    up: link.up,
                };
                state.bridges.insert(link.name.clone(), bridge);
            }
            ("veth", _) => {
                let peer = peer(link, (&linux.sandboxes, &pins), insides)?;
                let bridge = link.bridge.and_then(|index| names.get(&index).copied());
                let mut veth = veth_state(link, bridge.cloned(), peer);
                if let Some(asked) = about.veths.get(&link.name) {
                    veth.bucket = held_back.bucket(link.index, asked.bucket);
                    let ifb = held_back.ways.get(&link.index);
                    veth.through = ifb.and_then(|ifb| names.get(ifb).copied()).cloned();
                }
                state.veths.insert(link.name.clone(), veth);
            }
            ("ifb", _) => {
                let asked = about.ifbs.get(&link.name);
                let ifb = IfbState {
                    mark: link.mark,
                    bucket: held_back.bucket(link.index, asked.and_then(|asked| asked.bucket)),
                    up: link.up,
                };
                state.ifbs.insert(link.name.clone(), ifb);
            }
            _ => {}
        }
    }
    for link in links
        .iter()
        .filter(|link| about.uplinks.contains_key(&link.name))
    {
        let holder = link.bridge.and_then(|index| names.get(&index).copied());
        let uplink = UplinkState {
            holder: holder.cloned(),
            up: link.up,
        };
        state.uplinks.insert(link.name.clone(), uplink);
    }
    Ok(state)
}

/// What holds traffic back, by the numbers of links.
#[derive(Default)]
struct HeldBack {
    buckets: BTreeMap<u32, SeenBucket>,
    /// Links that what comes in by others goes through.
    ways: BTreeMap<u32, u32>,
}

impl HeldBack {
    /// Costs nothing where no limit is asked about.
    fn look(session: &mut Session, links: &[Link], about: &HostState) -> io::Result<Self> {
        let is_limited = |veth: &VethState| veth.bucket.is_some() || veth.through.is_some();
        if about.ifbs.is_empty() && !about.veths.values().any(is_limited) {
            return Ok(Self::default());
        }
        let leads_on = |link: &&Link| {
            let asked = about.veths.get(&link.name);
            asked.is_some_and(|asked| asked.through.is_some())
        };
        let mut ways = BTreeMap::new();
        for link in links.iter().filter(leads_on) {
            if let Some(ifb) = queues::way_in(session, link.index)? {
                ways.insert(link.index, ifb);
            }
        }
        Ok(Self {
            buckets: queues::buckets(session)?,
            ways,
        })
    }

    /// The bucket of a link, if one is asked about.
    fn bucket(&self, link: u32, asked: Option<Bucket>) -> Option<Bucket> {
        self.buckets.get(&link)?.report(&asked?)
    }
}

fn veth_state(link: &Link, bridge: Option<IfName>, peer: Option<(NetnsId, IfName)>) -> VethState {
    let (peer, peer_name) = peer.unzip();
    VethState {
        mark: link.mark,
        bridge,
        hairpin: link.hairpin,
        isolated: link.isolated,
        mtu_bytes: link.mtu_bytes,
        up: link.up,
        bucket: None,
        through: None,
        peer,
        peer_name,
    }
}

/// The other end of a veth pair, if it is in a pinned sandbox. Its number alone would not do: the first interface of
/// every sandbox has the same one.
fn peer(
    link: &Link,
    (sandboxes, by_nsid): (&Sandboxes, &BTreeMap<i32, NetnsId>),
    insides: &BTreeMap<NetnsId, Inside>,
) -> io::Result<Option<(NetnsId, IfName)>> {
    let (Some(index), Some(nsid)) = (link.peer, link.peer_nsid) else {
        return Ok(None);
    };
    let Some(netns) = by_nsid.get(&nsid).copied() else {
        return Ok(None);
    };
    let name = match insides.get(&netns) {
        Some(inside) => inside.get(&index).map(|link| link.name.clone()),
        None => match sandboxes.get(netns) {
            Ok(pin) => links::by_index(&mut pin.namespace.session(), index)?.map(|link| link.name),
            // Unpinned meanwhile.
            Err(_) => None,
        },
    };
    Ok(name.map(|name| (netns, name)))
}

fn sandbox(pin: &Pin, asked: &SandboxState) -> io::Result<(SandboxState, Inside)> {
    let namespace = &pin.namespace;
    let mut session = namespace.session();
    let links = links::all(&mut session)?;
    let addresses = addresses::all(&mut session, None)?;
    let name = |index: u32| {
        let link = links.iter().find(|link| link.index == index);
        link.map(|link| link.name.clone())
    };
    let routes = own_routes(&mut session, &name)?;
    drop(session);
    let mut state = SandboxState {
        routes,
        sysctls: parameters(namespace, &asked.sysctls)?,
        // Reading the rules takes a process of its own, so only where a redirection is asked about.
        dns_redirect: match asked.dns_redirect {
            Some(_) => redirect::redirected(pin)?,
            None => None,
        },
        ..SandboxState::default()
    };
    for link in &links {
        if link.loopback {
            state.loopback_up = link.up;
        } else if let Some(interface) =
            interface(link, &addresses, asked.interfaces.get(&link.name))
        {
            state.interfaces.insert(link.name.clone(), interface);
        }
    }
    let inside = links.into_iter().map(|link| (link.index, link)).collect();
    Ok((state, inside))
}

/// The routes that netd set in a namespace, where `name` says what an interface of a number is called.
fn own_routes(
    session: &mut Session,
    name: &dyn Fn(u32) -> Option<IfName>,
) -> io::Result<BTreeSet<RouteState>> {
    let routes = routes::all(session, Some(ROUTE_PROTOCOL))?.into_iter();
    let through_gateways = routes.filter_map(|route| {
        let gateway = route.gateway?;
        Some(RouteState {
            destination: route.destination,
            gateway,
            interface: route.index.and_then(name),
        })
    });
    Ok(through_gateways.collect())
}

fn interface(
    link: &Link,
    addresses: &[LinkAddress],
    wished: Option<&InterfaceState>,
) -> Option<InterfaceState> {
    let wished = wished.map(|wished| &wished.addresses);
    Some(InterfaceState {
        mac: link.mac?,
        mtu_bytes: link.mtu_bytes,
        up: link.up,
        addresses: addresses::of_link(addresses, link.index, wished),
    })
}

fn parameters(
    namespace: &Namespace,
    asked: &BTreeMap<Sysctl, String>,
) -> io::Result<BTreeMap<Sysctl, String>> {
    let mut found = BTreeMap::new();
    for (key, wished) in asked {
        if let Some(value) = report(key, wished, namespace.read_parameter(key)?) {
            found.insert(key.clone(), value);
        }
    }
    Ok(found)
}

/// What [`crate::Kernel::inside_names`] promises.
pub(super) fn inside_names(namespace: &Namespace) -> io::Result<BTreeSet<IfName>> {
    let found = links::all(&mut namespace.session())?;
    Ok(found.into_iter().map(|link| link.name).collect())
}
