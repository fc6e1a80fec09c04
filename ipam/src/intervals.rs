//! A set of numbers kept as runs, so that it costs what its gaps cost and not what its members cost.
//!
//! Knows nothing of addresses; families are the callers' business.

use std::collections::BTreeMap;

/// A set of numbers. Runs never touch: two neighbours are always one run, so the first number behind a run is free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Intervals {
    /// Last member of each run, by its first.
    runs: BTreeMap<u128, u128>,
}

impl Intervals {
    /// The run that `number` lies in.
    fn run_at(&self, number: u128) -> Option<(u128, u128)> {
        self.runs
            .range(..=number)
            .next_back()
            .map(|(first, last)| (*first, *last))
            .filter(|(_, last)| *last >= number)
    }

    /// True if `number` is a member.
    pub(crate) fn contains(&self, number: u128) -> bool {
        self.run_at(number).is_some()
    }

    /// Adds `number`, joining the runs on both sides of it.
    pub(crate) fn insert(&mut self, number: u128) {
        if self.contains(number) {
            return;
        }
        let left = number.checked_sub(1).and_then(|below| self.run_at(below));
        let right = number
            .checked_add(1)
            .and_then(|above| self.runs.remove(&above));
        let first = left.map_or(number, |(first, _)| first);
        self.runs.insert(first, right.unwrap_or(number));
    }

    /// Takes `number` out, splitting its run.
    pub(crate) fn remove(&mut self, number: u128) {
        let Some((first, last)) = self.run_at(number) else {
            return;
        };
        self.runs.remove(&first);
        if first < number {
            self.runs.insert(first, number - 1);
        }
        if number < last {
            self.runs.insert(number + 1, last);
        }
    }

    /// The lowest number from `from` to `last`, both included, that is not a member. One look-up, however many members.
    pub(crate) fn next_free(&self, from: u128, last: u128) -> Option<u128> {
        let free = match self.run_at(from) {
            Some((_, end)) => end.checked_add(1)?,
            None => from,
        };
        (free <= last).then_some(free)
    }

    /// How many runs there are: what the set costs.
    #[cfg(test)]
    pub(crate) fn runs(&self) -> usize {
        self.runs.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_are_one_run_and_a_removal_splits_it() {
        let mut set = Intervals::default();
        for number in [1, 3, 2, 5] {
            set.insert(number);
        }
        assert_eq!(set.runs, BTreeMap::from([(1, 3), (5, 5)]));
        set.remove(2);
        assert_eq!(set.runs, BTreeMap::from([(1, 1), (3, 3), (5, 5)]));
    }

    #[test]
    fn the_ends_of_the_number_range_are_no_edge() {
        let mut set = Intervals::default();
        set.insert(0);
        set.insert(u128::MAX);
        assert_eq!(set.next_free(0, u128::MAX), Some(1));
        assert_eq!(set.next_free(u128::MAX, u128::MAX), None);
        set.remove(u128::MAX);
        assert_eq!(set.next_free(u128::MAX, u128::MAX), Some(u128::MAX));
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_set_of_numbers(steps in prop::collection::vec((any::<bool>(), 0_u128..40), 0..200), from in 0_u128..40) {
            let (mut set, mut plain) = (Intervals::default(), BTreeSet::new());
            for (add, number) in steps {
                if add {
                    set.insert(number);
                    plain.insert(number);
                } else {
                    set.remove(number);
                    plain.remove(&number);
                }
            }
            for number in 0..40 {
                prop_assert_eq!(set.contains(number), plain.contains(&number));
            }
            prop_assert_eq!(set.next_free(from, 39), (from..40).find(|number| !plain.contains(number)));
            let runs: Vec<_> = set.runs.iter().collect();
            prop_assert!(runs.windows(2).all(|pair| pair[0].1 + 1 < *pair[1].0));
        }
    }
}
