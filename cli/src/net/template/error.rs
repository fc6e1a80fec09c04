//! Why a template cannot be used, or does not fit its value.

/// A template's refusal, for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::net) enum TemplateError {
    #[error("the format {given:?} opens {{{{ without closing it")]
    Unclosed { given: String },
    #[error(
        "{{{{{action}}}}} is not understood: expected a path such as {{{{.Name}}}}, a function such as {{{{json .Labels}}}}, or if, range, with, else, end"
    )]
    Unknown { action: String },
    #[error("{{{{{opening}}}}} is not ended; {{{{end}}}} has to follow")]
    NoEnd { opening: String },
    #[error("{{{{{word}}}}} stands in no if, range or with")]
    Stray { word: String },
    #[error("there is no function {name:?}; there are {}", super::functions::NAMES.join(", "))]
    NoFunction { name: String },
    #[error("there is no variable ${name}; {{{{${name} := ...}}}} makes one")]
    NoVariable { name: String },
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
    #[error("{function} wants {wanted}")]
    WrongCall {
        function: String,
        wanted: &'static str,
    },
    #[error("{function} cannot compare {one} with {other}")]
    NotComparable {
        function: String,
        one: &'static str,
        other: &'static str,
    },
}

fn among(known: &[String]) -> String {
    match known {
        [] => "is nothing".to_owned(),
        known => format!("are {}", known.join(", ")),
    }
}
