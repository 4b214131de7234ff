//! The editable fields as a caller sent them: well-formed, not yet checked.

use super::{GroupId, Texts, Violation};

/// A field of a request: absent, null or a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FieldInput<T> {
    /// The request does not contain the field.
    #[default]
    Absent,
    /// The field is null.
    Null,
    /// The field has a value.
    Value(T),
}

impl<T> FieldInput<T> {
    /// The value, if there is one.
    #[must_use]
    pub fn value(self) -> Option<T> {
        match self {
            Self::Absent | Self::Null => None,
            Self::Value(value) => Some(value),
        }
    }
}

/// The body of a create or an update.
#[derive(Debug, Clone, Default)]
pub struct GroupInput {
    /// The id of the parent, as text.
    pub parent_id: FieldInput<String>,
    /// Whether the group is meant to hold other groups.
    pub is_group: FieldInput<bool>,
    /// The name, with the white space around it.
    pub customer_group_name: FieldInput<String>,
    /// The optional texts.
    pub texts: Texts<FieldInput<String>>,
    /// Violations found while reading, such as unknown fields.
    pub violations: Vec<Violation>,
}

impl GroupInput {
    /// The parent, if its text is an id.
    #[must_use]
    pub fn parent(&self) -> Option<GroupId> {
        match &self.parent_id {
            FieldInput::Absent | FieldInput::Null => None,
            FieldInput::Value(text) => GroupId::parse(text),
        }
    }

    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Self { customer_group_name: FieldInput::Value(name.to_owned()), ..Self::default() }
    }
}
