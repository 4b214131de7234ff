//! The validation errors of the model.

use customer_groups::testing::GroupId;
use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;
use serde_json::Value;

use crate::contract::{ApiError, CallOptions, Filter, Page};

/// The invalid fields in the order in which they are listed, each with the code that it would have alone.
#[derive(Debug, Default)]
pub struct Violations(pub Vec<(String, &'static str)>);

impl Violations {
    pub fn one(field: &str, code: &'static str) -> ApiError {
        Self(vec![(field.to_owned(), code)]).refuse().unwrap_err()
    }

    pub fn add(&mut self, field: &str, code: &'static str) {
        self.0.push((field.to_owned(), code));
    }

    /// Succeeds if there is no violation.
    pub fn refuse(&self) -> Result<(), ApiError> {
        let Some((_, first)) = self.0.first() else { return Ok(()) };
        let code = if self.0.iter().all(|(_, code)| code == first) { first } else { "parameter_invalid" };
        let fields = self.0.iter().map(|(field, _)| field.clone()).collect();
        Err(ApiError { code: code.to_owned(), fields, message: String::new() })
    }

    /// Checks the rule that only new groups have: a name is required.
    pub fn check_new(&mut self, body: &Value) {
        if body.get("customer_group_name").is_none() {
            let at = usize::from(self.0.first().is_some_and(|(field, _)| field == "parent_id"));
            self.0.insert(at, ("customer_group_name".to_owned(), "parameter_missing"));
        }
    }

    /// Whether the only violation is a well-formed parent id that no group has.
    pub fn is_only_unknown_parent(&self, body: &Value) -> bool {
        let could_be = body["parent_id"].as_str().is_some_and(|id| GroupId::parse(id).is_some());
        matches!(self.0.as_slice(), [(_, "parent_not_found")]) && could_be
    }
}

/// Checks a required name if `field` is the name, and an optional text otherwise.
pub fn check_text(field: &str, value: Option<&Value>, found: &mut Violations) {
    let is_name = field == "customer_group_name";
    let text = match value {
        None => return,
        Some(value) if is_name => value.as_str().unwrap_or_default().trim(),
        Some(value) => value.as_str().unwrap_or_default(),
    };
    if is_name && text.is_empty() {
        found.add(field, "parameter_missing");
    } else if text.chars().count() > 255 || text.chars().any(char::is_control) {
        found.add(field, "parameter_invalid");
    } else if is_name && text.chars().all(is_blank) {
        found.add(field, "parameter_missing");
    }
}

/// Of the characters that the texts of the model have: no format controls.
fn is_blank(character: char) -> bool {
    const BLANK: &str = "\u{2800}\u{16fe4}\u{1d159}\u{13440}\u{13441}\u{13442}";
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    character.is_whitespace() || ignorable.contains(character) || BLANK.contains(character)
}

pub fn check_key(with: &CallOptions, found: &mut Violations) {
    if with.idempotency_key.as_ref().is_some_and(|key| key.len() > 255) {
        found.add("idempotency-key", "parameter_invalid");
    }
}

pub fn check_page(page: &Page) -> Result<(), ApiError> {
    of_page(page).refuse()
}

pub fn check_list(filter: &Filter, page: &Page) -> Result<(), ApiError> {
    let mut found = of_page(page);
    if filter.parent_id.as_ref().is_some_and(|id| id != "null" && GroupId::parse(id).is_none()) {
        found.add("parent_id", "parameter_invalid");
    }
    let is_wrong = |text: &String| text.trim().is_empty() || text.trim().chars().any(char::is_control);
    if filter.customer_group_name.as_ref().is_some_and(is_wrong) {
        found.add("customer_group_name", "parameter_invalid");
    }
    found.refuse()
}

fn of_page(page: &Page) -> Violations {
    let mut found = Violations::default();
    for (field, number) in [("limit", page.limit), ("offset", page.offset)] {
        if number.is_some_and(|number| number < 0) {
            found.add(field, "parameter_invalid");
        }
    }
    if page.starting_after.as_ref().is_some_and(|id| GroupId::parse(id).is_none()) {
        found.add("starting_after", "parameter_invalid");
    }
    found
}
