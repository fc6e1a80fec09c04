//! The functions of Go's templates and of Docker's that make sense over JSON.

use std::cmp::Ordering;

use serde_json::Value;

use super::error::TemplateError;
use super::printf::printf;
use super::show::{kind, show};

/// The names of all functions, for whoever mistypes one.
pub(super) const NAMES: &[&str] = &[
    "and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not",
    "or", "pad", "print", "printf", "println", "slice", "split", "title", "truncate", "upper",
];

/// What a template takes for true: anything but nothing, zero, and what is empty.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// Calls a function.
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, TemplateError> {
    let wrong = |wanted| TemplateError::WrongCall {
        function: name.to_owned(),
        wanted,
    };
    match (name, arguments) {
        ("json", [value]) => Ok(value.to_string().into()),
        ("len", [value]) => length(value).map(Value::from),
        ("index", [value, keys @ ..]) if !keys.is_empty() => index(value, keys),
        ("slice", [value, from, to]) => slice(value, from, Some(to)).ok_or_else(|| wrong(SLICE)),
        ("slice", [value, from]) => slice(value, from, None).ok_or_else(|| wrong(SLICE)),
        ("join", [Value::Array(items), Value::String(between)]) => {
            let items: Vec<String> = items.iter().map(show).collect();
            Ok(items.join(between).into())
        }
        ("split", [Value::String(text), Value::String(at)]) => {
            Ok(text.split(at.as_str()).collect::<Vec<_>>().into())
        }
        ("upper", [Value::String(text)]) => Ok(text.to_uppercase().into()),
        ("lower", [Value::String(text)]) => Ok(text.to_lowercase().into()),
        ("title", [Value::String(text)]) => Ok(title(text).into()),
        ("truncate", [Value::String(text), Value::Number(length)]) => {
            let length = usize::try_from(length.as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
            Ok(text.chars().take(length).collect::<String>().into())
        }
        (
            "pad",
            [
                Value::String(text),
                Value::Number(before),
                Value::Number(behind),
            ],
        ) => {
            let blanks = |count: &serde_json::Number| {
                " ".repeat(
                    usize::try_from(count.as_u64().unwrap_or(0))
                        .unwrap_or(0)
                        .min(256),
                )
            };
            Ok(match text.is_empty() {
                true => Value::from(""),
                false => format!("{}{text}{}", blanks(before), blanks(behind)).into(),
            })
        }
        ("print", values) => Ok(print(values).into()),
        ("println", values) => {
            let shown: Vec<String> = values.iter().map(show).collect();
            Ok(format!("{}\n", shown.join(" ")).into())
        }
        ("printf", [Value::String(format), values @ ..]) => Ok(printf(format, values).into()),
        ("not", [value]) => Ok((!truth(value)).into()),
        ("and", [first, rest @ ..]) => Ok(choose(first, rest, |value| !truth(value))),
        ("or", [first, rest @ ..]) => Ok(choose(first, rest, truth)),
        ("eq", [one, others @ ..]) if !others.is_empty() => {
            let mut equal = false;
            for other in others {
                equal |= compare(name, one, other)? == Some(Ordering::Equal);
            }
            Ok(equal.into())
        }
        ("ne", [one, other]) => Ok((compare(name, one, other)? != Some(Ordering::Equal)).into()),
        ("lt" | "le" | "gt" | "ge", [one, other]) => ordered(name, one, other),
        ("join", _) => Err(wrong("a list and a text to put between its elements")),
        ("split", _) => Err(wrong("a text and what to split it at")),
        ("truncate", _) => Err(wrong("a text and a length")),
        ("pad", _) => Err(wrong("a text and two numbers of blanks")),
        ("printf", _) => Err(wrong("a format and its values")),
        ("upper" | "lower" | "title", _) => Err(wrong("one text")),
        ("json" | "len" | "not", _) => Err(wrong("one value")),
        ("index", _) => Err(wrong("a list or map and a position or key")),
        ("slice", _) => Err(wrong(SLICE)),
        (known, _) if NAMES.contains(&known) => Err(wrong("two values")),
        (unknown, _) => Err(TemplateError::NoFunction {
            name: unknown.to_owned(),
        }),
    }
}

const SLICE: &str = "a text or list and one or two positions in it";

/// The first that `is_it` fits, or the last of all.
fn choose(first: &Value, rest: &[Value], is_it: impl Fn(&Value) -> bool) -> Value {
    let mut all = std::iter::once(first).chain(rest);
    let last = rest.last().unwrap_or(first);
    all.find(|value| is_it(value)).unwrap_or(last).clone()
}

fn title(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars).collect()
}

/// As in Go: blanks only between values of which neither is a text.
fn print(values: &[Value]) -> String {
    let mut text = String::new();
    for (at, value) in values.iter().enumerate() {
        let parted = at > 0 && !value.is_string() && !values[at - 1].is_string();
        if parted {
            text.push(' ');
        }
        text.push_str(&show(value));
    }
    text
}

fn length(value: &Value) -> Result<usize, TemplateError> {
    match value {
        Value::Object(fields) => Ok(fields.len()),
        Value::Array(items) => Ok(items.len()),
        Value::String(text) => Ok(text.len()),
        Value::Null => Ok(0),
        other => Err(TemplateError::WrongType {
            path: show(other),
            what: kind(other),
            wanted: "length".to_owned(),
        }),
    }
}

/// As in Go, a map gives nothing for a key that it lacks, and a list fails past its end.
fn index(value: &Value, keys: &[Value]) -> Result<Value, TemplateError> {
    let mut found = value;
    for key in keys {
        let next = match (found, key) {
            (Value::Array(items), Value::Number(at)) => {
                let at = at.as_u64().and_then(|at| usize::try_from(at).ok());
                at.and_then(|at| items.get(at))
            }
            (Value::Object(fields), Value::String(key)) => match fields.get(key) {
                Some(field) => Some(field),
                None => return Ok(Value::from("")),
            },
            _ => None,
        };
        found = next.ok_or_else(|| TemplateError::WrongType {
            path: show(found),
            what: kind(found),
            wanted: format!("element {key}"),
        })?;
    }
    Ok(found.clone())
}

fn slice(value: &Value, from: &Value, to: Option<&Value>) -> Option<Value> {
    let position = |value: &Value| usize::try_from(value.as_u64()?).ok();
    let from = position(from)?;
    let to = to.map(|to| position(to).ok_or(())).transpose().ok()?;
    match value {
        Value::String(text) => text.get(from..to.unwrap_or(text.len())).map(Value::from),
        Value::Array(items) => {
            let part = items.get(from..to.unwrap_or(items.len()))?;
            Some(part.to_vec().into())
        }
        _ => None,
    }
}

fn compare(function: &str, one: &Value, other: &Value) -> Result<Option<Ordering>, TemplateError> {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => Ok(one.as_f64().partial_cmp(&other.as_f64())),
        (Value::String(one), Value::String(other)) => Ok(Some(one.cmp(other))),
        (Value::Bool(one), Value::Bool(other)) => Ok(Some(one.cmp(other))),
        (Value::Null, Value::Null) => Ok(Some(Ordering::Equal)),
        (Value::Null, _) | (_, Value::Null) => Ok(None),
        _ => Err(TemplateError::NotComparable {
            function: function.to_owned(),
            one: kind(one),
            other: kind(other),
        }),
    }
}

fn ordered(function: &str, one: &Value, other: &Value) -> Result<Value, TemplateError> {
    let order = compare(function, one, other)?;
    let holds = order.is_some_and(|order| match function {
        "lt" => order.is_lt(),
        "le" => order.is_le(),
        "gt" => order.is_gt(),
        _ => order.is_ge(),
    });
    Ok(holds.into())
}
