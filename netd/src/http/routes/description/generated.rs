//! The description of the interface, made of the table of paths and of the types that go over the wire.

use std::collections::BTreeSet;

use aide::axum::ApiRouter;
use aide::generate::{GenContext, extract_schemas, reset_context};
use aide::openapi::{
    Info, License, MediaType, OpenApi, Operation, Parameter, ParameterData,
    ParameterSchemaOrContent, PathItem, PathStyle, ReferenceOr, Response, SchemaObject,
};
use aide::{OperationInput, OperationOutput};
use axum::http::StatusCode;
use netd_api::{ErrorBody, Event, PREFIX};
use schemars::JsonSchema;
use serde_json::Value;

use crate::http::body::{Json, Made, Pair, Refusal, Word};
use crate::http::routes::{EventStream, LINES_OF_JSON, native};

/// What the description says before its paths.
const ABOUT: &str = "One network daemon for every container runtime of a host. HTTP/1.1 on a Unix socket, \
    /run/netd.sock unless configured otherwise; every body is JSON. An answer that is not 2xx has a stable code for \
    programs and a sentence for people. Names, ids and the beginnings of ids work in every path.";

/// The whole description.
fn document() -> OpenApi {
    // What is collected belongs to the thread.
    reset_context();
    extract_schemas(true);
    let mut document = OpenApi {
        info: Info {
            title: "netd".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: Some(ABOUT.to_owned()),
            license: Some(License {
                name: "Apache-2.0".to_owned(),
                identifier: Some("Apache-2.0".to_owned()),
                ..License::default()
            }),
            ..Info::default()
        },
        ..OpenApi::default()
    };
    let described = ApiRouter::new().nest(PREFIX, native::described());
    let _ = described.finish_api(&mut document);
    reset_context();
    for (path, item) in document.paths.iter_mut().flat_map(|paths| &mut paths.paths) {
        if let ReferenceOr::Item(item) = item {
            name_words(path, item);
        }
    }
    document
}

/// Every `{word}` of a path is a parameter.
fn name_words(path: &str, item: &mut PathItem) {
    let words = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    for word in words {
        let schema = schemars::json_schema!({ "type": "string" });
        item.parameters.push(ReferenceOr::Item(Parameter::Path {
            parameter_data: ParameterData {
                name: word.to_owned(),
                description: None,
                required: true,
                deprecated: None,
                format: ParameterSchemaOrContent::Schema(plain(schema)),
                example: None,
                examples: Default::default(),
                explode: None,
                extensions: Default::default(),
            },
            style: PathStyle::Simple,
        }));
    }
}

fn plain(json_schema: schemars::Schema) -> SchemaObject {
    SchemaObject {
        json_schema,
        external_docs: None,
        example: None,
    }
}

impl OperationInput for Word {}

impl OperationInput for Pair {}

impl<T: JsonSchema> OperationInput for Json<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        axum::Json::<T>::operation_input(context, operation);
    }
}

impl<T: JsonSchema> OperationOutput for Made<T> {
    type Inner = T;

    fn operation_response(context: &mut GenContext, operation: &mut Operation) -> Option<Response> {
        axum::Json::<T>::operation_response(context, operation)
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        let response = Self::operation_response(context, operation);
        response
            .map(|response| (Some(StatusCode::CREATED.as_u16()), response))
            .into_iter()
            .collect()
    }
}

impl OperationOutput for Refusal {
    type Inner = ErrorBody;

    fn operation_response(context: &mut GenContext, operation: &mut Operation) -> Option<Response> {
        axum::Json::<ErrorBody>::operation_response(context, operation)
    }

    /// Under `default`: the status follows from the code.
    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        let response = Self::operation_response(context, operation);
        response
            .map(|response| (None, response))
            .into_iter()
            .collect()
    }
}

impl OperationOutput for EventStream {
    type Inner = Event;

    fn operation_response(context: &mut GenContext, _: &mut Operation) -> Option<Response> {
        let line = MediaType {
            schema: Some(plain(context.schema.subschema_for::<Event>())),
            ..MediaType::default()
        };
        Some(Response {
            description: "Events as they happen, a line of JSON each, until either side ends it"
                .to_owned(),
            content: [(LINES_OF_JSON.to_owned(), line)].into_iter().collect(),
            ..Response::default()
        })
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        let response = Self::operation_response(context, operation);
        response
            .map(|response| (Some(StatusCode::OK.as_u16()), response))
            .into_iter()
            .collect()
    }
}

/// Every operation with its path and method.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            let methods = methods.filter(|(key, _)| *key != "parameters");
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect()
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(to)) = object.get("$ref") {
                found.insert(to.clone());
            }
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_operation_says_what_it_takes_and_gives() {
    let document = serde_json::to_value(document()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let operations = operations(&document);
    assert!(operations.len() > 25, "{}", operations.len());
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations {
        let place = format!("{method} {path}");
        assert!(path.starts_with(PREFIX), "{place}");
        assert!(operation["summary"].is_string(), "{place}");
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(ids.insert(id), "{place}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{place}"
        );
        let takes = &operation["requestBody"]["content"]["application/json"]["schema"];
        let bodiless = path.ends_with("prune") || ["get", "delete"].contains(&method);
        assert_eq!(takes.is_null(), bodiless, "{place}");
        let words: Vec<&str> = path
            .split('/')
            .filter(|part| part.starts_with('{'))
            .collect();
        let parameters = document["paths"][path]["parameters"].as_array();
        let named: Vec<String> = parameters
            .into_iter()
            .flatten()
            .map(|one| format!("{{{}}}", one["name"].as_str().unwrap()))
            .collect();
        assert_eq!(named, words, "{place}");
    }
}

#[test]
fn every_type_that_is_named_is_described() {
    let document = serde_json::to_value(document()).unwrap();
    let mut named = BTreeSet::new();
    references(&document, &mut named);
    for name in [
        "NetworkRequest",
        "NetworkView",
        "ErrorBody",
        "PublishRequest",
        "Event",
    ] {
        assert!(
            named.contains(&format!("#/components/schemas/{name}")),
            "{name}: {named:?}"
        );
    }
    for to in named {
        let there = document.pointer(to.trim_start_matches('#'));
        assert!(there.is_some(), "{to} leads nowhere");
    }
}

/// With `NETD_DESCRIBE=1` in the environment the file is written anew instead.
#[test]
fn what_is_served_is_what_the_code_says() {
    let mut generated = serde_json::to_value(document()).unwrap();
    // The order of keys means nothing, and would depend on what else is built.
    generated.sort_all_objects();
    if std::env::var_os("NETD_DESCRIBE").is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let text = serde_json::to_string_pretty(&generated).unwrap() + "\n";
        return std::fs::write(file, text).unwrap();
    }
    let served: Value = serde_json::from_str(super::DOCUMENT).unwrap();
    assert!(
        generated == served,
        "netd/openapi.json is not what the code says: NETD_DESCRIBE=1 cargo test -p netd description, and look at the difference"
    );
}
