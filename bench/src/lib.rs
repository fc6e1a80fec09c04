//! Side-by-side measurements: lanes that do the same work in one run, each in namespaces of its own, taking turns. Told are
//! medians and spread and how they compare; figures of different machines, or different runs, do not.
//!
//! Sees the daemon only as its users do: through its interface, its programs, and packets. The one thing that it does
//! by itself is the limit, bare netlink.
//!
//! Reading order: [`options`], [`run`], [`measure`], [`peers`], [`lanes`], [`measures`], [`results`], [`table`], [`plot`], [`targets`], [`report`];
//! [`facts`], [`ground`], [`load`], [`guard`], [`turns`], [`stats`].

pub mod options;

pub mod run;

pub mod measure;

pub mod peers;

pub mod lanes;

pub mod measures;

pub mod results;

pub mod table;

pub mod plot;

pub mod targets;

pub mod report;

pub mod facts;

pub mod ground;

pub mod load;

pub mod guard;

pub mod turns;

pub mod stats;
