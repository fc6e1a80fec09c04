//! The measurements. Each takes the lanes, lets them take turns, and notes what they needed.
//!
//! Reading order: [`steps`].

pub mod steps;

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Turns of each lane in the measurements of single steps.
    pub rounds: usize,
}

impl Effort {
    /// The whole run.
    pub const FULL: Self = Self { rounds: 60 };

    /// Three minutes.
    pub const QUICK: Self = Self { rounds: 25 };

    /// Seconds: only to see that it works.
    pub const MINIATURE: Self = Self { rounds: 2 };
}
