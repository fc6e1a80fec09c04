//! The resolver as its clients see it: real sockets on 127.0.0.11 port 53, asked by `dig` and by raw packets, with
//! test servers as upstreams. Each test has a network namespace of its own in which there is only a loopback device,
//! so that nothing can leave it.
//!
//! `cfg(test)` tells the lints that helpers beside the tests are tests as well.

#[cfg(test)]
mod rig;
#[cfg(test)]
mod upstream;

#[cfg(test)]
mod names;
#[cfg(test)]
mod protocol;

#[cfg(test)]
mod crowds;
#[cfg(test)]
mod forwarding;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod limits;
