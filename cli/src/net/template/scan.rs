//! From the text of a template to pieces of text and actions, and from an action to its words.

use serde_json::Value;

use super::error::TemplateError;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Printed as it is.
    Text(String),
    /// What stands between `{{` and `}}`.
    Action(String),
}

/// A word of an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    /// `.`, `.Name.Name`.
    Path(Vec<String>),
    /// `$`, `$name`, `$name.Field`.
    Variable(String, Vec<String>),
    /// A text, a number, true, false, nil.
    Literal(Value),
    /// A function or a keyword.
    Name(String),
    /// `|`, `(`, `,`, `:=`, `=`.
    Sign(&'static str),
    /// `)`, and the path that follows it at once.
    Close(Vec<String>),
}

/// Splits a template; `{{-` and `-}}` take the white space beside them along, and comments are left out.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let (mut rest, mut trimmed) = (text, false);
    while let Some((before, behind)) = rest.split_once("{{") {
        let end = closing(behind).ok_or_else(|| TemplateError::Unclosed {
            given: text.to_owned(),
        })?;
        let (action, after) = (&behind[..end], &behind[end + 2..]);
        let before = if trimmed { before.trim_start() } else { before };
        let (action, before) = match action.strip_prefix("- ") {
            Some(action) => (action, before.trim_end()),
            None => (action, before),
        };
        let (action, trims) = match action.strip_suffix(" -") {
            Some(action) => (action, true),
            None => (action, false),
        };
        pieces.push(Piece::Text(unescape(before)));
        let action = action.trim();
        if !(action.starts_with("/*") && action.ends_with("*/")) {
            pieces.push(Piece::Action(action.to_owned()));
        }
        (rest, trimmed) = (after, trims);
    }
    let rest = if trimmed { rest.trim_start() } else { rest };
    pieces.push(Piece::Text(unescape(rest)));
    Ok(pieces)
}

/// Where the `}}` is that stands in no text.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut skip = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if skip => skip = false,
            (Some('"'), '\\') => skip = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`') => quote = Some(c),
            (None, '}') if text[at..].starts_with("}}") => return Some(at),
            (None, _) => {}
        }
    }
    None
}

/// Shells do not turn `\t` in quotes into a tab, so Docker does.
fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

/// The words of an action; `None` if something in it is none.
pub(super) fn words(action: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = action.trim();
    while let Some(first) = rest.chars().next() {
        let (word, behind) = match first {
            '"' => quoted(rest)?,
            '`' => {
                let (text, behind) = rest[1..].split_once('`')?;
                (Word::Literal(text.into()), behind)
            }
            '(' => (Word::Sign("("), &rest[1..]),
            '|' => (Word::Sign("|"), &rest[1..]),
            ',' => (Word::Sign(","), &rest[1..]),
            '=' => (Word::Sign("="), &rest[1..]),
            ':' => (Word::Sign(":="), rest.strip_prefix(":=")?),
            ')' => {
                let (path, behind) = plain_word(&rest[1..]);
                (Word::Close(path_of(path)?), behind)
            }
            _ => {
                let (text, behind) = plain_word(rest);
                (plain(text)?, behind)
            }
        };
        words.push(word);
        rest = behind.trim_start();
    }
    Some(words)
}

/// A text in double quotes. Its escapes are nearly those of JSON.
fn quoted(text: &str) -> Option<(Word, &str)> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let literal = stream.next()?.ok()?;
    let behind = &text[stream.byte_offset()..];
    Some((Word::Literal(literal.into()), behind))
}

fn plain_word(text: &str) -> (&str, &str) {
    let is_end =
        |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '|' | ',' | '=' | ':' | '"' | '`');
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

fn plain(text: &str) -> Option<Word> {
    if let Some(rest) = text.strip_prefix('$') {
        let (name, path) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
        let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
        return is_name.then_some(Word::Variable(name.to_owned(), path_of(path)?));
    }
    if text == "." {
        return Some(Word::Path(Vec::new()));
    }
    if text.starts_with('.') {
        return path_of(text).map(Word::Path);
    }
    if let Ok(number @ (Value::Number(_) | Value::Bool(_))) = serde_json::from_str(text) {
        return Some(Word::Literal(number));
    }
    if text == "nil" {
        return Some(Word::Literal(Value::Null));
    }
    let is_name = !text.is_empty() && text.chars().all(char::is_alphanumeric);
    is_name.then(|| Word::Name(text.to_owned()))
}

/// Reads nothing, or `.Name.Name`.
fn path_of(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let names: Vec<String> = text
        .strip_prefix('.')?
        .split('.')
        .map(str::to_owned)
        .collect();
    let plain =
        |name: &String| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    names.iter().all(plain).then_some(names)
}
