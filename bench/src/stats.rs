//! Medians and spread of what was measured. Pure.

/// What is told of a series of measurements: its middle and how far it spreads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Number of measurements.
    pub count: usize,
    /// The 50th percentile.
    pub median: f64,
    /// The 10th percentile.
    pub low: f64,
    /// The 90th percentile.
    pub high: f64,
}

impl Summary {
    /// Summarises `values`, in any order; nothing of an empty series, or of one with a value that is no number.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            count: sorted.len(),
            median: percentile(&sorted, 0.5),
            low: percentile(&sorted, 0.1),
            high: percentile(&sorted, 0.9),
        })
    }
}

/// The value below which the part `part` (0 to 1) of `sorted` lies, in between two by proportion.
///
/// Gives 0 for an empty series, which [`Summary::of`] does not let through.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a series has thousands of values at most"
    )]
    let (below, share) = {
        let place = part.clamp(0.0, 1.0) * last as f64;
        (place.floor() as usize, place.fract())
    };
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn median(values: &[f64]) -> f64 {
        Summary::of(values).unwrap().median
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
    }

    #[test]
    fn one_wild_value_moves_the_spread_and_not_the_median() {
        let mut values: Vec<f64> = (1..=99).map(f64::from).collect();
        values.push(1e9);
        let summary = Summary::of(&values).unwrap();
        assert_eq!(summary.count, 100);
        assert!((summary.median - 50.5).abs() < 1e-9);
        assert!((summary.low - 10.9).abs() < 1e-9, "{summary:?}");
        assert!((summary.high - 90.1).abs() < 1e-9, "{summary:?}");
    }

    #[test]
    fn nothing_is_told_of_nothing() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
        assert_eq!(Summary::of(&[f64::INFINITY]), None);
    }
}
