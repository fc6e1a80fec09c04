//! Plain columns, laid out as Docker's tables are. Knows text only, and lets none of it break a line.

use super::out::{Tone, paint, plain};

/// Narrowest column and space behind the longest cell, in characters: Docker's `tabwriter` has these.
const WIDTH_MIN: usize = 10;
const GAP: usize = 3;
/// A cell is not shortened below this, in characters: what is left of it would say nothing.
const CELL_MIN: usize = 12;

/// Lays out `rows` under `head`, one line each, and within `limit` characters where that can be done by shortening the
/// longest cells. The first column has ids and is never shortened.
pub(super) fn layout<const N: usize>(
    head: [&str; N],
    rows: &[[String; N]],
    limit: Option<usize>,
) -> String {
    let cells = cells(head, rows, limit);
    columns(&cells.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The same, with one cell of each row in a colour: `tone` gives its column.
pub(super) fn coloured<const N: usize>(
    head: [&str; N],
    rows: &[[String; N]],
    limit: Option<usize>,
    tone: impl Fn(usize) -> (usize, Tone),
) -> String {
    let cells = cells(head, rows, limit);
    let lines: Vec<&[String]> = cells.iter().map(Vec::as_slice).collect();
    render(&lines, |line, column, cell| {
        match line.checked_sub(1).map(&tone) {
            Some((coloured, tone)) if coloured == column => paint(tone, cell),
            _ => cell.to_owned(),
        }
    })
}

fn cells<const N: usize>(
    head: [&str; N],
    rows: &[[String; N]],
    limit: Option<usize>,
) -> Vec<Vec<String>> {
    let head = head.map(str::to_owned).to_vec();
    let rows = rows
        .iter()
        .map(|row| row.iter().map(|cell| plain(cell)).collect());
    let mut lines: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    if let Some(limit) = limit {
        fit(&mut lines, limit);
    }
    lines
}

/// Shortens the longest cells until the lines have `limit` characters, or nothing is left to shorten.
fn fit(lines: &mut [Vec<String>], limit: usize) {
    let slices: Vec<&[String]> = lines.iter().map(Vec::as_slice).collect();
    let mut longest = longest(&slices);
    loop {
        let total: usize = widths(&longest).iter().sum::<usize>()
            - widths(&longest).last().copied().unwrap_or(0)
            + longest.last().copied().unwrap_or(0);
        let columns = longest.iter_mut().skip(1);
        let widest = columns.filter(|cell| **cell > CELL_MIN).max();
        match widest {
            Some(widest) if total > limit => *widest -= 1,
            _ => break,
        }
    }
    for line in lines {
        for (cell, width) in line.iter_mut().zip(&longest) {
            *cell = shorten(cell, *width);
        }
    }
}

/// Lays out lines of cells; shorter lines leave their last columns empty.
pub(super) fn columns(lines: &[&[String]]) -> String {
    render(lines, |_, _, cell| cell.to_owned())
}

/// `show` gives what is written for a cell: as many characters wide as the cell itself.
fn render(lines: &[&[String]], show: impl Fn(usize, usize, &str) -> String) -> String {
    let widths = widths(&longest(lines));
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            text.push_str(&show(number, column, cell));
            if column + 1 < line.len() {
                let padding = widths[column].saturating_sub(cell.chars().count());
                text.extend(std::iter::repeat_n(' ', padding));
            }
        }
        text.push('\n');
    }
    text
}

/// The longest cell of each column.
fn longest(lines: &[&[String]]) -> Vec<usize> {
    let count = lines.iter().map(|line| line.len()).max().unwrap_or(0);
    let longest = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    (0..count).map(longest).collect()
}

fn widths(longest: &[usize]) -> Vec<usize> {
    let width = |longest: &usize| (longest + GAP).max(WIDTH_MIN);
    longest.iter().map(width).collect()
}

/// The first `limit` characters, the last of them `…` if there were more.
pub(super) fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_where_docker_puts_them() {
        let row = |id: &str, name: &str, driver: &str| {
            [
                id.to_owned(),
                name.to_owned(),
                driver.to_owned(),
                "local".to_owned(),
            ]
        };
        let table = layout(
            ["NETWORK ID", "NAME", "DRIVER", "SCOPE"],
            &[
                row("c87a00e4d0bd", "bridge", "bridge"),
                row("d94b47a094b9", "host", "host"),
                row("1f56aefd62ae", "none", "null"),
            ],
            None,
        );
        let docker = "\
NETWORK ID     NAME      DRIVER    SCOPE
c87a00e4d0bd   bridge    bridge    local
d94b47a094b9   host      host      local
1f56aefd62ae   none      null      local
";
        assert_eq!(table, docker);
    }

    #[test]
    fn a_table_fits_by_shortening_what_is_longest() {
        let row = [
            "0123456789ab",
            "short",
            "a-very-long-name-indeed",
            "0123456789abcdef",
        ];
        let row = row.map(str::to_owned);
        let at = |limit| {
            let table = layout(
                ["ID", "B", "C", "D"],
                std::slice::from_ref(&row),
                Some(limit),
            );
            table.lines().last().unwrap().to_owned()
        };
        assert_eq!(at(80).chars().count(), 15 + 10 + 26 + 16);
        assert_eq!(
            at(60),
            "0123456789ab   short     a-very-long-nam…   0123456789abcdef"
        );
        // Narrower than that, nothing is gained by what could not be read.
        assert_eq!(at(10).chars().count(), 15 + 10 + 15 + 12);
    }

    #[test]
    fn a_cell_stays_on_its_line() {
        let row = ["a\n\x1b[2J".to_owned(), "b".to_owned()];
        assert_eq!(
            layout(["A", "B"], &[row], None),
            "A              B\na\\n\\u{1b}[2J   b\n"
        );
    }

    #[test]
    fn an_empty_table_is_its_head() {
        assert_eq!(layout(["A", "B"], &[], Some(80)), "A         B\n");
    }

    #[test]
    fn long_text_ends_in_an_ellipsis() {
        assert_eq!(shorten("sleep 100", 9), "sleep 100");
        assert_eq!(shorten("sleep 1000", 9), "sleep 10…");
        assert_eq!(shorten("äöüäöü", 3), "äö…");
    }
}
