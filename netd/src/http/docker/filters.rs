//! The parameter `filters`: conditions by key, several values to a key.
//!
//! Written as `{"driver": ["bridge"]}`, or, by clients of the first years, as `{"driver": {"bridge": true}}`.

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;

use super::problem::Problem;

/// Most memory that a pattern may take once it is compiled, in bytes.
const PATTERN_BYTES: usize = 1 << 16;

/// Conditions on what is listed, removed or told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filters(BTreeMap<String, BTreeSet<String>>);

/// The values of one key.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    List(Vec<String>),
    Set(BTreeMap<String, bool>),
}

impl Filters {
    /// Reads the parameter; an absent one has no conditions.
    ///
    /// # Errors
    /// [`Problem`] when it is neither of the two forms, or has a key that is not `known`.
    pub(super) fn parse(text: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let given: Option<BTreeMap<String, Values>> = serde_json::from_str(text).map_err(|_| {
            Problem::bad("invalid filter: expected JSON such as {\"driver\":[\"bridge\"]}")
        })?;
        let keys = given.into_iter().flatten().map(|(key, values)| {
            let values = match values {
                Values::List(list) => list.into_iter().collect(),
                Values::Set(set) => set
                    .into_iter()
                    .filter(|(_, on)| *on)
                    .map(|(value, _)| value)
                    .collect(),
            };
            (key, values)
        });
        let filters: BTreeMap<String, BTreeSet<String>> = keys.collect();
        match filters.keys().find(|key| !known.contains(&key.as_str())) {
            Some(unknown) => Err(Problem::bad(format!(
                "invalid filter '{unknown}'; known are {}",
                known.join(", ")
            ))),
            None => Ok(Self(filters)),
        }
    }

    /// The values of a key; `None` if there is no condition of it.
    pub(super) fn values(&self, key: &str) -> Option<&BTreeSet<String>> {
        self.0.get(key).filter(|values| !values.is_empty())
    }

    /// True if `text` is one of a key's values, or nothing is said of the key.
    pub(super) fn is(&self, key: &str, text: &str) -> bool {
        self.values(key).is_none_or(|values| values.contains(text))
    }

    /// The values of a key as patterns.
    pub(super) fn patterns(&self, key: &str) -> Patterns {
        let compiled = |text: &String| {
            let pattern = RegexBuilder::new(text).size_limit(PATTERN_BYTES).build();
            (text.clone(), pattern.ok())
        };
        Patterns(
            self.values(key)
                .into_iter()
                .flatten()
                .map(compiled)
                .collect(),
        )
    }

    /// True if all labels of the key are there; `KEY` is about any value, `KEY=VALUE` about one.
    pub(super) fn has_labels(&self, key: &str, labels: &BTreeMap<String, String>) -> bool {
        let mut wanted = self.values(key).into_iter().flatten();
        wanted.all(|wanted| has_label(wanted, labels))
    }

    /// True if none of the labels of the key is there.
    pub(super) fn has_no_label(&self, key: &str, labels: &BTreeMap<String, String>) -> bool {
        let mut unwanted = self.values(key).into_iter().flatten();
        !unwanted.any(|unwanted| has_label(unwanted, labels))
    }

    /// The truth value of a key that has one.
    ///
    /// # Errors
    /// [`Problem`] when it is something else, or both.
    pub(super) fn truth(&self, key: &str) -> Result<Option<bool>, Problem> {
        let Some(values) = self.values(key) else {
            return Ok(None);
        };
        let is = |words: [&str; 2]| values.iter().all(|value| words.contains(&value.as_str()));
        match (is(["1", "true"]), is(["0", "false"])) {
            (true, false) => Ok(Some(true)),
            (false, true) => Ok(Some(false)),
            _ => Err(self.invalid(key)),
        }
    }

    /// What is said of a value that a key cannot have.
    pub(super) fn invalid(&self, key: &str) -> Problem {
        let values: Vec<_> = self.values(key).into_iter().flatten().cloned().collect();
        Problem::bad(format!("invalid filter '{key}=[{}]'", values.join(" ")))
    }
}

/// Values that are looked for within a text, each compiled once; what is no pattern is looked for as it stands.
#[derive(Debug)]
pub(super) struct Patterns(Vec<(String, Option<Regex>)>);

impl Patterns {
    /// True if `text` is one of the values or has one in it; or if there are none.
    pub(super) fn fit(&self, text: &str) -> bool {
        let fits = |(value, pattern): &(String, Option<Regex>)| match pattern {
            Some(pattern) => value == text || pattern.is_match(text),
            None => text.contains(value.as_str()),
        };
        self.0.is_empty() || self.0.iter().any(fits)
    }
}

fn has_label(wanted: &str, labels: &BTreeMap<String, String>) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
        None => labels.contains_key(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["driver", "name", "label", "dangling"];

    fn filters(text: &str) -> Filters {
        Filters::parse(Some(text), KNOWN).unwrap()
    }

    #[test]
    fn both_forms_say_the_same() {
        let new = filters(r#"{"driver":["bridge","null"]}"#);
        let old = filters(r#"{"driver":{"bridge":true,"null":true,"host":false}}"#);
        assert_eq!(new, old);
        assert!(new.is("driver", "bridge") && !new.is("driver", "host"));
        assert!(new.is("name", "anything"));
        assert_eq!(filters("null"), Filters::default());
    }

    #[test]
    fn a_name_is_a_pattern() {
        for (pattern, fits) in [
            ("app", true),
            ("^app$", false),
            ("^my-", true),
            ("a.p", true),
            ("(", false),
            ("x{1000}{1000}{1000}", false),
        ] {
            let filters = filters(&format!(r#"{{"name":["{pattern}"]}}"#));
            assert_eq!(filters.patterns("name").fit("my-app"), fits, "{pattern}");
        }
    }

    #[test]
    fn all_labels_have_to_be_there() {
        let labels = BTreeMap::from([("team".to_owned(), "red".to_owned())]);
        let fits =
            |text: &str| filters(&format!(r#"{{"label":{text}}}"#)).has_labels("label", &labels);
        assert!(fits(r#"["team"]"#) && fits(r#"["team=red"]"#));
        assert!(!fits(r#"["team=blue"]"#) && !fits(r#"["team","more"]"#));
    }

    #[test]
    fn what_is_no_filter_is_named() {
        for bad in ["", "[]", "{\"driver\":7}", "{\"more\":[\"x\"]}", "{"] {
            assert!(Filters::parse(Some(bad), KNOWN).is_err(), "{bad}");
        }
        let truth =
            |text: &str| filters(&format!(r#"{{"dangling":["{text}"]}}"#)).truth("dangling");
        assert_eq!(truth("1"), Ok(Some(true)));
        assert_eq!(truth("false"), Ok(Some(false)));
        assert_eq!(
            truth("x").unwrap_err().message(),
            "invalid filter 'dangling=[x]'"
        );
        assert_eq!(Filters::default().truth("dangling"), Ok(None));
    }
}
