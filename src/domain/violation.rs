//! Violations of the rules for the fields of a request.

use std::fmt;

use super::{field, header_budget, redacted};

/// The kinds of violations. The kind decides the machine-readable reason of the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViolationKind {
    /// The value is not allowed.
    Invalid,
    /// A required field has no value.
    Missing,
    /// There is no such field.
    Unknown,
    /// The parent does not exist.
    ParentNotFound,
    /// The parent is the node itself or one of its descendants.
    ParentCycle,
}

/// A field that violates a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The documented name of the field or parameter.
    pub field: String,
    /// Decides the reason of the error.
    pub kind: ViolationKind,
    /// The problem, the value and the remedy, for people.
    pub description: String,
}

impl Violation {
    pub(crate) fn new(field: &str, kind: ViolationKind, description: impl Into<String>) -> Self {
        Self { field: field.to_owned(), kind, description: description.into() }
    }

    /// `starting_after` is not the id of an object in the list.
    pub(crate) fn not_in_list() -> Self {
        Self::new(
            field::STARTING_AFTER,
            ViolationKind::Invalid,
            "starting_after is not in the list, or no longer; give the id of an object that is, or leave it out",
        )
    }

    /// Moves the violation into the object in another field.
    pub(crate) fn inside(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field), ..self }
    }

    /// Moves the violation into an entry of a batch, which the description then names.
    pub(crate) fn in_entry(self, number: usize) -> Self {
        let entry = format!("{}[{number}]", field::REQUESTS);
        Self { description: format!("{entry}: {}", self.description), ..self.inside(&entry) }
    }

    /// `parent_id` is not the id of an existing customer group.
    pub(crate) fn parent_not_found(parent_id: &str) -> Self {
        let parent_id = excerpt(parent_id);
        Self::new(
            field::PARENT_ID,
            ViolationKind::ParentNotFound,
            format!("parent_id {parent_id} is not a customer group; give the id of one, or null for a root"),
        )
    }

    /// `parent_id` would move a group below itself or one of its descendants.
    pub(crate) fn parent_cycle(parent_id: &str) -> Self {
        let parent_id = excerpt(parent_id);
        Self::new(
            field::PARENT_ID,
            ViolationKind::ParentCycle,
            format!(
                "parent_id {parent_id} is the customer group itself or one of its descendants; \
                 give one outside of its own subtree"
            ),
        )
    }
}

/// All violations of a request: at least one, and at most one for each field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations {
    all: Vec<Violation>,
    listed: usize,
}

impl Violations {
    /// Takes the violations found while parsing; `None` if there are none.
    pub(crate) fn of(found: Vec<Violation>) -> Option<Self> {
        if found.is_empty() { None } else { Some(Self { listed: found.len(), all: found }) }
    }

    /// Lists only as many as fit into the headers of an error. The message gives the number of the others.
    pub(crate) fn abridged(mut self) -> Self {
        let mut taken = 0;
        let fits = |violation: &&Violation| {
            taken += header_budget::of_violation(&violation.field, &violation.description);
            taken <= header_budget::MAX
        };
        self.listed = self.all.iter().take_while(fits).count().max(1);
        self
    }

    pub(crate) fn with_first(mut self, violation: Violation) -> Self {
        self.all.insert(0, violation);
        self.listed += 1;
        self
    }

    pub(crate) fn and(mut self, others: Self) -> Self {
        self.all.extend(others.all);
        self.listed += others.listed;
        self
    }

    /// The listed violations: those of fields in their documented order, then the others.
    #[must_use]
    pub fn as_slice(&self) -> &[Violation] {
        &self.all[..self.listed]
    }

    /// The violation, if there is only one.
    pub(crate) fn only(&self) -> Option<&Violation> {
        match self.all.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The kind that all violations share; [`ViolationKind::Invalid`] if they differ.
    pub(crate) fn kind(&self) -> ViolationKind {
        let mut kinds = self.all.iter().map(|violation| violation.kind);
        let first = kinds.next().unwrap_or(ViolationKind::Invalid);
        if kinds.all(|kind| kind == first) { first } else { ViolationKind::Invalid }
    }
}

impl From<Violation> for Violations {
    fn from(violation: Violation) -> Self {
        Self { all: vec![violation], listed: 1 }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.as_slice().iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}", violation.description)?;
        }
        match self.all.len() - self.listed {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// The beginning of a value, which keeps messages short.
pub(crate) fn cut(value: &str) -> &str {
    const MAX_BYTES: usize = 64;
    &value[..value.floor_char_boundary(MAX_BYTES)]
}

/// The beginning of a value, escaped and in quotes, without API keys.
pub(crate) fn excerpt(value: &str) -> String {
    let shown = cut(value);
    let more = if shown.len() < value.len() { "…" } else { "" };
    format!("{:?}{more}", redacted(shown))
}
