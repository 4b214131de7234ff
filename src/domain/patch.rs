//! The changes of an update.

use super::text::missing;
use super::{
    Field, FieldInput, GroupId, GroupInput, Name, Text, TextField, Texts, Violation, Violations, field,
};

/// The effect of an update on a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// The field keeps its value.
    #[default]
    Keep,
    /// The field gets this value.
    Set(T),
}

impl<T> Change<T> {
    /// The new value, if the field changes.
    pub(crate) fn as_set(&self) -> Option<&T> {
        match self {
            Self::Keep => None,
            Self::Set(value) => Some(value),
        }
    }

    /// The new value; the type's default if the field does not change.
    pub(super) fn value(self) -> T
    where
        T: Default,
    {
        match self {
            Self::Keep => T::default(),
            Self::Set(value) => value,
        }
    }
}

/// The changes of an update. Whether the new parent exists is checked by the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupPatch {
    /// The new parent; `Set(None)` makes the group a root.
    pub parent_id: Change<Option<GroupId>>,
    /// The new value; null means false.
    pub is_group: Change<bool>,
    /// The new name.
    pub customer_group_name: Change<Name>,
    /// The new texts; `Set(None)` for null.
    pub texts: Texts<Change<Option<Text>>>,
}

impl GroupPatch {
    /// Checks the input of an update: an absent field keeps its value, null clears it. Reports every violation, in the
    /// documented order of the fields.
    pub fn parse(input: GroupInput) -> Result<Self, Violations> {
        let GroupInput { parent_id, is_group, customer_group_name, texts, violations } = input;
        let mut found = Vec::new();
        let patch = Self {
            parent_id: parent(parent_id, &mut found),
            is_group: match is_group {
                FieldInput::Absent => Change::Keep,
                FieldInput::Null => Change::Set(false),
                FieldInput::Value(is_group) => Change::Set(is_group),
            },
            customer_group_name: name(customer_group_name, &mut found),
            texts: texts.map(|field, value| text(field, value, &mut found)),
        };
        found.extend(violations);
        Violations::of(found).map_or(Ok(patch), Err)
    }

    /// Whether every field keeps its value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The fields that are set.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field> {
        let Self { parent_id, is_group, customer_group_name, texts } = self;
        Field::EDITABLE.into_iter().filter(move |field| match field {
            Field::ParentId => *parent_id != Change::Keep,
            Field::IsGroup => *is_group != Change::Keep,
            Field::CustomerGroupName => *customer_group_name != Change::Keep,
            Field::Text(text) => texts[*text] != Change::Keep,
        })
    }
}

// An invalid field is left at `Keep`. Nothing reads it, because parsing fails.

fn parent(value: FieldInput<String>, found: &mut Vec<Violation>) -> Change<Option<GroupId>> {
    match value {
        FieldInput::Absent => Change::Keep,
        FieldInput::Null => Change::Set(None),
        FieldInput::Value(text) => {
            let id = GroupId::parse(&text).ok_or_else(|| Violation::parent_not_found(&text));
            set(id.map(Some), found)
        }
    }
}

fn name(value: FieldInput<String>, found: &mut Vec<Violation>) -> Change<Name> {
    match value {
        FieldInput::Absent => Change::Keep,
        FieldInput::Null => set(Err(missing(field::CUSTOMER_GROUP_NAME)), found),
        FieldInput::Value(text) => set(Name::parse(field::CUSTOMER_GROUP_NAME, &text), found),
    }
}

fn text(field: TextField, value: FieldInput<String>, found: &mut Vec<Violation>) -> Change<Option<Text>> {
    match value {
        FieldInput::Absent => Change::Keep,
        FieldInput::Null => Change::Set(None),
        FieldInput::Value(text) => set(Text::parse(field.name(), text).map(Some), found),
    }
}

fn set<T>(parsed: Result<T, Violation>, found: &mut Vec<Violation>) -> Change<T> {
    match parsed {
        Ok(value) => Change::Set(value),
        Err(violation) => {
            found.push(violation);
            Change::Keep
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_clears_and_absent_keeps() {
        let mut input =
            GroupInput { parent_id: FieldInput::Null, is_group: FieldInput::Null, ..GroupInput::default() };
        input.texts[TextField::PaymentTerms] = FieldInput::Null;
        let patch = GroupPatch::parse(input).unwrap();
        assert_eq!(patch.parent_id, Change::Set(None));
        assert_eq!(patch.is_group, Change::Set(false));
        assert_eq!(patch.texts[TextField::PaymentTerms], Change::Set(None));
        assert_eq!(patch.texts[TextField::DefaultPriceList], Change::Keep);
        let fields: Vec<_> = patch.fields().map(Field::name).collect();
        assert_eq!(fields, ["parent_id", "is_group", "payment_terms"]);
        assert!(GroupPatch::parse(GroupInput::default()).unwrap().is_empty());
    }

    #[test]
    fn a_null_name_is_invalid() {
        let input = GroupInput { customer_group_name: FieldInput::Null, ..GroupInput::default() };
        let violations = GroupPatch::parse(input).unwrap_err();
        assert_eq!(violations.only().unwrap().field, "customer_group_name");
    }
}
