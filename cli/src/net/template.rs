//! The part of Go's templates that `--format` is used for: dotted paths and a few functions over a JSON value.
//!
//! `{{.Name}}`, `{{.IPAM.Config}}`, `{{json .}}`, `{{json .Labels}}`, `{{len .Containers}}`, `{{index .Labels "key"}}`,
//! `{{index .IPAM.Config 0}}`; `\t` and `\n` outside of them. Knows nothing of where the value comes from.

use serde_json::Value;

/// Why a template cannot be used, or does not fit its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TemplateError {
    #[error("the format {given:?} opens {{{{ without closing it")]
    Unclosed { given: String },
    #[error(
        "{{{{{action}}}}} is not understood: expected a path such as {{{{.Name}}}}, or json, len or index and a path"
    )]
    Unknown { action: String },
    #[error("there is no {key:?} in {path}; there {}", among(.known))]
    NoField {
        key: String,
        path: String,
        known: Vec<String>,
    },
    #[error("{path} is {what}, which has no {wanted}")]
    WrongType {
        path: String,
        what: &'static str,
        wanted: String,
    },
}

fn among(known: &[String]) -> String {
    match known {
        [] => "is nothing".to_owned(),
        known => format!("are {}", known.join(", ")),
    }
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Plain(Path),
    Json(Path),
    Len(Path),
    Index(Path, Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Path(Vec<String>);

impl Template {
    /// Reads a template.
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            let unclosed = || TemplateError::Unclosed {
                given: text.to_owned(),
            };
            let (action, after) = behind.split_once("}}").ok_or_else(unclosed)?;
            parts.push(Part::Text(unescape(before)));
            parts.push(parse_action(action)?);
            rest = after;
        }
        parts.push(Part::Text(unescape(rest)));
        Ok(Self(parts))
    }

    /// Fills the template from `value`, without a line end.
    pub(super) fn render(&self, value: &Value) -> Result<String, TemplateError> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Plain(path) => text.push_str(&show(path.find(value)?)),
                Part::Json(path) => text.push_str(&path.find(value)?.to_string()),
                Part::Len(path) => text.push_str(&length(path, value)?.to_string()),
                Part::Index(path, keys) => text.push_str(&index(path, keys, value)?),
            }
        }
        Ok(text)
    }

    /// Titles for a table: the last name of each path, such as `NAME`.
    pub(super) fn titles(&self, title: impl Fn(&str) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Plain(path) | Part::Json(path) | Part::Len(path) | Part::Index(path, _) => {
                path.0.last().map_or_else(String::new, |name| title(name))
            }
        };
        self.0.iter().map(part).collect()
    }
}

/// Shells do not turn `\t` in quotes into a tab, so Docker does.
fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

fn parse_action(action: &str) -> Result<Part, TemplateError> {
    let unknown = || TemplateError::Unknown {
        action: action.trim().to_owned(),
    };
    let words = words(action).ok_or_else(unknown)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let path = |text: &str| Path::parse(text).ok_or_else(unknown);
    match words[..] {
        [only] => path(only).map(Part::Plain),
        ["json", of] => path(of).map(Part::Json),
        ["len", of] => path(of).map(Part::Len),
        ["index", of, ref keys @ ..] if !keys.is_empty() => {
            let keys = keys.iter().map(|key| (*key).to_owned()).collect();
            Ok(Part::Index(path(of)?, keys))
        }
        _ => Err(unknown()),
    }
}

/// Splits at white space outside of double quotes and takes the quotes off; `None` for an open quote.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
    Some(words)
}

impl Path {
    /// Reads `.` or `.Name.Name`.
    fn parse(text: &str) -> Option<Self> {
        let names = text.strip_prefix('.')?;
        if names.is_empty() {
            return Some(Self(Vec::new()));
        }
        let names: Vec<String> = names.split('.').map(str::to_owned).collect();
        let plain = |name: &String| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        };
        names.iter().all(plain).then_some(Self(names))
    }

    fn find<'v>(&self, value: &'v Value) -> Result<&'v Value, TemplateError> {
        let mut found = value;
        for (depth, name) in self.0.iter().enumerate() {
            found = member(found, name, &show_path(&self.0[..depth]))?;
        }
        Ok(found)
    }
}

fn show_path(names: &[String]) -> String {
    format!(".{}", names.join("."))
}

fn member<'v>(value: &'v Value, name: &str, path: &str) -> Result<&'v Value, TemplateError> {
    let Value::Object(fields) = value else {
        return Err(TemplateError::WrongType {
            path: path.to_owned(),
            what: kind(value),
            wanted: format!("field {name:?}"),
        });
    };
    fields.get(name).ok_or_else(|| TemplateError::NoField {
        key: name.to_owned(),
        path: path.to_owned(),
        known: fields.keys().cloned().collect(),
    })
}

fn length(path: &Path, value: &Value) -> Result<usize, TemplateError> {
    match path.find(value)? {
        Value::Object(fields) => Ok(fields.len()),
        Value::Array(items) => Ok(items.len()),
        Value::String(text) => Ok(text.len()),
        Value::Null => Ok(0),
        other => Err(TemplateError::WrongType {
            path: show_path(&path.0),
            what: kind(other),
            wanted: "length".to_owned(),
        }),
    }
}

/// As in Go, a map gives nothing for a key that it lacks, and a list fails past its end.
fn index(path: &Path, keys: &[String], value: &Value) -> Result<String, TemplateError> {
    let mut found = path.find(value)?;
    for key in keys {
        let next = match found {
            Value::Array(items) => key.parse::<usize>().ok().and_then(|at| items.get(at)),
            Value::Object(fields) => match fields.get(key) {
                Some(field) => Some(field),
                None => return Ok(String::new()),
            },
            _ => None,
        };
        found = next.ok_or_else(|| TemplateError::WrongType {
            path: show_path(&path.0),
            what: kind(found),
            wanted: format!("element {key:?}"),
        })?;
    }
    Ok(show(found))
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// A value as Go prints it: `map[a:1 b:2]`, `[x y]`, `<no value>`.
fn show(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(show).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(fields) => {
            let mut fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{key}:{}", show(value)))
                .collect();
            fields.sort();
            format!("map[{}]", fields.join(" "))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(template: &str) -> Result<String, TemplateError> {
        let value = json!({
            "Name": "br0", "Internal": false, "Count": 3, "Options": null,
            "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"}]},
            "Labels": {"z.key": "1", "a": "2"},
        });
        Template::parse(template)?.render(&value)
    }

    #[test]
    fn paths_and_functions_print_as_in_go() {
        let golden = [
            ("plain", "plain"),
            ("{{.Name}}", "br0"),
            ("{{ .Name }}:{{.Internal}}\\t{{.Count}}", "br0:false\t3"),
            ("{{.IPAM.Driver}}", "default"),
            (
                "{{.IPAM.Config}}",
                "[map[Gateway:10.0.0.1 Subnet:10.0.0.0/24]]",
            ),
            ("{{json .Labels}}", r#"{"z.key":"1","a":"2"}"#),
            ("{{json .Name}}", "\"br0\""),
            ("{{.Options}}", "<no value>"),
            ("{{len .Labels}}{{len .Name}}{{len .Options}}", "230"),
            ("{{index .Labels \"z.key\"}}", "1"),
            ("{{index .Labels \"none\"}}", ""),
            ("{{index .IPAM.Config 0 \"Subnet\"}}", "10.0.0.0/24"),
        ];
        for (template, expected) in golden {
            assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
        }
        assert!(
            render("{{json .}}")
                .unwrap()
                .starts_with(r#"{"Name":"br0","Internal":false"#)
        );
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let golden = [
            (
                "{{.Name",
                "the format \"{{.Name\" opens {{ without closing it",
            ),
            (
                "{{.Nmae}}",
                "there is no \"Nmae\" in .; there are Name, Internal, Count, Options, IPAM, Labels",
            ),
            ("{{.Name.X}}", ".Name is a text, which has no field \"X\""),
            ("{{len .Count}}", ".Count is a number, which has no length"),
            (
                "{{index .IPAM.Config 7}}",
                ".IPAM.Config is a list, which has no element \"7\"",
            ),
        ];
        for (template, expected) in golden {
            assert_eq!(render(template).unwrap_err().to_string(), expected);
        }
        for bad in [
            "{{}}",
            "{{range .X}}",
            "{{Name}}",
            "{{..}}",
            "{{json}}",
            "{{index .X \"a}}",
        ] {
            assert!(
                matches!(render(bad), Err(TemplateError::Unknown { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn titles_are_the_last_names() {
        let template = Template::parse("{{.Name}}\\t{{.IPAM.Driver}}").unwrap();
        assert_eq!(template.titles(str::to_uppercase), "NAME\tDRIVER");
    }
}
