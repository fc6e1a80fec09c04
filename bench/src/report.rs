//! The report of a run: a page of Markdown with plots beside it, and all values as JSON.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::facts::Facts;
use crate::results::Results;
use crate::{plot, table, targets};

const INTRODUCTION: &str = "\
# How fast

All lanes did the same work in one run, each in network namespaces of its own, taking turns. A figure is the median, in
brackets the middle eight tenths; `×2.0` and `80 %` compare with the lane `limit` of the same run: bare netlink that does the
kernel's work for it, writes nothing down, checks nothing, and has neither firewall nor names. Only comparisons within a run
mean anything: on another machine all figures are different.

";

/// The page.
#[must_use]
pub fn render(facts: &Facts, results: &Results) -> String {
    let facts = facts.render();
    let (targets, tables) = (targets::render(results), table::render(results));
    format!("{INTRODUCTION}{facts}\n## What shall be reached\n\n{targets}\n{tables}")
}

/// Writes the page, the plots and the values into `folder`; gives the page.
///
/// # Errors
/// When something cannot be written.
pub fn write(folder: &Path, facts: &Facts, results: &Results) -> Result<String> {
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let page = render(facts, results);
    for measure in results.measures() {
        plot::draw(results, measure, folder)?;
    }
    let values = json!({ "facts": facts, "values": results.json() });
    for (name, text) in [
        ("README.md", page.clone()),
        ("values.json", format!("{values:#}\n")),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(page)
}
