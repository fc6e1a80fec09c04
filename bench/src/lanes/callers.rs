//! Several callers at once, each with its own share of the work.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// Lets `callers` threads do `work` on their shares of `containers`. Each makes itself ready by `prepare`, which does not
/// count, then all begin together. Gives the time until the last one is done.
///
/// # Errors
/// The first failure of any of them.
pub fn together<C>(
    containers: &[usize],
    callers: usize,
    prepare: impl Fn() -> Result<C> + Sync,
    work: impl Fn(&mut C, usize) -> Result<()> + Sync,
) -> Result<Duration> {
    let ready = Barrier::new(callers + 1);
    let caller = |number: usize| -> Result<()> {
        let prepared = prepare();
        ready.wait();
        let mut own = prepared?;
        let share = containers.iter().skip(number).step_by(callers);
        share
            .copied()
            .try_for_each(|container| work(&mut own, container))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..callers)
            .map(|number| {
                scope.spawn({
                    let caller = &caller;
                    move || caller(number)
                })
            })
            .collect();
        ready.wait();
        let start = Instant::now();
        let ends: Vec<Result<()>> = threads
            .into_iter()
            .map(|thread| {
                let panicked = || anyhow!("a caller panicked");
                thread.join().map_err(|_| panicked()).and_then(|end| end)
            })
            .collect();
        let took = start.elapsed();
        ends.into_iter().collect::<Result<Vec<()>>>()?;
        Ok(took)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    #[test]
    fn every_container_is_done_once_and_a_failure_is_told() {
        let done = Mutex::new(Vec::new());
        let all: Vec<usize> = (0..50).collect();
        let note = |(): &mut (), container| {
            done.lock().unwrap().push(container);
            Ok(())
        };
        together(&all, 8, || Ok(()), note).unwrap();
        let done = done.into_inner().unwrap();
        assert_eq!(done.len(), 50);
        assert_eq!(done.into_iter().collect::<BTreeSet<_>>().len(), 50);
        let fail = |(): &mut (), container| match container {
            33 => Err(anyhow!("33 is broken")),
            _ => Ok(()),
        };
        let error = together(&all, 8, || Ok(()), fail).unwrap_err();
        assert_eq!(error.to_string(), "33 is broken");
    }
}
