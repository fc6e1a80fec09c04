//! Results as pictures: bars for a single place, lines along an axis. SVG, so that they stay sharp and small.
//!
//! Every picture says what it shows, its unit, and whether its scale is logarithmic. Colours are those of Okabe and Ito,
//! which colour-blind people tell apart; each lane keeps its own in all pictures.

mod bars;

mod lines;

use std::path::Path;

use anyhow::{Context, Result};
use plotters::style::RGBColor;

use crate::measure::Measure;
use crate::results::Results;

/// Size of a picture in pixels.
const WIDTH: u32 = 900;

/// Colours of lanes (Okabe and Ito, "Color Universal Design", 2008), and one more.
const COLOURS: [RGBColor; 9] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(204, 121, 167),
    RGBColor(150, 135, 20),
    RGBColor(120, 120, 120),
];

/// Draws `measure` into `folder`; gives the file's name, or nothing when no lane has a figure but 0.
///
/// # Errors
/// When the file cannot be written.
pub fn draw(results: &Results, measure: Measure, folder: &Path) -> Result<Option<String>> {
    if !results.can_be_drawn(measure) {
        return Ok(None);
    }
    let series = series(results, measure);
    let name = format!("{}.svg", measure.slug());
    let path = folder.join(&name);
    let text = match measure.axis() {
        Some(_) => lines::draw(results, measure, &series),
        None => bars::draw(measure, &series),
    }
    .with_context(|| format!("draw {name}"))?;
    std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(Some(name))
}

/// A lane's figures: number of the place on the axis, and low, median and high there.
struct Series {
    lane: String,
    colour: RGBColor,
    points: Vec<(usize, [f64; 3])>,
}

fn series(results: &Results, measure: Measure) -> Vec<Series> {
    let lane_number = |lane: &str| results.all_lanes().position(|known| known == lane);
    let of = |lane: &str| {
        let places = results.places(measure).enumerate();
        let points = places.filter_map(|(number, (at, _))| {
            let found = results.summary((measure, at), lane)?;
            Some((number, [found.low, found.median, found.high]))
        });
        Series {
            lane: lane.to_owned(),
            colour: COLOURS[lane_number(lane).unwrap_or(0) % COLOURS.len()],
            points: points.collect(),
        }
    };
    results
        .lanes(measure)
        .into_iter()
        .map(of)
        .filter(|series| !series.points.is_empty())
        .collect()
}

/// The scale of values.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    /// From 0 to this.
    Linear(f64),
    /// From the first to the second, both powers of ten.
    Logarithmic(f64, f64),
}

/// Values that differ more than this stand on a logarithmic scale: the small ones could not be seen on another.
const LINEAR_SPAN: f64 = 20.0;

impl Scale {
    fn of(series: &[Series]) -> Self {
        let all = || series.iter().flat_map(|one| &one.points);
        let low = all()
            .map(|(_, [low, ..])| *low)
            .filter(|low| *low > 0.0)
            .fold(f64::INFINITY, f64::min);
        let high = all().map(|(_, [.., high])| *high).fold(0.0, f64::max);
        if low.is_finite() && high / low > LINEAR_SPAN {
            let decade = |value: f64| 10f64.powf(value);
            Self::Logarithmic(decade(low.log10().floor()), decade(high.log10().ceil()))
        } else {
            Self::Linear(if high > 0.0 { high * 1.15 } else { 1.0 })
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Linear(_) => "",
            Self::Logarithmic(..) => ", logarithmic scale",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(results: &Results, measure: Measure) -> String {
        let folder = tempfile::tempdir().unwrap();
        let name = draw(results, measure, folder.path()).unwrap().unwrap();
        std::fs::read_to_string(folder.path().join(name)).unwrap()
    }

    fn some(measure: Measure, far: f64) -> Results {
        let mut results = Results::default();
        for at in [0, 1, 100] {
            results.record((measure, at), "limit", 1.0);
            results.record((measure, at), "netd-nftables", 1.5);
            results.record((measure, at), "docker", far);
            results.absent((measure, at), "podman", "not here");
        }
        results
    }

    #[test]
    fn bars_have_title_unit_lanes_and_figures() {
        let text = drawn(&some(Measure::Attach, 70.0), Measure::Attach);
        for part in [
            "Attach one container",
            "ms, logarithmic scale",
            "limit",
            "docker",
            "70.0",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(
            !text.contains("podman"),
            "a lane without figures has no bar"
        );
    }

    #[test]
    fn a_scale_is_logarithmic_only_where_it_must_be() {
        let text = drawn(&some(Measure::Attach, 3.0), Measure::Attach);
        assert!(!text.contains("logarithmic"), "{text}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let mut results = Results::default();
        results.absent((Measure::Attach, 1), "docker", "not here");
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            draw(&results, Measure::Attach, folder.path()).unwrap(),
            None
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
