//! Paths, queries and bodies to what the service takes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::num::IntErrorKind;

use axum::body::to_bytes;
use axum::extract::{FromRequestParts, Path, Request};
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    IF_NONE_MATCH,
};
use http::request::Parts;
use http_body_util::LengthLimitError;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{COLLECTION, MaxBytes};
use crate::domain::{
    Draft, Etag, Field, Freshness, IdempotencyKey, IfMatch, ImportDraft, ListRequest, PageRequest, Violation,
    ViolationKind, cut, excerpt, field,
};
use crate::error::Error;

/// The id in the path, whatever it looks like.
pub(super) struct Id(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        if let Ok(Path(id)) = Path::from_request_parts(parts, state).await {
            return Ok(Self(id));
        }
        // What is no text once it is decoded is no id either.
        let path = parts.uri.path().strip_prefix(COLLECTION).unwrap_or_default();
        Err(Error::not_found(path.split('/').nth(1).unwrap_or_default()))
    }
}

/// The parameters of a part of a list.
const PAGE: [&str; 3] = [field::LIMIT, field::OFFSET, field::STARTING_AFTER];

/// `limit`, `offset` and `starting_after`, with a violation for each other parameter.
#[must_use]
pub fn page(request: &Request) -> PageRequest {
    let mut found = Vec::new();
    let given = parameters(request, &PAGE, &mut found);
    page_of(given, found)
}

/// The same with `parent_id` and `customer_group_name`.
#[must_use]
pub fn list_request(request: &Request) -> ListRequest {
    let mut found = Vec::new();
    let known = [&PAGE[..], &[field::PARENT_ID, field::CUSTOMER_GROUP_NAME]].concat();
    let mut given = parameters(request, &known, &mut found);
    let (parent_id, customer_group_name) =
        (given.take(field::PARENT_ID), given.take(field::CUSTOMER_GROUP_NAME));
    ListRequest { page: page_of(given, found), parent_id, customer_group_name }
}

fn page_of(mut given: Given<String>, mut found: Vec<Violation>) -> PageRequest {
    let starting_after = given.take(field::STARTING_AFTER);
    let mut number = |name| given.take(name).and_then(|text| number(name, &text, &mut found));
    let (limit, offset) = (number(field::LIMIT), number(field::OFFSET));
    PageRequest { limit, offset, starting_after, violations: found }
}

/// Refuses every parameter.
pub(super) fn no_query(request: &Request) -> Result<(), Error> {
    let mut found = Vec::new();
    parameters(request, &[], &mut found);
    found.into_iter().next().map_or(Ok(()), |violation| Err(Error::Invalid(violation.into())))
}

/// The parameters that are known, with a violation for each other one.
fn parameters(request: &Request, known: &[&str], found: &mut Vec<Violation>) -> Given<String> {
    let mut given = Given::default();
    let query = request.uri().query().unwrap_or_default();
    let written = query.split('&').filter(|part| !part.is_empty());
    for (written, (name, value)) in written.zip(form_urlencoded::parse(query.as_bytes())) {
        if percent_decode_str(written).decode_utf8().is_err() {
            report(found, &name, ViolationKind::Invalid, "it is not in UTF-8; encode the bytes of UTF-8");
            continue;
        }
        given.add("parameter", known, name.into_owned(), value.into_owned(), found);
    }
    given
}

/// A whole number. One that is out of range is as far from it as a number can be.
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

/// The caller's name for a create.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Violation> {
    let values = headers.get_all(field::IDEMPOTENCY_KEY);
    IdempotencyKey::parse(values.iter().map(HeaderValue::as_bytes))
}

/// How up to date the caller wants a list.
pub(super) fn freshness(headers: &HeaderMap) -> Freshness {
    Freshness::parse(headers.get_all(CACHE_CONTROL).iter().map(HeaderValue::as_bytes))
}

/// Which versions a change is for.
pub(super) fn if_match(headers: &HeaderMap) -> IfMatch {
    joined(headers, &IF_MATCH).map_or(IfMatch::Any, |header| IfMatch::parse(&header))
}

/// Whether the caller has this version already.
pub(super) fn not_modified(headers: &HeaderMap, etag: Etag) -> bool {
    joined(headers, &IF_NONE_MATCH).is_some_and(|header| etag.is_any_of(&header))
}

/// A header that is a list, which may stand in several lines (RFC 9110, section 5.3).
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> =
        headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// Reads the body of a create or an update.
///
/// # Errors
///
/// That it is not `application/json`, too large, or no JSON object. What is wrong with its fields is in the
/// draft.
pub async fn body(request: Request, max: MaxBytes) -> Result<Draft, Error> {
    let mut found = Vec::new();
    let object = object(request, max, &mut found).await?;
    Ok(draft(object, found))
}

/// Reads a body that is a JSON object, with a violation for each parameter.
///
/// # Errors
///
/// That it is not `application/json`, too large, or no JSON object.
pub(super) async fn object(
    request: Request,
    MaxBytes(max): MaxBytes,
    found: &mut Vec<Violation>,
) -> Result<Entries, Error> {
    parameters(&request, &[], found);
    check_content_type(request.headers())?;
    let bytes = to_bytes(request.into_body(), max).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(<dyn std::error::Error>::is::<LengthLimitError>) {
            Error::BodyTooLarge(max)
        } else {
            Error::Undecodable(error.to_string())
        }
    })?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Undecodable(format!("invalid JSON: {error}")))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Error> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        let given = excerpt(&String::from_utf8_lossy(encoding.as_bytes()));
        return Err(Error::EncodingUnsupported(format!(
            "its content encoding is {given}; send it without one"
        )));
    }
    let given = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let essence = given.as_deref().unwrap_or_default().split(';').next().unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let given = given.as_deref().map_or_else(|| "missing".to_owned(), excerpt);
    Err(Error::EncodingUnsupported(format!("its content type is {given}; send application/json")))
}

/// The entries of a JSON object, in their order, with what they hold not yet read.
pub(super) struct Entries(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

impl Entries {
    /// The fields that are known, with a violation for each other one.
    pub(super) fn fields(self, known: &[&str], found: &mut Vec<Violation>) -> Given<Box<RawValue>> {
        let mut given = Given::default();
        for (name, value) in self.0 {
            given.add("field", known, name, value, found);
        }
        given
    }
}

/// What the object of a group says of its fields.
pub(super) fn draft(mut object: Entries, mut found: Vec<Violation>) -> Draft {
    object.0.retain(|(name, _)| !field::OUTPUT_ONLY.contains(&name.as_str()));
    let given = object.fields(&field::MUTABLE, &mut found);
    mutable(given, found)
}

/// Reads an object in a file, where the fields count that only the service sets.
///
/// # Errors
///
/// That it is no JSON object. What is wrong with its fields is in the draft.
pub fn import_draft(json: &str) -> Result<ImportDraft, String> {
    let object: Entries = serde_json::from_str(json).map_err(|error| {
        // It is one line, and which one of the file is known elsewhere.
        let (said, column) = (error.to_string(), error.column());
        let place = format!(" at line {} column {column}", error.line());
        format!("invalid JSON: {} at column {column}", said.strip_suffix(&place).unwrap_or(&said))
    })?;
    let mut found = Vec::new();
    let mut given = object.fields(&[&field::OUTPUT_ONLY[..], &field::MUTABLE].concat(), &mut found);
    let mut text = |name| read(name, "a string or null", given.take(name), &mut found);
    let (id, created_at, updated_at) = (text(field::ID), text(field::CREATED_AT), text(field::UPDATED_AT));
    Ok(ImportDraft { id, created_at, updated_at, fields: mutable(given, found) })
}

/// What the fields say that a create and an update can set.
fn mutable(mut given: Given<Box<RawValue>>, mut found: Vec<Violation>) -> Draft {
    let mut text = |name| read(name, "a string or null", given.take(name), &mut found);
    let parent_id = text(field::PARENT_ID);
    let customer_group_name = text(field::CUSTOMER_GROUP_NAME);
    let parent_customer_group = text(field::PARENT_CUSTOMER_GROUP);
    let default_price_list = text(field::DEFAULT_PRICE_LIST);
    let payment_terms = text(field::PAYMENT_TERMS);
    let is_group = given.take(field::IS_GROUP);
    let is_group = read(field::IS_GROUP, "true, false or null", is_group, &mut found);
    Draft {
        parent_id,
        is_group,
        customer_group_name,
        parent_customer_group,
        default_price_list,
        payment_terms,
        violations: found,
    }
}

/// What a body says of a field.
pub(super) fn read<T: DeserializeOwned>(
    name: &str,
    expected: &str,
    given: Option<Box<RawValue>>,
    found: &mut Vec<Violation>,
) -> Field<T> {
    let Some(value) = given else { return Field::Absent };
    match serde_json::from_str(value.get()) {
        Ok(None) => Field::Null,
        Ok(Some(value)) => Field::Value(value),
        Err(_) => {
            found.push(misfit(name, expected, &value));
            Field::Absent
        }
    }
}

/// A value that is not what is expected in its place.
pub(super) fn misfit(name: &str, expected: &str, value: &RawValue) -> Violation {
    let description = format!("{name} is {}; give {expected}", cut(value.get()));
    Violation::new(name, ViolationKind::Invalid, description)
}

/// Values by their names; a name that was given more than once has none.
pub(super) struct Given<V>(BTreeMap<String, Option<V>>);

impl<V> Default for Given<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> Given<V> {
    /// Takes in what a caller gave, or finds what is wrong with its name: once for each name.
    fn add(&mut self, what: &str, known: &[&str], name: String, value: V, found: &mut Vec<Violation>) {
        if !known.contains(&name.as_str()) {
            let description = format!("there is no {what} of this name; leave it out");
            report(found, &name, ViolationKind::Unknown, &description);
            return;
        }
        match self.0.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(Some(value));
            }
            Entry::Occupied(mut entry) => {
                entry.insert(None);
                let description = format!("the {what} is given twice; give it once");
                report(found, entry.key(), ViolationKind::Invalid, &description);
            }
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<V> {
        self.0.remove(name).flatten()
    }
}

/// Adds a violation, unless there is one of the name, or as many already as a reader can use.
fn report(found: &mut Vec<Violation>, name: &str, kind: ViolationKind, what: &str) {
    const MAX: usize = 10;
    let is_reported = found.iter().any(|violation| violation.field == cut(name));
    if found.len() < MAX && !is_reported {
        found.push(Violation::new(cut(name), kind, format!("{}: {what}", excerpt(name))));
    }
}
