//! Plain columns, laid out as Docker's tables are. Knows text only, and lets none of it break a line.

use super::out::plain;

/// Narrowest column and space behind the longest cell, in characters: Docker's `tabwriter` has these.
const WIDTH_MIN: usize = 10;
const GAP: usize = 3;

/// Lays out `rows` under `head`, one line each, the last column as wide as it comes.
pub(super) fn layout<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| plain(cell)))
        .collect();
    let lines: Vec<&[String]> = std::iter::once(&head[..])
        .chain(rows.iter().map(|row| &row[..]))
        .collect();
    columns(&lines)
}

/// Lays out lines of cells; shorter lines leave their last columns empty.
pub(super) fn columns(lines: &[&[String]]) -> String {
    let count = lines.iter().map(|line| line.len()).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        (longest + GAP).max(WIDTH_MIN)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (column, cell) in line.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < line.len() {
                let padding = widths[column].saturating_sub(cell.chars().count());
                text.extend(std::iter::repeat_n(' ', padding));
            }
        }
        text.push('\n');
    }
    text
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
    fn a_cell_stays_on_its_line() {
        let row = ["a\n\x1b[2J".to_owned(), "b".to_owned()];
        assert_eq!(
            layout(["A", "B"], &[row]),
            "A              B\na\\n\\u{1b}[2J   b\n"
        );
    }

    #[test]
    fn an_empty_table_is_its_head() {
        assert_eq!(layout(["A", "B"], &[]), "A         B\n");
    }

    #[test]
    fn long_text_ends_in_an_ellipsis() {
        assert_eq!(shorten("sleep 100", 9), "sleep 100");
        assert_eq!(shorten("sleep 1000", 9), "sleep 10…");
        assert_eq!(shorten("äöüäöü", 3), "äö…");
    }
}
