//! Results as Markdown, for people. Pure.

use crate::measure::{Better, Measure};
use crate::results::{Cell, Results};
use crate::stats::Summary;

/// The lane that all others are compared with, where it ran.
pub const LIMIT: &str = "limit";

/// A table of each measure, with its heading and what it is.
#[must_use]
pub fn render(results: &Results) -> String {
    let mut text = String::new();
    for measure in results.measures() {
        text.push_str(&format!(
            "## {} ({})\n\n{}\n\n",
            measure.title(),
            measure.unit(),
            measure.words().note
        ));
        text.push_str(&one(results, measure));
        if results.can_be_drawn(measure) {
            text.push_str(&format!(
                "\n![{}]({}.svg)\n",
                measure.title(),
                measure.slug()
            ));
        }
        text.push('\n');
    }
    text
}

/// Reasons for fields without figures, each once.
#[derive(Default)]
struct Reasons(Vec<String>);

impl Reasons {
    /// The field in place of a figure.
    fn field(&mut self, why: &str) -> String {
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        let why: String = why.chars().take(REASON_CHARACTERS).collect();
        let known = self.0.iter().position(|known| *known == why);
        let number = known.unwrap_or_else(|| {
            self.0.push(why);
            self.0.len() - 1
        });
        format!("n/a: {}", number + 1)
    }

    fn render(&self) -> String {
        let lines = self.0.iter().enumerate();
        lines
            .map(|(number, why)| format!("\nn/a {}: {}\n", number + 1, why.replace('|', "\\|")))
            .collect()
    }
}

/// As much of a reason is told.
const REASON_CHARACTERS: usize = 300;

fn one(results: &Results, measure: Measure) -> String {
    let mut reasons = Reasons::default();
    let lines = match measure.axis() {
        Some(axis) => along(results, (measure, axis), &mut reasons),
        None => down(results, measure, &mut reasons),
    };
    format!("{}\n{}", lines.join("\n"), reasons.render())
}

/// A row for each place, a column for each lane.
fn along(
    results: &Results,
    (measure, axis): (Measure, &str),
    reasons: &mut Reasons,
) -> Vec<String> {
    let lanes = results.lanes(measure);
    let mut lines = vec![
        row(axis, lanes.iter().map(|lane| (*lane).to_owned())),
        format!("|{}", "---|".repeat(lanes.len() + 1)),
    ];
    for (at, cells) in results.places(measure) {
        let limit = results.median((measure, at), LIMIT);
        let fields = lanes
            .iter()
            .map(|lane| {
                filled(
                    cells.get(*lane),
                    (limit.filter(|_| *lane != LIMIT), measure),
                    reasons,
                )
            })
            .collect::<Vec<_>>();
        lines.push(row(&thousands(at), fields.into_iter()));
    }
    lines
}

/// A row for each lane.
fn down(results: &Results, measure: Measure, reasons: &mut Reasons) -> Vec<String> {
    let mut lines = vec![
        row("lane", [measure.unit().to_owned()].into_iter()),
        "|---|---|".to_owned(),
    ];
    for (at, cells) in results.places(measure) {
        let limit = results.median((measure, at), LIMIT);
        for lane in results.lanes(measure) {
            let times = limit.filter(|_| lane != LIMIT);
            let field = filled(cells.get(lane), (times, measure), reasons);
            lines.push(row(lane, [field].into_iter()));
        }
    }
    lines
}

fn filled(cell: Option<&Cell>, compared: (Option<f64>, Measure), reasons: &mut Reasons) -> String {
    match cell {
        Some(Cell::Measured(values)) => {
            Summary::of(values).map_or_else(|| "n/a".to_owned(), |found| field(&found, compared))
        }
        Some(Cell::Absent(why)) => reasons.field(why),
        None => String::new(),
    }
}

fn row(head: &str, fields: impl Iterator<Item = String>) -> String {
    let mut line = format!("| {head} |");
    for field in fields {
        line.push_str(&format!(" {field} |"));
    }
    line
}

/// The median, the middle eight tenths, and how it compares with the limit.
fn field(found: &Summary, (limit, measure): (Option<f64>, Measure)) -> String {
    let mut text = format!("**{}**", number(found.median));
    if found.count > 1 {
        text.push_str(&format!(" ({}–{})", number(found.low), number(found.high)));
    }
    if let Some(limit) = limit.filter(|limit| *limit > 0.0) {
        let part = found.median / limit;
        match measure.words().better {
            Better::Small => text.push_str(&format!(" ×{}", number(part))),
            Better::Large => text.push_str(&format!(" {:.0} %", part * 100.0)),
        }
    }
    text
}

/// A number with three digits that mean something.
#[must_use]
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1000.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rates stay far below"
        )]
        let whole = size.round() as u64;
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", thousands(whole));
    }
    let digits = match size {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.1 || size == 0.0 => 2,
        _ => 4,
    };
    format!("{value:.digits$}")
}

/// A number at an axis: without zeros that say nothing.
#[must_use]
pub fn tick(value: f64) -> String {
    let text = number(value);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A whole number with a comma before each three digits.
#[must_use]
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_mean_something() {
        let all = [
            0.0, 0.0123, 0.456, 1.234, 12.34, 123.4, 1234.5, 23_456.0, -1500.0,
        ];
        let texts = all.map(number);
        let expected = [
            "0.00", "0.0123", "0.46", "1.23", "12.3", "123", "1,235", "23,456", "-1,500",
        ];
        assert_eq!(texts, expected);
        let ticks = [0.0, 0.5, 1.0, 10.0, 100.0, 2000.0].map(tick);
        assert_eq!(ticks, ["0", "0.5", "1", "10", "100", "2,000"]);
    }

    #[test]
    fn a_table_has_the_spread_the_limit_and_every_reason_once() {
        let mut results = Results::default();
        for value in [1.0, 2.0, 3.0] {
            results.record((Measure::Attach, 1), LIMIT, value);
            results.record((Measure::Attach, 1), "netd", 2.0 * value);
        }
        results.absent((Measure::Attach, 1), "docker", "dockerd is\nnot here");
        results.absent((Measure::Attach, 1), "podman", "dockerd is\nnot here");
        let text = render(&results);
        let expected = "\
## Attach one container (ms)

From the request to the answer: a known container with a fresh namespace joins a network that nobody else is on.

| lane | ms |
|---|---|
| limit | **2.00** (1.20–2.80) |
| netd | **4.00** (2.40–5.60) ×2.00 |
| docker | n/a: 1 |
| podman | n/a: 1 |

n/a 1: dockerd is not here

![Attach one container](attach.svg)

";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_measure_with_an_axis_has_a_row_for_each_place() {
        let mut results = Results::default();
        for (at, value) in [(1, 1000.0), (8, 4000.0)] {
            results.record((Measure::Parallel, at), LIMIT, value);
            results.record((Measure::Parallel, at), "netd", value * 0.75);
        }
        let text = render(&results);
        assert!(
            text.contains("| callers | limit | netd |\n|---|---|---|\n"),
            "{text}"
        );
        assert!(
            text.contains("| 8 | **4,000** | **3,000** 75 % |\n"),
            "{text}"
        );
    }
}
