//! A bar for each lane, with its spread and its figure.

use anyhow::Result;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Scale, Series, WIDTH};
use crate::measure::Measure;
use crate::table::{number, tick};

/// Height of a bar with its gap, and of everything else, in pixels.
const BAR_HEIGHT: u32 = 34;
const FRAME_HEIGHT: u32 = 110;

/// Room for the lanes' names, in pixels.
const NAMES_WIDTH: u32 = 150;

/// The picture as SVG.
pub(super) fn draw(measure: Measure, series: &[Series]) -> Result<String> {
    let mut text = String::new();
    let count = u32::try_from(series.len())?;
    {
        let height = FRAME_HEIGHT + BAR_HEIGHT * count;
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let scale = Scale::of(series);
        let mut chart = ChartBuilder::on(&area);
        chart
            .caption(measure.title(), ("sans-serif", 20))
            .margin(12)
            .margin_right(90)
            .set_label_area_size(LabelAreaPosition::Left, NAMES_WIDTH)
            .set_label_area_size(LabelAreaPosition::Bottom, 44);
        let label = format!("{}{}", measure.unit(), scale.word());
        let rows = 0.0..f64::from(count);
        match scale {
            Scale::Linear(high) => {
                let chart = chart.build_cartesian_2d(0.0..high, rows)?;
                fill(chart, &label, (series, 0.0))?;
            }
            Scale::Logarithmic(low, high) => {
                let chart = chart.build_cartesian_2d((low..high).log_scale(), rows)?;
                fill(chart, &label, (series, low))?;
            }
        }
        area.present()?;
    }
    Ok(text)
}

type Chart<'a, 'b, X> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, plotters::coord::types::RangedCoordf64>>;

fn fill<X>(mut chart: Chart<'_, '_, X>, label: &str, (series, zero): (&[Series], f64)) -> Result<()>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(label)
        .x_label_formatter(&|value| tick(*value))
        .x_max_light_lines(1)
        .label_style(("sans-serif", 14))
        .draw()?;
    let names = ("sans-serif", 15)
        .into_text_style(chart.plotting_area())
        .pos(Pos::new(HPos::Right, VPos::Center));
    let figures = ("sans-serif", 14)
        .into_text_style(chart.plotting_area())
        .pos(Pos::new(HPos::Left, VPos::Center));
    // The first lane on top.
    for (row, one) in (0u32..).zip(series.iter().rev()) {
        let middle = f64::from(row) + 0.5;
        let Some((_, [low, median, high])) = one.points.first().copied() else {
            continue;
        };
        let (bottom, top) = (middle - 0.32, middle + 0.32);
        let bar = Rectangle::new(
            [(zero, bottom), (median, top)],
            one.colour.mix(0.75).filled(),
        );
        chart.draw_series([bar])?;
        let spread = [(low.max(zero), middle), (high, middle)];
        chart.draw_series([PathElement::new(spread, BLACK.stroke_width(2))])?;
        let name =
            EmptyElement::at((zero, middle)) + Text::new(one.lane.clone(), (-8, 0), names.clone());
        chart.plotting_area().draw(&name)?;
        let end = (high.max(median), middle);
        let figure = EmptyElement::at(end) + Text::new(number(median), (6, 0), figures.clone());
        chart.plotting_area().draw(&figure)?;
    }
    Ok(())
}
