//! The parameters of requests.

use serde_json::json;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Required, Schema};

use super::fields::{id_pattern, name_pattern};
use super::{EXAMPLE_ID, string};
use crate::domain::{self, GroupId, Text, field};
use crate::rest::input::Id;

pub(super) fn parameter(
    name: &str,
    parameter_in: ParameterIn,
    description: &str,
    schema: impl Into<Schema>,
) -> Parameter {
    let required = if parameter_in == ParameterIn::Path { Required::True } else { Required::False };
    let parameter = ParameterBuilder::new().name(name).parameter_in(parameter_in).required(required);
    parameter.description(Some(description)).schema(Some(schema.into())).build()
}

impl IntoParams for Id {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new().schema_type(Type::String).examples([json!(EXAMPLE_ID)]);
        vec![parameter(field::ID, ParameterIn::Path, "The identifier of the customer group.", schema)]
    }
}

/// The parameters of the list of all groups.
pub(in crate::rest) struct ListPage;

impl IntoParams for ListPage {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = "Maximum number of objects to return. Above 1000 it is lowered to 1000.";
        let parent = "Only the objects directly below this one: its id, or `null` for the roots. The list is empty if it \
                      does not exist.";
        let max = Text::MAX_CHARACTERS;
        let name = format!(
            "Only the objects whose name contains this text, ignoring case, composition and, where the database can, \
             accents: 1 to {max} characters, after the white space around them is removed."
        );
        let parent_pattern = format!("^(null|{})$", GroupId::pattern());
        let text = |pattern: String| ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
        let mut parameters = page(limit, Some(json!(20)), "It need not exist any more.");
        parameters.extend([
            parameter(field::PARENT_ID, ParameterIn::Query, parent, text(parent_pattern)),
            parameter(
                field::CUSTOMER_GROUP_NAME,
                ParameterIn::Query,
                &name,
                text(name_pattern()).min_length(Some(1)),
            ),
        ]);
        parameters
    }
}

/// The parameters of the lists of the tree.
pub(in crate::rest) struct TreePage;

impl IntoParams for TreePage {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = "Maximum number of objects to return; all of them by default.";
        page(limit, None, "It must be one of the ancestors or descendants.")
    }
}

fn page(limit: &str, default: Option<serde_json::Value>, whether: &str) -> Vec<Parameter> {
    let number = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    let skip = "Number of objects to skip for pagination.";
    let start = format!(
        "The id of the last object of the page before. The page starts after it, and costs as much as the first page. \
         {whether} `offset` counts from there."
    );
    let id = ObjectBuilder::new().schema_type(Type::String).pattern(Some(id_pattern()));
    let no_cache = "`no-cache` for a list with every write that was acknowledged before. Without it the list may come \
                    from a standby, which can lag by moments.";
    vec![
        parameter("Cache-Control", ParameterIn::Header, no_cache, string()),
        parameter(field::LIMIT, ParameterIn::Query, limit, number().default(default)),
        parameter(field::OFFSET, ParameterIn::Query, skip, number().default(Some(json!(0)))),
        parameter(field::STARTING_AFTER, ParameterIn::Query, &start, id),
    ]
}

/// The header that makes a create safe to repeat.
pub(in crate::rest) struct IdempotencyKey;

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "The caller's own name for this create. For 24 hours, the same create under the same name \
                           and API key makes no second group but gets the first response again.";
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(domain::IdempotencyKey::MAX_CHARACTERS))
            .pattern(Some("^[!-~]([ -~]*[!-~])?$"));
        vec![parameter("Idempotency-Key", ParameterIn::Header, description, schema)]
    }
}

/// The versions that a request is for.
pub(in crate::rest) struct IfMatch;

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "The `ETag` of the version that the request is for, or several with commas between them, or \
                           `*` for any. If the group has another version, the response is 412.";
        vec![parameter("If-Match", ParameterIn::Header, description, string())]
    }
}

/// The versions that a request is not for.
pub(in crate::rest) struct IfNoneMatch;

impl IntoParams for IfNoneMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "The `ETag` of a version that the caller has, or several with commas between them, or `*` for \
                           any. If it is the current one, a read gets 304 without a body, and a change 412.";
        vec![parameter("If-None-Match", ParameterIn::Header, description, string())]
    }
}
