//! Go's templates over a JSON value, as `--format` has them: paths, pipelines, functions, if, range, with, variables.
//!
//! `{{.Name}}`, `{{json .IPAM.Config}}`, `{{range $id, $c := .Containers}}{{println $c.Name $c.IPv4Address}}{{end}}`,
//! `{{if .Internal}}closed{{else}}open{{end}}`; `\t` and `\n` outside of them. Knows nothing of where the value comes from.
//!
//! Reading order: [`scan`] (pieces and words), [`parse`] (the tree), this file (what it comes to), [`functions`], [`printf`],
//! [`show`].

mod error;
mod scan;

mod parse;

mod functions;
mod printf;
mod show;

use serde_json::Value;

pub(super) use error::TemplateError;
use functions::truth;
use parse::{Call, Node, Operand, Pipeline, Range};
use show::{kind, show};

/// Fields whose keys are the user's, so that one which is not there is nothing, and no mistake.
const MAPS: &[&str] = &[
    "Labels",
    "Options",
    "Containers",
    "AuxiliaryAddresses",
    "labels",
];

/// Fields that are left out of the JSON when empty.
const LEFT_OUT: &[&str] = &["Subnet", "IPRange", "Gateway", "AuxiliaryAddresses"];

/// A parsed template.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template(Vec<Node>);

impl Template {
    /// Reads a template.
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        parse::tree(scan::pieces(text)?).map(Self)
    }

    /// Fills the template from `value`, without a line end.
    pub(super) fn render(&self, value: &Value) -> Result<String, TemplateError> {
        let mut scope = Scope {
            root: value,
            variables: Vec::new(),
            text: String::new(),
        };
        scope.print(&self.0, value)?;
        Ok(scope.text)
    }

    /// Titles for a table: the last name of each path, such as `NAME`.
    pub(super) fn titles(&self, title: impl Fn(&str) -> String) -> String {
        let part = |node: &Node| match node {
            Node::Text(text) => text.clone(),
            Node::Show(pipeline) => last_name(pipeline).map_or_else(String::new, &title),
            _ => String::new(),
        };
        self.0.iter().map(part).collect()
    }
}

fn last_name(pipeline: &Pipeline) -> Option<&str> {
    let mut operands = pipeline.iter().flat_map(|call| &call.operands);
    operands.find_map(|operand| match operand {
        Operand::Path(path) | Operand::Variable(_, path) => path.last().map(String::as_str),
        Operand::Nested(nested, path) => match path.last() {
            Some(name) => Some(name.as_str()),
            None => last_name(nested),
        },
        Operand::Literal(_) => None,
    })
}

/// What is printed so far, and the variables that are known.
struct Scope<'v> {
    root: &'v Value,
    variables: Vec<(String, Value)>,
    text: String,
}

impl Scope<'_> {
    fn print(&mut self, nodes: &[Node], dot: &Value) -> Result<(), TemplateError> {
        let known = self.variables.len();
        for node in nodes {
            match node {
                Node::Text(text) => self.text.push_str(text),
                Node::Show(pipeline) => {
                    let value = self.find(pipeline, dot)?;
                    self.text.push_str(&show(&value));
                }
                Node::Set(name, pipeline) => {
                    let value = self.find(pipeline, dot)?;
                    match self
                        .variables
                        .iter_mut()
                        .rev()
                        .find(|(known, _)| known == name)
                    {
                        Some((_, present)) => *present = value,
                        None => self.variables.push((name.clone(), value)),
                    }
                }
                Node::If(branches, otherwise) => self.choose(branches, otherwise, dot)?,
                Node::With(pipeline, body, otherwise) => {
                    let value = self.find(pipeline, dot)?;
                    match truth(&value) {
                        true => self.print(body, &value)?,
                        false => self.print(otherwise, dot)?,
                    }
                }
                Node::Range(range) => self.each(range, dot)?,
            }
        }
        // A variable ends with the block that made it.
        self.variables.truncate(known);
        Ok(())
    }

    fn choose(
        &mut self,
        branches: &[(Pipeline, Vec<Node>)],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), TemplateError> {
        for (condition, body) in branches {
            if truth(&self.find(condition, dot)?) {
                return self.print(body, dot);
            }
        }
        self.print(otherwise, dot)
    }

    fn each(&mut self, range: &Range, dot: &Value) -> Result<(), TemplateError> {
        let mut elements: Vec<(Value, Value)> = match self.find(&range.over, dot)? {
            Value::Array(items) => (0_u64..).map(Value::from).zip(items).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(key, value)| (Value::from(key), value))
                .collect(),
            Value::Null => Vec::new(),
            other => {
                return Err(TemplateError::WrongType {
                    path: show(&other),
                    what: kind(&other),
                    wanted: "elements".to_owned(),
                });
            }
        };
        // Go visits a map in the order of its keys; positions are in order already.
        elements.sort_by(|(one, _), (other, _)| one.as_str().cmp(&other.as_str()));
        if elements.is_empty() {
            return self.print(&range.otherwise, dot);
        }
        let known = self.variables.len();
        for (key, value) in elements {
            match range.names.as_slice() {
                [name] => self.variables.push((name.clone(), value.clone())),
                [first, second] => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), value.clone()));
                }
                _ => {}
            }
            self.print(&range.body, &value)?;
            self.variables.truncate(known);
        }
        Ok(())
    }

    fn find(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let mut before: Option<Value> = None;
        for call in pipeline {
            before = Some(self.call(call, dot, before)?);
        }
        Ok(before.unwrap_or(Value::Null))
    }

    fn call(&self, call: &Call, dot: &Value, last: Option<Value>) -> Result<Value, TemplateError> {
        let operands = call
            .operands
            .iter()
            .map(|operand| self.operand(operand, dot));
        let mut arguments = operands.collect::<Result<Vec<Value>, _>>()?;
        arguments.extend(last);
        match &call.function {
            Some(function) => functions::call(function, &arguments),
            None => Ok(arguments.pop().unwrap_or(Value::Null)),
        }
    }

    fn operand(&self, operand: &Operand, dot: &Value) -> Result<Value, TemplateError> {
        match operand {
            Operand::Path(path) => walk(dot, path, ""),
            Operand::Variable(name, path) if name.is_empty() => walk(self.root, path, "$"),
            Operand::Variable(name, path) => {
                let mut known = self.variables.iter().rev();
                let value = known.find(|(known, _)| known == name);
                let (_, value) =
                    value.ok_or_else(|| TemplateError::NoVariable { name: name.clone() })?;
                walk(value, path, &format!("${name}"))
            }
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Nested(pipeline, path) => walk(&self.find(pipeline, dot)?, path, "(...)"),
        }
    }
}

/// Goes down from `value`, which the user calls `start`.
fn walk(value: &Value, path: &[String], start: &str) -> Result<Value, TemplateError> {
    let mut found = value;
    for (depth, name) in path.iter().enumerate() {
        let shown = || format!("{start}.{}", path[..depth].join("."));
        let Value::Object(fields) = found else {
            return Err(TemplateError::WrongType {
                path: shown(),
                what: kind(found),
                wanted: format!("field {name:?}"),
            });
        };
        // Docker's own templates say ID where its JSON says Id.
        let spelled = fields.get(name).or_else(|| match name.as_str() {
            "ID" => fields.get("Id"),
            _ => None,
        });
        found = match spelled {
            Some(field) => field,
            None if depth > 0 && MAPS.contains(&path[depth - 1].as_str()) => &Value::Null,
            None if LEFT_OUT.contains(&name.as_str()) && fields.contains_key("Gateway") => {
                return Ok(Value::from(""));
            }
            None => {
                return Err(TemplateError::NoField {
                    key: name.clone(),
                    path: shown(),
                    known: fields.keys().cloned().collect(),
                });
            }
        };
    }
    Ok(found.clone())
}

#[cfg(test)]
mod tests;
