//! `--format` of a list: a template for each line, maybe under a head, as Docker has it. Knows no verb.

use serde_json::Value;

use super::failure::Failure;
use super::table;
use super::template::{Template, TemplateError};

/// A parsed `--format`.
#[derive(Debug)]
pub(super) struct Format {
    template: Template,
    is_table: bool,
}

impl Format {
    /// Reads what was typed. `None` for what says nothing of its own, as `table` without columns.
    pub(super) fn parse(typed: Option<&str>) -> Result<Option<Self>, Failure> {
        let Some(text) = typed.filter(|format| !matches!(*format, "" | "table")) else {
            return Ok(None);
        };
        let (text, is_table) = match text.strip_prefix("table ") {
            Some(rest) => (rest.trim_start(), true),
            None if text == "json" => ("{{json .}}", false),
            None => (text, false),
        };
        let template = Template::parse(text).map_err(usage)?;
        Ok(Some(Self { template, is_table }))
    }

    /// Prints `rows`; `title` names the column of a field.
    pub(super) fn render(
        &self,
        rows: &[Value],
        title: impl Fn(&str) -> Option<&'static str>,
    ) -> Result<String, Failure> {
        let mut lines = Vec::new();
        if self.is_table {
            let title = |name: &str| title(name).map_or_else(|| name.to_uppercase(), str::to_owned);
            lines.push(self.template.titles(title));
        }
        for row in rows {
            lines.push(self.template.render(row).map_err(usage)?);
        }
        if !self.is_table {
            return Ok(lines.iter().map(|line| format!("{line}\n")).collect());
        }
        let cells: Vec<Vec<String>> = lines
            .iter()
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect();
        Ok(table::columns(
            &cells.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        ))
    }
}

/// `KEY=VALUE,...`, as Docker prints labels in lists.
pub(super) fn labels(labels: &std::collections::BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

/// A template that does not fit is the user's error.
pub(super) fn usage(error: TemplateError) -> Failure {
    Failure::Usage(error.to_string())
}
