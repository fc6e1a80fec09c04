//! The lane of the limit: the same kernel work by bare netlink, with nothing written down, nothing checked, no firewall
//! and no names. Nobody who does this work can be faster.
//!
//! A pair is made in one message with its inside end in the container's namespace, one queue each, IPv6 turned off
//! before; then addresses, links up and the route in one send. A detach cuts the pair off, which is what an
//! acknowledgement needs; deleting it takes 20 ms in the kernel and is done after the clock has stopped.

mod netlink;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use netns_tests::HostOptions;
use netns_tests::lab::HOST;

use super::callers::together;
use super::{HOME, INSIDE, Join, Lane};
use crate::ground::{Entrance, Ground};
use netlink::Wire;

enum Order {
    Create(u8),
    Remove(u8),
    Attach(usize, File),
    Detach(usize),
}

/// Bare netlink.
#[derive(Debug)]
pub struct Limit {
    ground: Ground,
    worker: Worker,
}

impl Limit {
    /// A laboratory with a bridge.
    ///
    /// # Errors
    /// When the bridge cannot be made.
    pub fn new() -> Result<Self> {
        let ground = Ground::new(HostOptions::default());
        let _ = ground
            .lab
            .h1
            .sh("echo 1 > /proc/sys/net/ipv4/ip_forward")
            .ok();
        let worker = Worker::start(ground.entrance()?)?;
        let mut lane = Self { ground, worker };
        lane.create(HOME)?;
        Ok(lane)
    }
}

impl Lane for Limit {
    fn name(&self) -> &str {
        "limit"
    }

    fn ground(&mut self) -> &mut Ground {
        &mut self.ground
    }

    fn create(&mut self, network: u8) -> Result<Duration> {
        self.worker.ask(Order::Create(network))
    }

    fn remove(&mut self, network: u8) -> Result<Duration> {
        self.worker.ask(Order::Remove(network))
    }

    fn attach(&mut self, join: &Join) -> Result<Duration> {
        ensure!(join.ports.count == 0, "bare netlink has no ports");
        let netns = self.ground.open(join.container)?;
        self.worker.ask(Order::Attach(join.container, netns))
    }

    fn detach(&mut self, join: &Join) -> Result<Duration> {
        self.worker.ask(Order::Detach(join.container))
    }

    fn attach_all(&mut self, containers: &[usize], callers: usize) -> Result<Duration> {
        let entrance = self.ground.entrance()?;
        let ground = &self.ground;
        let opened: BTreeMap<usize, File> = containers
            .iter()
            .map(|container| Ok((*container, ground.open(*container)?)))
            .collect::<Result<_>>()?;
        together(
            containers,
            callers,
            || Site::enter(&entrance),
            |site, container| site.attach(container, &opened[&container]),
        )
    }

    fn address(&mut self, container: usize) -> Result<Ipv4Addr> {
        Ok(address(container))
    }

    fn port_room(&self) -> u32 {
        0
    }

    /// Routed to the container itself.
    fn way_in(&mut self, container: usize, _port: u16) -> Result<SocketAddr> {
        let route = ["ip", "route", "replace", "10.100.0.0/16", "via", HOST];
        let _ = self.ground.lab.outside.exec(&route).ok();
        Ok(SocketAddr::new(address(container).into(), INSIDE))
    }
}

/// A thread that lives in the machine's namespace, with a socket kept open there.
#[derive(Debug)]
struct Worker {
    orders: Sender<Order>,
    answers: Receiver<Result<Duration>>,
}

impl Worker {
    fn start(entrance: Entrance) -> Result<Self> {
        let (orders, ordered) = channel();
        let (answer, answers) = channel();
        std::thread::Builder::new()
            .name("limit".to_owned())
            .spawn(move || match Site::enter(&entrance) {
                Ok(mut site) => {
                    for order in ordered {
                        if answer.send(site.obey(order)).is_err() {
                            return;
                        }
                    }
                }
                Err(error) => _ = answer.send(Err(error)),
            })
            .context("start the thread of the lane limit")?;
        Ok(Self { orders, answers })
    }

    fn ask(&self, order: Order) -> Result<Duration> {
        // A worker that could not begin has left its reason behind.
        let _ = self.orders.send(order);
        self.answers
            .recv()
            .unwrap_or_else(|_| Err(anyhow!("the thread of the lane limit has ended")))
    }
}

/// The machine's namespace, from inside.
pub struct Site {
    home: File,
    wire: Wire,
    bridge: u32,
}

impl Site {
    /// Enters the machine with the calling thread, for good.
    ///
    /// # Errors
    /// When the machine is gone.
    pub fn enter(entrance: &Entrance) -> Result<Self> {
        entrance.enter_net()?;
        netlink::ipv6_off_by_default()?;
        let mut wire = Wire::open()?;
        Ok(Self {
            home: File::open(netlink::HERE).context("open the machine's namespace")?,
            bridge: wire.index_of(&bridge_name(HOME)).unwrap_or(0),
            wire,
        })
    }

    fn obey(&mut self, order: Order) -> Result<Duration> {
        let start = Instant::now();
        match order {
            Order::Create(network) => self.create(network)?,
            Order::Remove(network) => {
                self.wire.cut_off(&bridge_name(network))?;
                let took = start.elapsed();
                self.wire.delete(&bridge_name(network))?;
                return Ok(took);
            }
            Order::Attach(container, netns) => self.attach(container, &netns)?,
            Order::Detach(container) => {
                self.detach(container)?;
                let took = start.elapsed();
                self.wire.delete(&outside_name(container))?;
                return Ok(took);
            }
        }
        Ok(start.elapsed())
    }

    fn create(&mut self, network: u8) -> Result<()> {
        let name = bridge_name(network);
        self.wire.new_bridge(&name)?;
        let index = self.wire.index_of(&name)?;
        self.wire.address_and_up(index, (gateway(network), 16))?;
        if network == HOME {
            self.bridge = index;
        }
        Ok(())
    }

    /// Connects a container.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach(&mut self, container: usize, netns: &File) -> Result<()> {
        let mut inside = netlink::inside(netns, &self.home, || {
            netlink::ipv6_off_by_default()?;
            Wire::open()
        })?;
        self.wire
            .new_pair(&outside_name(container), self.bridge, netns)?;
        inside.configure((address(container), 16), gateway(HOME))
    }

    /// Cuts a container off.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn detach(&mut self, container: usize) -> Result<()> {
        self.wire.cut_off(&outside_name(container))
    }
}

fn bridge_name(network: u8) -> String {
    format!("br{network}")
}

fn outside_name(container: usize) -> String {
    format!("v{container}")
}

/// The gateway of a network: 10.100.0.1, 10.101.0.1 and on.
fn gateway(network: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 100 + network % 100, 0, 1)
}

/// The address of a container: 10.100.1.0 and on.
fn address(container: usize) -> Ipv4Addr {
    let offset = u32::try_from(container).unwrap_or(u32::MAX) & 0xefff;
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 100, 1, 0)) + offset)
}
