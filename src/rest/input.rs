//! Conversions from paths, queries, headers and bodies to the domain.

use std::convert::Infallible;
use std::num::IntErrorKind;

use axum::body::to_bytes;
use axum::extract::{FromRequestParts, Path, Request};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http_body_util::LengthLimitError;
use percent_encoding::percent_decode_str;

use super::COLLECTION;
use super::content_encoding::ContentEncoding;
use crate::api::headers::media_type;
use crate::domain::{
    GroupInput, ListRequest, PageRequest, Preconditions, Violation, ViolationKind, excerpt, field,
};
use crate::error::Error;
use crate::files::json::{Entries, FieldMap, group_input, report};

/// The id in the path. Any text is accepted: one that is not an id names no group.
pub(super) struct Id(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        if let Ok(Path(id)) = Path::from_request_parts(parts, state).await {
            return Ok(Self(id));
        }
        // The decoded path is not UTF-8, so its id is unknown.
        let path = parts.uri.path().strip_prefix(COLLECTION).unwrap_or_default();
        Ok(Self(path.split('/').nth(1).unwrap_or_default().to_owned()))
    }
}

const PAGE: [&str; 3] = [field::LIMIT, field::OFFSET, field::STARTING_AFTER];

/// The page of a tree list, with a violation for each unknown parameter.
pub fn page(request: &Request) -> PageRequest {
    let mut found = Vec::new();
    let fields = parameters(request, &PAGE, &mut found);
    page_of(fields, found)
}

/// The page and the filters of the list of all groups.
pub fn list_request(request: &Request) -> ListRequest {
    let mut found = Vec::new();
    let known = [&PAGE[..], &[field::PARENT_ID, field::CUSTOMER_GROUP_NAME]].concat();
    let mut fields = parameters(request, &known, &mut found);
    let (parent_id, customer_group_name) =
        (fields.take(field::PARENT_ID), fields.take(field::CUSTOMER_GROUP_NAME));
    ListRequest { page: page_of(fields, found), parent_id, customer_group_name }
}

fn page_of(mut fields: FieldMap<String>, mut found: Vec<Violation>) -> PageRequest {
    let starting_after = fields.take(field::STARTING_AFTER);
    let mut number = |name| fields.take(name).and_then(|text| number(name, &text, &mut found));
    let (limit, offset) = (number(field::LIMIT), number(field::OFFSET));
    PageRequest { limit, offset, starting_after, violations: found }
}

/// Rejects every parameter.
pub(super) fn no_query(request: &Request) -> Result<(), Error> {
    let mut found = Vec::new();
    parameters(request, &[], &mut found);
    found.into_iter().next().map_or(Ok(()), |violation| Err(Error::Invalid(violation.into())))
}

/// Returns the known parameters. Each other one is a violation.
fn parameters(request: &Request, known: &[&str], found: &mut Vec<Violation>) -> FieldMap<String> {
    let mut fields = FieldMap::default();
    let query = request.uri().query().unwrap_or_default();
    let written = query.split('&').filter(|part| !part.is_empty());
    for (written, (name, value)) in written.zip(form_urlencoded::parse(query.as_bytes())) {
        if percent_decode_str(written).decode_utf8().is_err() {
            report(found, &name, ViolationKind::Invalid, "it is not valid UTF-8; percent-encode UTF-8");
            continue;
        }
        fields.add("parameter", known, name.into_owned(), value.into_owned(), found);
    }
    fields
}

/// Parses a whole number, clamped to the range of the type.
fn number(name: &str, text: &str, found: &mut Vec<Violation>) -> Option<i32> {
    match text.parse() {
        Ok(number) => Some(number),
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => Some(i32::MAX),
            IntErrorKind::NegOverflow => Some(i32::MIN),
            _ => {
                let description = format!("{name} is {}; give a whole number", excerpt(text));
                found.push(Violation::new(name, ViolationKind::Invalid, description));
                None
            }
        },
    }
}

pub(super) fn preconditions(headers: &HeaderMap) -> Preconditions {
    let (if_match, if_none_match) = (joined(headers, &IF_MATCH), joined(headers, &IF_NONE_MATCH));
    Preconditions::parse(if_match.as_deref(), if_none_match.as_deref())
}

/// Joins the lines of a list header (RFC 9110, section 5.3).
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> =
        headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// The media type of a JSON object.
pub(super) const JSON: &str = "application/json";

/// The media types of an update, whose semantics are those of a merge patch (RFC 7396).
pub(super) const JSON_PATCH: &str = "application/json, application/merge-patch+json";

/// Reads the body of a create or an update. Violations of its fields are in the input.
pub async fn body(request: Request, media_types: &'static str, max: usize) -> Result<GroupInput, Error> {
    let mut found = Vec::new();
    let object = object(request, media_types, max, &mut found).await?;
    Ok(group_input(object, found))
}

/// Reads a body, which must be a JSON object. Each query parameter is a violation.
pub(super) async fn object(
    request: Request,
    media_types: &'static str,
    max: usize,
    found: &mut Vec<Violation>,
) -> Result<Entries, Error> {
    parameters(&request, &[], found);
    let encoding = ContentEncoding::of(request.headers())?;
    check_media_type(request.headers(), media_types)?;
    let bytes = to_bytes(request.into_body(), max).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(<dyn std::error::Error>::is::<LengthLimitError>) {
            Error::BodyTooLarge(max)
        } else {
            Error::Undecodable(error.to_string())
        }
    })?;
    let json = encoding.decode(bytes, max)?;
    serde_json::from_slice(&json).map_err(|error| Error::Undecodable(format!("invalid JSON: {error}")))
}

fn check_media_type(headers: &HeaderMap, supported: &'static str) -> Result<(), Error> {
    let media_type = media_type(headers);
    if supported.split(", ").any(|supported| media_type.eq_ignore_ascii_case(supported)) {
        return Ok(());
    }
    let value = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let value = value.as_deref().map_or_else(|| "missing".to_owned(), excerpt);
    Err(Error::MediaTypeUnsupported(value, supported))
}
