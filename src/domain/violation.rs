//! What is wrong with a request, field by field.

use std::fmt;

use super::room;

/// The documented names of the fields and parameters of a request.
pub mod field {
    /// The id of a customer group.
    pub const ID: &str = "id";
    /// When a group was created; output only.
    pub const CREATED_AT: &str = "created_at";
    /// When a group was last updated; output only.
    pub const UPDATED_AT: &str = "updated_at";
    /// The edge of the tree.
    pub const PARENT_ID: &str = "parent_id";
    /// Whether the group is meant to hold others.
    pub const IS_GROUP: &str = "is_group";
    /// The name for people.
    pub const CUSTOMER_GROUP_NAME: &str = "customer_group_name";
    /// A reference into another system.
    pub const PARENT_CUSTOMER_GROUP: &str = "parent_customer_group";
    /// A reference into another system.
    pub const DEFAULT_PRICE_LIST: &str = "default_price_list";
    /// A reference into another system.
    pub const PAYMENT_TERMS: &str = "payment_terms";
    /// The fields that a create and an update can set.
    pub const MUTABLE: [&str; 6] =
        [PARENT_ID, IS_GROUP, CUSTOMER_GROUP_NAME, PARENT_CUSTOMER_GROUP, DEFAULT_PRICE_LIST, PAYMENT_TERMS];
    /// The fields that only the service sets. They are ignored in requests (AIP-203).
    pub const OUTPUT_ONLY: [&str; 3] = [ID, CREATED_AT, UPDATED_AT];
    /// The entries of a batch of new groups.
    pub const REQUESTS: &str = "requests";
    /// The new group in an entry of a batch.
    pub const CUSTOMER_GROUP: &str = "customer_group";
    /// The caller's own name for an entry of a batch.
    pub const REFERENCE: &str = "reference";
    /// The name of the entry whose group is the parent of another one's.
    pub const PARENT_REFERENCE: &str = "parent_reference";
    /// The ids of the groups that are asked for.
    pub const IDS: &str = "ids";
    /// The header, or the metadata, by which a create is repeated without being done twice.
    pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
    /// The page size of a list.
    pub const LIMIT: &str = "limit";
    /// The number of objects that a list skips.
    pub const OFFSET: &str = "offset";
    /// The object after which a page starts.
    pub const STARTING_AFTER: &str = "starting_after";
}

/// The ways in which a field can be wrong. The kind decides the reason that a caller's program sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViolationKind {
    /// The value is not one that the field can have.
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

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The documented name of the field or parameter.
    pub field: String,
    /// In which way it is wrong.
    pub kind: ViolationKind,
    /// For people: what is wrong, with which value, and what to do.
    pub description: String,
}

impl Violation {
    /// A violation of `field`, described for people.
    pub fn new(field: &str, kind: ViolationKind, description: impl Into<String>) -> Self {
        Self { field: field.to_owned(), kind, description: description.into() }
    }

    /// `starting_after` names no object of the list.
    #[must_use]
    pub fn not_in_list() -> Self {
        Self::new(
            field::STARTING_AFTER,
            ViolationKind::Invalid,
            "starting_after is not in the list (any more); give the id of an object that is, or start anew without",
        )
    }

    /// The same violation, of a field of the object that is another field.
    #[must_use]
    pub fn inside(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field), ..self }
    }

    /// The same violation, of a field of an entry of a batch, which the description names.
    #[must_use]
    pub fn in_entry(self, number: usize) -> Self {
        let entry = format!("{}[{number}]", field::REQUESTS);
        Self { description: format!("{entry}: {}", self.description), ..self.inside(&entry) }
    }

    /// `parent_id` names no customer group.
    #[must_use]
    pub fn parent_not_found(parent_id: &str) -> Self {
        let parent_id = excerpt(parent_id);
        Self::new(
            field::PARENT_ID,
            ViolationKind::ParentNotFound,
            format!("parent_id {parent_id} is no customer group; give the id of one, or none for a root"),
        )
    }

    /// `parent_id` would put a node under itself or under one of its descendants.
    #[must_use]
    pub fn parent_cycle(parent_id: &str) -> Self {
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

/// Everything that is wrong with one request: at least one violation, and one at most for each field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations {
    all: Vec<Violation>,
    listed: usize,
}

impl Violations {
    /// Takes what was found while parsing; `None` when nothing is wrong.
    #[must_use]
    pub fn of(found: Vec<Violation>) -> Option<Self> {
        if found.is_empty() { None } else { Some(Self { listed: found.len(), all: found }) }
    }

    /// The same, of which only as many are listed as a caller can be sent. The message says how many more there
    /// are.
    #[must_use]
    pub fn abridged(mut self) -> Self {
        let mut taken = 0;
        let fits = |violation: &&Violation| {
            taken += room::of_violation(&violation.field, &violation.description);
            taken <= room::MAX
        };
        self.listed = self.all.iter().take_while(fits).count().max(1);
        self
    }

    /// The same, with one more before the others.
    #[must_use]
    pub fn with_first(mut self, violation: Violation) -> Self {
        self.all.insert(0, violation);
        self.listed += 1;
        self
    }

    /// The same, and others after them.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.all.extend(others.all);
        self.listed += others.listed;
        self
    }

    /// The violations that are listed, in the documented order of the fields; what is wrong beside them comes
    /// last.
    #[must_use]
    pub fn as_slice(&self) -> &[Violation] {
        &self.all[..self.listed]
    }

    /// The violation, if there is only one.
    #[must_use]
    pub fn only(&self) -> Option<&Violation> {
        match self.all.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The kind that all violations share, or [`ViolationKind::Invalid`] when they differ.
    #[must_use]
    pub fn kind(&self) -> ViolationKind {
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

/// The beginning of a value, so that a message stays short whatever a caller sends.
pub(crate) fn cut(value: &str) -> &str {
    const MAX_BYTES: usize = 64;
    &value[..value.floor_char_boundary(MAX_BYTES)]
}

/// The value in quotes, escaped and cut.
pub(crate) fn excerpt(value: &str) -> String {
    let shown = cut(value);
    let more = if shown.len() < value.len() { "…" } else { "" };
    format!("{shown:?}{more}")
}
