//! Results on stdout, messages on stderr, colour only where a person looks at it.

use std::io::{self, IsTerminal, Write};

/// Writes a result. A closed pipe is an error of kind `BrokenPipe`, which ends the program quietly.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes a message to the user. That stderr cannot be written to is nothing that could be told anybody.
pub(super) fn say(text: &str) {
    let lines: Vec<String> = text.split('\n').map(plain).collect();
    let name = colour(io::stderr().is_terminal(), Tone::Bad, "net:");
    let _ = writeln!(io::stderr().lock(), "{name} {}", lines.join("\n"));
}

/// `text` with nothing in it that a terminal would obey: commands and labels are whatever somebody gave, and must not
/// paint over other lines or look like what they are not.
pub(super) fn plain(text: &str) -> String {
    let obeyed = |c: char| {
        // Beside control characters those that turn the direction of writing (UAX 9, section 2).
        c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match obeyed(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// Writes a result that is the user's own data: as it is for a program, [`plain`] for a person.
pub(super) fn print_data(text: &str) -> io::Result<()> {
    if !io::stdout().is_terminal() {
        return print(text);
    }
    // A tab is what a template's columns are parted by.
    let cells = |line: &str| line.split('\t').map(plain).collect::<Vec<_>>().join("\t");
    let lines: Vec<String> = text.split('\n').map(cells).collect();
    print(&lines.join("\n"))
}

/// A colour with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// All is well.
    Good,
    /// Somebody should look.
    Bad,
    /// Less important than the rest.
    Quiet,
}

/// `text` in a colour, if stdout is a terminal and its user did not object (<https://no-color.org>).
pub(super) fn paint(tone: Tone, text: &str) -> String {
    colour(io::stdout().is_terminal(), tone, text)
}

fn colour(is_terminal: bool, tone: Tone, text: &str) -> String {
    let objected = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    if objected || !is_terminal {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Quiet => "2",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// How many characters fit on a line of the terminal that stdout is; `None` if it is none, so that a program gets
/// everything. `COLUMNS` overrules the terminal (environ(7)).
pub(super) fn width() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let columns = std::env::var("COLUMNS").ok();
    let given = columns.and_then(|columns| columns.parse().ok());
    let asked = || terminal_size::terminal_size_of(stdout).map(|(width, _)| usize::from(width.0));
    // A terminal that was never told its size says 0 (ioctl_tty(2)).
    given.or_else(asked).filter(|width| *width > 0)
}

/// Asks on stderr, so that a redirected stdout does not hide the question.
pub(super) fn ask(question: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(question.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shown_can_command_a_terminal() {
        assert_eq!(plain("sleep 100 # é 😀"), "sleep 100 # é 😀");
        assert_eq!(
            plain("\x1b]0;title\x07\r\nb\u{9b}31m\u{202e}"),
            "\\u{1b}]0;title\\u{7}\\r\\nb\\u{9b}31m\\u{202e}"
        );
    }
}
