//! The fields of a customer group: the one list that rows, inputs, files, fingerprints and descriptions follow.
//!
//! A new optional text is one more entry of [`text_fields!`], a column, and a field of the proto's message.

use std::ops::{Index, IndexMut};

/// The names of fields and parameters that code refers to one by one.
pub mod field {
    /// Output only.
    pub const ID: &str = "id";
    /// Output only: the time inside the id.
    pub const CREATED_AT: &str = "created_at";
    /// Output only.
    pub const UPDATED_AT: &str = "updated_at";
    /// The fields that only the service sets. Requests may contain them; they are ignored (AIP-203).
    pub const OUTPUT_ONLY: [&str; 3] = [ID, CREATED_AT, UPDATED_AT];
    /// The id of the parent group.
    pub const PARENT_ID: &str = "parent_id";
    /// Whether the group is meant to hold others.
    pub const IS_GROUP: &str = "is_group";
    /// The display name.
    pub const CUSTOMER_GROUP_NAME: &str = "customer_group_name";

    /// The entries of a batch of new groups.
    pub const REQUESTS: &str = "requests";
    /// The new group in an entry of a batch.
    pub const CUSTOMER_GROUP: &str = "customer_group";
    /// The caller's own name for an entry of a batch.
    pub const REFERENCE: &str = "reference";
    /// The reference of the entry whose group becomes the parent.
    pub const PARENT_REFERENCE: &str = "parent_reference";
    /// The ids of a batch read.
    pub const IDS: &str = "ids";
    /// The header or metadata that makes a create safe to repeat.
    pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
    /// The page size of a list.
    pub const LIMIT: &str = "limit";
    /// The number of objects that a list skips.
    pub const OFFSET: &str = "offset";
    /// The object after which a page starts.
    pub const STARTING_AFTER: &str = "starting_after";
}

/// Defines the optional text fields, in their documented order.
macro_rules! text_fields {
    ($($field:ident: $name:literal, $description:literal;)+) => {
        /// An optional text: a reference into another system, kept as given.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is described by `description`")]
        pub enum TextField {
            $($field),+
        }

        impl TextField {
            /// All of them, in the documented order.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$field),+];

            /// The documented name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$field => $name),+
                }
            }

            /// The documented meaning.
            pub(crate) fn description(self) -> &'static str {
                match self {
                    $(Self::$field => $description),+
                }
            }
        }

        impl Field {
            /// The fields that a create and an update can set, in the documented order.
            pub const EDITABLE: [Self; Self::BEFORE_TEXTS + TextField::ALL.len()] = [
                Self::ParentId,
                Self::IsGroup,
                Self::CustomerGroupName,
                $(Self::Text(TextField::$field)),+
            ];
        }
    };
}

text_fields! {
    ParentCustomerGroup: "parent_customer_group",
        "A reference into another system. It never moves a group: `parent_id` does.";
    DefaultPriceList: "default_price_list",
        "The price list of its customers: a reference into another system.";
    PaymentTerms: "payment_terms",
        "The payment terms of its customers: a reference into another system.";
}

/// A field that a create and an update can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The group above; null for a root.
    ParentId,
    /// Whether the group is meant to hold others; false by default.
    IsGroup,
    /// The display name; required.
    CustomerGroupName,
    /// An optional text of up to [`Text::MAX_CHARACTERS`](super::Text::MAX_CHARACTERS) characters.
    Text(TextField),
}

impl Field {
    const BEFORE_TEXTS: usize = 3;

    /// The documented name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ParentId => field::PARENT_ID,
            Self::IsGroup => field::IS_GROUP,
            Self::CustomerGroupName => field::CUSTOMER_GROUP_NAME,
            Self::Text(text) => text.name(),
        }
    }

    /// The place in [`Field::EDITABLE`].
    pub(crate) const fn position(self) -> usize {
        match self {
            Self::ParentId => 0,
            Self::IsGroup => 1,
            Self::CustomerGroupName => 2,
            Self::Text(text) => Self::BEFORE_TEXTS + text as usize,
        }
    }
}

/// One value for each optional text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts<T>([T; TextField::ALL.len()]);

impl<T> Texts<T> {
    /// Takes the value of each field from a function.
    pub fn from_fn(value: impl FnMut(TextField) -> T) -> Self {
        Self(TextField::ALL.map(value))
    }

    /// Applies a function to each value.
    pub fn map<U>(self, mut replace: impl FnMut(TextField, T) -> U) -> Texts<U> {
        let mut fields = TextField::ALL.into_iter();
        // There are as many fields as values.
        Texts(self.0.map(|value| replace(fields.next().unwrap_or(TextField::ALL[0]), value)))
    }
}

impl<T> Index<TextField> for Texts<T> {
    type Output = T;

    fn index(&self, field: TextField) -> &T {
        &self.0[field as usize]
    }
}

impl<T> IndexMut<TextField> for Texts<T> {
    fn index_mut(&mut self, field: TextField) -> &mut T {
        &mut self.0[field as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_values_follow_the_list() {
        for (position, field) in Field::EDITABLE.into_iter().enumerate() {
            assert_eq!(field.position(), position);
        }
        let names = Texts::from_fn(TextField::name).map(|field, name| (field, name));
        for field in TextField::ALL {
            assert_eq!(names[field], (field, field.name()));
        }
    }
}
