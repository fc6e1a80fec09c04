//! Whose turn it is. Lanes take turns within each round, so that whatever else the machine does meets all of them alike. Pure.

/// The order of `lanes` lanes in round `round`: each round begins with the next lane, and every second one goes
/// backwards, so that nobody always comes after the same neighbour.
#[must_use]
pub fn order(lanes: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lanes).map(|place| (place + round) % lanes).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_one_turn_in_every_round() {
        for lanes in 0..7 {
            for round in 0..20 {
                let mut order = order(lanes, round);
                order.sort_unstable();
                assert_eq!(order, (0..lanes).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn every_lane_is_first_and_last_at_times() {
        for lane in 0..5 {
            let rounds = || (0..20).map(|round| order(5, round));
            assert!(rounds().any(|order| order.first() == Some(&lane)));
            assert!(rounds().any(|order| order.last() == Some(&lane)));
        }
    }

    #[test]
    fn nobody_always_follows_the_same_neighbour() {
        let before = |round: usize| {
            let order = order(4, round);
            let place = order.iter().position(|lane| *lane == 2).unwrap();
            order[(place + 3) % 4]
        };
        assert!((1..8).any(|round| before(round) != before(0)));
    }
}
