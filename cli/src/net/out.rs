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
    let _ = writeln!(io::stderr().lock(), "net: {text}");
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
    let objected = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    if objected || !io::stdout().is_terminal() {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Quiet => "2",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Asks on stderr, so that a redirected stdout does not hide the question.
pub(super) fn ask(question: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(question.as_bytes());
}
