//! What was measured: series of numbers by measure, by how much was asked for, and by lane. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measure::Measure;
use crate::stats::Summary;

/// One field of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cell {
    /// All values, in the measure's unit.
    Measured(Vec<f64>),
    /// Why there are none.
    Absent(String),
}

/// Everything that was measured in one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// Lanes in the order in which they came.
    lanes: Vec<String>,
    cells: BTreeMap<(Measure, u64), BTreeMap<String, Cell>>,
}

impl Results {
    /// Notes a value of `lane`; `at` is the place on the measure's axis. A lane that failed there before stays so.
    pub fn record(&mut self, (measure, at): (Measure, u64), lane: &str, value: f64) {
        self.know(lane);
        let cell = self
            .cells
            .entry((measure, at))
            .or_default()
            .entry(lane.to_owned())
            .or_insert(Cell::Measured(Vec::new()));
        if let Cell::Measured(values) = cell {
            values.push(value);
        }
    }

    /// Notes why `lane` has no value there. Values that it had are dropped: half a series proves nothing.
    pub fn absent(&mut self, (measure, at): (Measure, u64), lane: &str, why: &str) {
        self.know(lane);
        self.cells
            .entry((measure, at))
            .or_default()
            .insert(lane.to_owned(), Cell::Absent(why.to_owned()));
    }

    /// True if `lane` has a reason there instead of values.
    #[must_use]
    pub fn is_absent(&self, place: (Measure, u64), lane: &str) -> bool {
        let cell = self.cells.get(&place).and_then(|cells| cells.get(lane));
        matches!(cell, Some(Cell::Absent(_)))
    }

    fn know(&mut self, lane: &str) {
        if !self.lanes.iter().any(|known| known == lane) {
            self.lanes.push(lane.to_owned());
        }
    }

    /// The lanes that have a field in the table of `measure`, in the order in which they came.
    #[must_use]
    pub fn lanes(&self, measure: Measure) -> Vec<&str> {
        let has = |lane: &str| {
            self.places(measure)
                .any(|(_, cells)| cells.contains_key(lane))
        };
        self.lanes
            .iter()
            .map(String::as_str)
            .filter(|lane| has(lane))
            .collect()
    }

    /// Every lane, in the order in which they came.
    pub fn all_lanes(&self) -> impl Iterator<Item = &str> {
        self.lanes.iter().map(String::as_str)
    }

    /// The places on the axis of `measure`, in order, each with its fields by lane.
    pub fn places(&self, measure: Measure) -> impl Iterator<Item = (u64, &BTreeMap<String, Cell>)> {
        self.cells
            .range((measure, 0)..=(measure, u64::MAX))
            .map(|((_, at), cells)| (*at, cells))
    }

    /// The measures that were made.
    #[must_use]
    pub fn measures(&self) -> Vec<Measure> {
        let mut measures: Vec<_> = self.cells.keys().map(|(measure, _)| *measure).collect();
        measures.dedup();
        measures
    }

    /// True if `measure` has a figure other than 0, so that there is something to draw.
    #[must_use]
    pub fn can_be_drawn(&self, measure: Measure) -> bool {
        self.places(measure).any(|(at, cells)| {
            let mut lanes = cells.keys();
            lanes.any(|lane| {
                self.median((measure, at), lane)
                    .is_some_and(|median| median > 0.0)
            })
        })
    }

    /// Middle and spread of one field.
    #[must_use]
    pub fn summary(&self, place: (Measure, u64), lane: &str) -> Option<Summary> {
        match self.cells.get(&place)?.get(lane)? {
            Cell::Measured(values) => Summary::of(values),
            Cell::Absent(_) => None,
        }
    }

    /// The median of one field.
    #[must_use]
    pub fn median(&self, place: (Measure, u64), lane: &str) -> Option<f64> {
        self.summary(place, lane).map(|summary| summary.median)
    }

    /// Everything as JSON, for programs.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let mut rows = Vec::new();
        for measure in self.measures() {
            for (at, cells) in self.places(measure) {
                for (lane, cell) in cells {
                    rows.push(serde_json::json!({
                        "measure": measure.title(), "unit": measure.unit(), "at": at, "lane": lane, "cell": cell,
                    }));
                }
            }
        }
        rows.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: (Measure, u64) = (Measure::Attach, 1);

    #[test]
    fn a_lane_that_fails_half_way_has_no_figure() {
        let mut results = Results::default();
        results.record(PLACE, "one", 3.0);
        results.absent(PLACE, "one", "it broke");
        results.record(PLACE, "one", 4.0);
        assert_eq!(results.median(PLACE, "one"), None);
        assert_eq!(results.lanes(Measure::Attach), ["one"]);
    }

    #[test]
    fn lanes_keep_their_order_and_stand_only_where_they_ran() {
        let mut results = Results::default();
        results.record(PLACE, "zebra", 1.0);
        results.record((Measure::Detach, 1), "ant", 1.0);
        results.record(PLACE, "ant", 2.0);
        assert_eq!(results.lanes(Measure::Attach), ["zebra", "ant"]);
        assert_eq!(results.lanes(Measure::Detach), ["ant"]);
        assert_eq!(results.measures(), [Measure::Attach, Measure::Detach]);
        assert_eq!(results.median(PLACE, "ant"), Some(2.0));
    }
}
