//! The measurements. Each takes the lanes, lets them take turns, and notes what they needed.
//!
//! Reading order: [`steps`], [`ports`], [`crowd`], [`plugins`], [`parallel`], [`beside`], [`flows`], [`names`], [`daemon`],
//! [`scale`].

pub mod steps;

pub mod ports;

pub mod crowd;

pub mod plugins;

pub mod parallel;

pub mod beside;

pub mod flows;

pub mod names;

pub mod daemon;

pub mod scale;

use std::time::{Duration, Instant};

use crate::lanes::Lane;
use crate::turns::order;

/// The lanes of a measurement.
pub type Lanes = [Box<dyn Lane>];

/// How much is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Turns of each lane in the measurements of single steps.
    pub rounds: usize,
    /// Turns at each place of an axis.
    pub few: usize,
    /// Numbers of ports that a container publishes.
    pub ports: &'static [u16],
    /// Numbers of containers on a network.
    pub crowd: &'static [usize],
    /// Numbers of containers on a network of plugins.
    pub plugins: &'static [usize],
    /// Containers that several callers connect.
    pub parallel: usize,
    /// Numbers of ports that others have published.
    pub beside: &'static [u32],
    /// Numbers of containers, each with ten ports, at which the daemon is restarted.
    pub restart: &'static [usize],
    /// Numbers of networks, each of ten containers, at which netd is looked at.
    pub networks: &'static [usize],
    /// Turns of each lane under load, and restarts.
    pub loads: usize,
    /// How long a lane may take at one place of an axis before it takes no more turns there. It always has one.
    pub budget: Duration,
    /// How long a load goes on.
    pub load: Duration,
}

impl Effort {
    /// Numbers of networks with `--scale`.
    pub const SCALE: &'static [usize] = &[1, 10, 100, 300, 1000];

    /// The whole run.
    pub const FULL: Self = Self {
        rounds: 30,
        few: 10,
        ports: &[0, 1, 10, 100, 1000],
        crowd: &[1, 10, 100, 300, 1000],
        plugins: &[1, 500],
        parallel: 200,
        beside: &[1, 100, 1000, 10_000],
        restart: &[0, 100, 1000],
        networks: &[],
        loads: 3,
        budget: Duration::from_secs(8),
        load: Duration::from_secs(2),
    };

    /// Three minutes.
    pub const QUICK: Self = Self {
        rounds: 20,
        few: 7,
        parallel: 100,
        budget: Duration::from_secs(4),
        load: Duration::from_millis(700),
        ..Self::FULL
    };

    /// Seconds: only to see that it works.
    pub const MINIATURE: Self = Self {
        rounds: 2,
        few: 2,
        ports: &[0, 3],
        crowd: &[1, 3],
        plugins: &[1, 3],
        parallel: 8,
        beside: &[1, 20],
        restart: &[2],
        networks: &[2],
        loads: 1,
        budget: Duration::from_secs(5),
        load: Duration::from_millis(100),
    };
}

/// Who still takes turns at one place of an axis.
struct Turns {
    spent: Vec<Duration>,
    had: Vec<usize>,
    out: Vec<bool>,
}

impl Turns {
    fn new(lanes: usize) -> Self {
        Self {
            spent: vec![Duration::ZERO; lanes],
            had: vec![0; lanes],
            out: vec![false; lanes],
        }
    }

    /// Takes a lane out: it failed.
    fn leave(&mut self, place: usize) {
        self.out[place] = true;
    }

    /// Lets the lanes take `rounds` turns each; a lane that fails, or whose time is up, has no more.
    fn run(
        &mut self,
        (lanes, effort): (&mut Lanes, &Effort),
        rounds: usize,
        mut turn: impl FnMut(usize, &mut dyn Lane) -> bool,
    ) {
        for round in 0..rounds {
            for place in order(lanes.len(), round) {
                let late = self.spent[place] > effort.budget && self.had[place] >= 1;
                if self.out[place] || late {
                    continue;
                }
                let start = Instant::now();
                let well = turn(place, lanes[place].as_mut());
                self.spent[place] += start.elapsed();
                self.had[place] += 1;
                self.out[place] |= !well;
            }
        }
    }
}

/// Milliseconds, for tables.
fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
