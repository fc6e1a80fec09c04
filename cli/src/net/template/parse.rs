//! From words to a tree of blocks, pipelines and calls.

use serde_json::Value;

use super::error::TemplateError;
use super::scan::{Piece, Word, words};

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// Printed as it is.
    Text(String),
    /// Printed.
    Show(Pipeline),
    /// `$name := ...`, or `$name = ...`.
    Set(String, Pipeline),
    /// Conditions with what is printed for the first that holds, and what is printed if none does.
    If(Vec<(Pipeline, Vec<Node>)>, Vec<Node>),
    /// `with`: the value becomes the dot, if there is any.
    With(Pipeline, Vec<Node>, Vec<Node>),
    /// `range`: each element becomes the dot.
    Range(Range),
}

/// A loop.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Range {
    /// Variables for the key or position and the element: none, the element's, or both.
    pub(super) names: Vec<String>,
    pub(super) over: Pipeline,
    pub(super) body: Vec<Node>,
    /// Printed if there is no element.
    pub(super) otherwise: Vec<Node>,
}

/// Calls of which each gets the outcome of the one before as its last argument.
pub(super) type Pipeline = Vec<Call>;

/// A function with its arguments, or a value alone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) function: Option<String>,
    pub(super) operands: Vec<Operand>,
}

/// A value that is still to be found.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Path(Vec<String>),
    Variable(String, Vec<String>),
    Literal(Value),
    Nested(Pipeline, Vec<String>),
}

/// How a list of nodes came to its end.
enum Stop {
    Text,
    End,
    /// `else`, with the words that follow.
    Else(Vec<Word>),
}

/// The tree of a template.
pub(super) fn tree(pieces: Vec<Piece>) -> Result<Vec<Node>, TemplateError> {
    let mut pieces = pieces.into_iter();
    match nodes(&mut pieces)? {
        (nodes, Stop::Text) => Ok(nodes),
        (_, Stop::End) => Err(stray("end")),
        (_, Stop::Else(_)) => Err(stray("else")),
    }
}

fn stray(word: &str) -> TemplateError {
    TemplateError::Stray {
        word: word.to_owned(),
    }
}

fn nodes(pieces: &mut impl Iterator<Item = Piece>) -> Result<(Vec<Node>, Stop), TemplateError> {
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.next() {
        let action = match piece {
            Piece::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Piece::Action(action) => action,
        };
        let unknown = || TemplateError::Unknown {
            action: action.clone(),
        };
        let words = words(&action).ok_or_else(unknown)?;
        let (keyword, rest) = match words.split_first() {
            Some((Word::Name(name), rest)) => (name.as_str(), rest),
            _ => ("", words.as_slice()),
        };
        let node = match keyword {
            "end" if rest.is_empty() => return Ok((nodes, Stop::End)),
            "else" => return Ok((nodes, Stop::Else(rest.to_vec()))),
            "if" => conditions(pieces, rest, &action)?,
            "with" => {
                let over = pipeline(rest).ok_or_else(unknown)?;
                let (body, otherwise) = block(pieces, &action)?;
                Node::With(over, body, otherwise)
            }
            "range" => {
                let (names, over) = range_head(rest).ok_or_else(unknown)?;
                let (body, otherwise) = block(pieces, &action)?;
                Node::Range(Range {
                    names,
                    over,
                    body,
                    otherwise,
                })
            }
            _ => plain(&words).ok_or_else(unknown)?,
        };
        nodes.push(node);
    }
    Ok((nodes, Stop::Text))
}

/// What stands in a block, and what stands behind its `else`.
fn block(
    pieces: &mut impl Iterator<Item = Piece>,
    opening: &str,
) -> Result<(Vec<Node>, Vec<Node>), TemplateError> {
    let no_end = || TemplateError::NoEnd {
        opening: opening.to_owned(),
    };
    // Taken as a trait object, or each level of blocks would be another type.
    let pieces: &mut dyn Iterator<Item = Piece> = pieces;
    match nodes(&mut &mut *pieces)? {
        (_, Stop::Text) => Err(no_end()),
        (body, Stop::End) => Ok((body, Vec::new())),
        (_, Stop::Else(rest)) if !rest.is_empty() => Err(stray("else if")),
        (body, Stop::Else(_)) => match nodes(&mut &mut *pieces)? {
            (otherwise, Stop::End) => Ok((body, otherwise)),
            _ => Err(no_end()),
        },
    }
}

fn conditions(
    pieces: &mut impl Iterator<Item = Piece>,
    first: &[Word],
    opening: &str,
) -> Result<Node, TemplateError> {
    let pieces: &mut dyn Iterator<Item = Piece> = pieces;
    let unknown = || TemplateError::Unknown {
        action: opening.to_owned(),
    };
    let mut branches = Vec::new();
    let mut condition = pipeline(first).ok_or_else(unknown)?;
    loop {
        let (body, end) = nodes(&mut &mut *pieces)?;
        branches.push((condition, body));
        let rest = match end {
            Stop::End => return Ok(Node::If(branches, Vec::new())),
            Stop::Text => {
                return Err(TemplateError::NoEnd {
                    opening: opening.to_owned(),
                });
            }
            Stop::Else(rest) => rest,
        };
        match rest.split_first() {
            None => match nodes(&mut &mut *pieces)? {
                (otherwise, Stop::End) => return Ok(Node::If(branches, otherwise)),
                _ => return Err(stray("else")),
            },
            Some((Word::Name(word), next)) if word == "if" => {
                condition = pipeline(next).ok_or_else(unknown)?;
            }
            Some(_) => return Err(unknown()),
        }
    }
}

/// `$key, $value := PIPELINE`, `$value := PIPELINE`, or a pipeline alone.
fn range_head(words: &[Word]) -> Option<(Vec<String>, Pipeline)> {
    let name = |word: &Word| match word {
        Word::Variable(name, path) if path.is_empty() && !name.is_empty() => Some(name.clone()),
        _ => None,
    };
    match words {
        [key, Word::Sign(","), value, Word::Sign(":="), rest @ ..] => {
            Some((vec![name(key)?, name(value)?], pipeline(rest)?))
        }
        [value, Word::Sign(":="), rest @ ..] => Some((vec![name(value)?], pipeline(rest)?)),
        rest => Some((Vec::new(), pipeline(rest)?)),
    }
}

fn plain(words: &[Word]) -> Option<Node> {
    match words {
        [
            Word::Variable(name, path),
            Word::Sign(":=" | "="),
            rest @ ..,
        ] if path.is_empty() && !name.is_empty() => Some(Node::Set(name.clone(), pipeline(rest)?)),
        words => pipeline(words).map(Node::Show),
    }
}

fn pipeline(words: &[Word]) -> Option<Pipeline> {
    let mut words = words.iter();
    let (calls, close) = calls(&mut words)?;
    close.is_none().then_some(calls)
}

/// Reads calls up to the end or a closing parenthesis; gives the path behind that.
fn calls<'w>(
    words: &mut impl Iterator<Item = &'w Word>,
) -> Option<(Pipeline, Option<Vec<String>>)> {
    let words: &mut dyn Iterator<Item = &'w Word> = words;
    let empty = || Call {
        function: None,
        operands: Vec::new(),
    };
    let (mut done, mut call) = (Vec::new(), empty());
    loop {
        let word = words.next();
        match word {
            Some(Word::Name(name)) if call.function.is_none() && call.operands.is_empty() => {
                call.function = Some(name.clone());
            }
            Some(Word::Path(path)) => call.operands.push(Operand::Path(path.clone())),
            Some(Word::Variable(name, path)) => {
                call.operands
                    .push(Operand::Variable(name.clone(), path.clone()));
            }
            Some(Word::Literal(value)) => call.operands.push(Operand::Literal(value.clone())),
            Some(Word::Sign("(")) => {
                let (nested, path) = calls(&mut &mut *words)?;
                call.operands.push(Operand::Nested(nested, path?));
            }
            Some(Word::Sign("|")) | Some(Word::Close(_)) | None => {
                if !is_whole(&call, done.is_empty()) {
                    return None;
                }
                done.push(std::mem::replace(&mut call, empty()));
                match word {
                    Some(Word::Close(path)) => return Some((done, Some(path.clone()))),
                    None => return Some((done, None)),
                    Some(_) => {}
                }
            }
            Some(Word::Name(_) | Word::Sign(_)) => return None,
        }
    }
}

/// A value stands alone, and only at the beginning; whatever comes later is a function.
fn is_whole(call: &Call, is_first: bool) -> bool {
    call.function.is_some() || (is_first && call.operands.len() == 1)
}
