//! Plain columns, laid out as Docker's tables are. Knows text only, and lets none of it break a line.
//!
//! Widths are those of a terminal's cells: a character of Chinese or Japanese takes two (UAX 11).

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::out::{Tone, paint, plain};

/// Narrowest column and space behind the longest cell, in characters: Docker's `tabwriter` has these.
const WIDTH_MIN: usize = 10;
const GAP: usize = 3;
/// A cell is not shortened below this, in characters: what is left of it would say nothing.
const CELL_MIN: usize = 12;

/// How wide a table may be, and what may be done about it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Room {
    /// Cells of a line; `None` for as many as it takes.
    pub(super) limit: Option<usize>,
    /// Columns that are left out when shortening is not enough, the first of them first.
    pub(super) dispensable: &'static [usize],
    /// A column that is shortened only when nothing else is left to be.
    pub(super) precious: Option<usize>,
}

/// Lays out `rows` under `head`, one line each, in the room that there is: by shortening the longest cells, then by
/// leaving columns out. The first column has ids and is never shortened.
pub(super) fn layout<const N: usize>(head: [&str; N], rows: &[[String; N]], room: Room) -> String {
    let (_, cells) = cells(head, rows, room);
    columns(&cells.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The same, with one cell of each row in a colour: `tone` gives its column.
pub(super) fn coloured<const N: usize>(
    head: [&str; N],
    rows: &[[String; N]],
    room: Room,
    tone: impl Fn(usize) -> (usize, Tone),
) -> String {
    let (columns, cells) = cells(head, rows, room);
    let lines: Vec<&[String]> = cells.iter().map(Vec::as_slice).collect();
    render(&lines, |line, column, cell| {
        match line.checked_sub(1).map(&tone) {
            Some((coloured, tone)) if columns.get(column) == Some(&coloured) => paint(tone, cell),
            _ => cell.to_owned(),
        }
    })
}

/// The columns that there is room for, by their places, and their cells.
fn cells<const N: usize>(
    head: [&str; N],
    rows: &[[String; N]],
    room: Room,
) -> (Vec<usize>, Vec<Vec<String>>) {
    let head = head.map(str::to_owned).to_vec();
    let rows = rows
        .iter()
        .map(|row| row.iter().map(|cell| plain(cell)).collect());
    let mut lines: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let mut columns: Vec<usize> = (0..N).collect();
    let Some(limit) = room.limit else {
        return (columns, lines);
    };
    let mut dispensable = room.dispensable.iter();
    loop {
        let precious = columns
            .iter()
            .position(|column| Some(*column) == room.precious);
        let slices: Vec<&[String]> = lines.iter().map(Vec::as_slice).collect();
        let longest = longest(&slices);
        let (widths, fits) = fit(&longest, limit, precious);
        if let (false, Some(lost)) = (fits, dispensable.next()) {
            if let Some(at) = columns.iter().position(|column| column == lost) {
                columns.remove(at);
                lines.iter_mut().for_each(|line| _ = line.remove(at));
            }
            continue;
        }
        for line in &mut lines {
            for (cell, width) in line.iter_mut().zip(&widths) {
                *cell = shorten(cell, *width);
            }
        }
        return (columns, lines);
    }
}

/// Shortens the longest cells until the lines have `limit` cells of the terminal, the precious column last. Gives the
/// widths, and whether that is enough without touching the precious one.
fn fit(longest: &[usize], limit: usize, precious: Option<usize>) -> (Vec<usize>, bool) {
    let mut longest = longest.to_vec();
    let total = |longest: &[usize]| {
        let widths = widths(longest);
        let last = widths.last().copied().unwrap_or(0);
        widths.iter().sum::<usize>() - last + longest.last().copied().unwrap_or(0)
    };
    let mut fits = true;
    while total(&longest) > limit {
        let columns = longest.iter_mut().enumerate().skip(1);
        let (common, held): (Vec<_>, Vec<_>) = columns
            .filter(|(_, cell)| **cell > CELL_MIN)
            .partition(|(column, _)| Some(*column) != precious);
        fits &= !common.is_empty();
        let candidates = if common.is_empty() { held } else { common };
        match candidates.into_iter().map(|(_, cell)| cell).max() {
            Some(widest) => *widest -= 1,
            None => break,
        }
    }
    (longest, fits)
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
                let padding = widths[column].saturating_sub(cell.width());
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
        cells.map(|cell| cell.width()).max().unwrap_or(0)
    };
    (0..count).map(longest).collect()
}

fn widths(longest: &[usize]) -> Vec<usize> {
    let width = |longest: &usize| (longest + GAP).max(WIDTH_MIN);
    longest.iter().map(width).collect()
}

/// As much of a text as `limit` cells hold, with `…` at its end if that is not all.
pub(super) fn shorten(text: &str, limit: usize) -> String {
    if text.width() <= limit {
        return text.to_owned();
    }
    let mut room = limit.saturating_sub(1);
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        let fits = width <= room;
        room = room.saturating_sub(width);
        fits
    };
    let mut short: String = text.chars().take_while(fits).collect();
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
            Room::default(),
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
                Room {
                    limit: Some(limit),
                    ..Room::default()
                },
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
    fn a_narrow_table_leaves_out_what_matters_least() {
        let row = [
            "0123456789ab",
            "a-name-of-a-container",
            "Up 3 minutes ago",
            "a long command",
        ];
        let row = row.map(str::to_owned);
        let at = |limit| {
            let room = Room {
                limit: Some(limit),
                dispensable: &[3, 1],
                precious: Some(2),
            };
            let table = layout(["ID", "B", "C", "D"], std::slice::from_ref(&row), room);
            table.lines().last().unwrap().to_owned()
        };
        assert_eq!(
            at(70),
            "0123456789ab   a-name-of-a-contai…   Up 3 minutes ago   a long command"
        );
        assert_eq!(
            at(60),
            "0123456789ab   a-name-of-a-container   Up 3 minutes ago"
        );
        assert_eq!(at(40), "0123456789ab   Up 3 minutes ago");
        assert_eq!(at(30), "0123456789ab   Up 3 minutes a…");
    }

    #[test]
    fn a_cell_stays_on_its_line() {
        let row = ["a\n\x1b[2J".to_owned(), "b".to_owned()];
        assert_eq!(
            layout(["A", "B"], &[row], Room::default()),
            "A              B\na\\n\\u{1b}[2J   b\n"
        );
    }

    #[test]
    fn wide_characters_take_two_cells() {
        let row = |name: &str| [name.to_owned(), "x".to_owned()];
        let table = layout(
            ["NAME", "B"],
            &[row("数据库"), row("database")],
            Room::default(),
        );
        assert_eq!(table, "NAME       B\n数据库     x\ndatabase   x\n");
    }

    #[test]
    fn an_empty_table_is_its_head() {
        assert_eq!(layout(["A", "B"], &[], Room::default()), "A         B\n");
    }

    #[test]
    fn long_text_ends_in_an_ellipsis() {
        assert_eq!(shorten("sleep 100", 9), "sleep 100");
        assert_eq!(shorten("sleep 1000", 9), "sleep 10…");
        assert_eq!(shorten("äöüäöü", 3), "äö…");
        assert_eq!(shorten("数据库服务器", 6), "数据…");
        assert_eq!(shorten("数据库", 6), "数据库");
    }
}
