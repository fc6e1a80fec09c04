//! How the vocabulary looks in a JSON schema: what is written as text is a string there, with a word about its form.

/// A type that is written as text.
macro_rules! text {
    ($name:ty, $words:literal) => {
        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $words })
            }
        }
    };
}

pub(crate) use text;
