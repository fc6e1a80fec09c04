//! A line for each lane along the axis of a measure. Its places stand at equal distances, each with its number: they are
//! powers of ten mostly, so this is as good as a logarithmic axis, and has room for 0.

use anyhow::Result;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::{Scale, Series, WIDTH};
use crate::measure::Measure;
use crate::results::Results;
use crate::table::{thousands, tick};

const HEIGHT: u32 = 460;

/// Room for the legend, in pixels.
const LEGEND_WIDTH: u32 = 170;

/// How far bars of spread of different lanes are apart, as a part of the distance of two places.
const APART: f64 = 0.025;

/// The picture as SVG.
pub(super) fn draw(results: &Results, measure: Measure, series: &[Series]) -> Result<String> {
    let places: Vec<u64> = results.places(measure).map(|(at, _)| at).collect();
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, HEIGHT)).into_drawing_area();
        area.fill(&WHITE)?;
        let scale = Scale::of(series);
        let (left, legend) = area.split_horizontally(WIDTH - LEGEND_WIDTH);
        let mut chart = ChartBuilder::on(&left);
        chart
            .caption(measure.title(), ("sans-serif", 20))
            .margin(12)
            .set_label_area_size(LabelAreaPosition::Left, 70)
            .set_label_area_size(LabelAreaPosition::Bottom, 50);
        let last = u32::try_from(places.len().saturating_sub(1))?;
        let across = -0.3..f64::from(last) + 0.3;
        let labels = (
            measure.axis().unwrap_or_default().to_owned(),
            format!("{}{}", measure.unit(), scale.word()),
        );
        match scale {
            Scale::Linear(high) => {
                let chart = chart.build_cartesian_2d(across, 0.0..high)?;
                fill(chart, labels, (series, &places))?;
            }
            Scale::Logarithmic(low, high) => {
                let chart = chart.build_cartesian_2d(across, (low..high).log_scale())?;
                fill(chart, labels, (series, &places))?;
            }
        }
        explain(&legend, series)?;
        area.present()?;
    }
    Ok(text)
}

type Chart<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y>>;

fn fill<Y>(
    mut chart: Chart<'_, '_, Y>,
    (across, up): (String, String),
    (series, places): (&[Series], &[u64]),
) -> Result<()>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let place = |x: &f64| {
        let found = (0u32..)
            .zip(places)
            .find(|(number, _)| (f64::from(*number) - x).abs() < 0.01);
        found.map_or_else(String::new, |(_, at)| thousands(*at))
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_desc(across)
        .y_desc(up)
        .x_labels(places.len() * 2)
        .x_label_formatter(&place)
        .y_label_formatter(&|value| tick(*value))
        .y_max_light_lines(1)
        .label_style(("sans-serif", 14))
        .draw()?;
    let middle = series.len().saturating_sub(1);
    for (turn, one) in series.iter().enumerate() {
        let aside =
            (f64::from(u32::try_from(turn)?) - f64::from(u32::try_from(middle)?) / 2.0) * APART;
        let mut line = Vec::new();
        for (number, [low, median, high]) in &one.points {
            let x = f64::from(u32::try_from(*number)?) + aside;
            line.push((x, *median));
            let spread = [(x, *low), (x, *high)];
            chart.draw_series([PathElement::new(spread, one.colour.stroke_width(1))])?;
        }
        chart.draw_series(LineSeries::new(line.clone(), one.colour.stroke_width(2)))?;
        chart.draw_series(
            line.into_iter()
                .map(|at| Circle::new(at, 4, one.colour.filled())),
        )?;
    }
    Ok(())
}

fn explain(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    series: &[Series],
) -> Result<()> {
    let mut y = 50;
    for one in series {
        area.draw(&PathElement::new(
            [(4, y + 7), (28, y + 7)],
            one.colour.stroke_width(2),
        ))?;
        area.draw(&Circle::new((16, y + 7), 4, one.colour.filled()))?;
        area.draw(&Text::new(one.lane.clone(), (34, y), ("sans-serif", 15)))?;
        y += 24;
    }
    Ok(())
}
