//! `printf` with the verbs of Go's fmt that fit JSON: `%s %v %d %t %q %x %f`, flags, width and precision.

use serde_json::Value;

use super::show::show;

/// Widest field, so that a slip of the finger does not fill the memory.
const WIDTH_MAX: usize = 1000;

/// What stands between `%` and the verb.
#[derive(Default)]
struct Spec {
    left: bool,
    zeros: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

/// Formats as Go does, its complaints included: `%!d(MISSING)`, `%!(EXTRA ...)`.
pub(super) fn printf(format: &str, values: &[Value]) -> String {
    let mut text = String::new();
    let mut values = values.iter();
    let mut rest = format;
    while let Some((before, behind)) = rest.split_once('%') {
        text.push_str(before);
        let (spec, behind) = spec(behind);
        let mut chars = behind.chars();
        match chars.next() {
            Some('%') => text.push('%'),
            Some(verb) => match values.next() {
                Some(value) => text.push_str(&pad(&spec, one(verb, &spec, value))),
                None => text.push_str(&format!("%!{verb}(MISSING)")),
            },
            None => text.push_str("%!(NOVERB)"),
        }
        rest = chars.as_str();
    }
    text.push_str(rest);
    let extra: Vec<String> = values.map(show).collect();
    if !extra.is_empty() {
        text.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    text
}

fn spec(text: &str) -> (Spec, &str) {
    let mut spec = Spec::default();
    let flags = text.len() - text.trim_start_matches(['-', '0', '+', ' ', '#']).len();
    for flag in text[..flags].chars() {
        match flag {
            '-' => spec.left = true,
            '0' => spec.zeros = true,
            '+' => spec.plus = true,
            _ => {}
        }
    }
    let (width, rest) = number(&text[flags..]);
    spec.width = width.unwrap_or(0).min(WIDTH_MAX);
    match rest.strip_prefix('.') {
        Some(rest) => {
            let (precision, rest) = number(rest);
            spec.precision = Some(precision.unwrap_or(0).min(WIDTH_MAX));
            (spec, rest)
        }
        None => (spec, rest),
    }
}

fn number(text: &str) -> (Option<usize>, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (text[..end].parse().ok(), &text[end..])
}

fn one(verb: char, spec: &Spec, value: &Value) -> String {
    let sign = |text: String| match spec.plus && !text.starts_with('-') {
        true => format!("+{text}"),
        false => text,
    };
    match (verb, value) {
        ('s' | 'v', value) => {
            let text = show(value);
            match spec.precision {
                Some(precision) if verb == 's' => text.chars().take(precision).collect(),
                _ => text,
            }
        }
        ('q', value) => Value::from(show(value)).to_string(),
        ('d', Value::Number(number)) if !number.is_f64() => sign(number.to_string()),
        ('f', Value::Number(number)) => {
            let precision = spec.precision.unwrap_or(6);
            sign(format!("{:.precision$}", number.as_f64().unwrap_or(0.0)))
        }
        ('t', Value::Bool(truth)) => truth.to_string(),
        ('x', Value::Number(number)) => format!("{:x}", number.as_i64().unwrap_or(0)),
        ('x', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        (verb, value) => format!("%!{verb}({})", show(value)),
    }
}

fn pad(spec: &Spec, text: String) -> String {
    let missing = spec.width.saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    match (spec.left, spec.zeros) {
        (true, _) => text + &" ".repeat(missing),
        (false, true) => {
            let digits = text.trim_start_matches(['-', '+']);
            let sign = &text[..text.len() - digits.len()];
            format!("{sign}{}{digits}", "0".repeat(missing))
        }
        (false, false) => " ".repeat(missing) + &text,
    }
}
