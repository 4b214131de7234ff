//! The columns of the files that the service writes. An NDJSON object has them as fields.

use crate::domain::{Field, field};

/// A column, by the part of a group in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The id.
    Id,
    /// The creation time.
    CreatedAt,
    /// The time of the last update.
    UpdatedAt,
    /// A field.
    Field(Field),
}

/// All columns with their names, in the documented order.
pub(super) fn own_columns() -> impl Iterator<Item = (&'static str, Column)> {
    let fixed = [Column::Id, Column::CreatedAt, Column::UpdatedAt];
    fixed.into_iter().chain(Field::EDITABLE.map(Column::Field)).map(|column| (column.name(), column))
}

/// The names of all columns, separated by commas.
pub(crate) fn column_names() -> String {
    own_columns().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}

impl Column {
    /// All columns, in the documented order.
    #[must_use]
    pub fn all() -> Vec<Self> {
        own_columns().map(|(_, column)| column).collect()
    }

    /// The documented name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => field::ID,
            Self::CreatedAt => field::CREATED_AT,
            Self::UpdatedAt => field::UPDATED_AT,
            Self::Field(field) => field.name(),
        }
    }

    /// Finds a column by its name.
    pub fn parse(name: &str) -> Result<Self, String> {
        let found = own_columns().find(|(known, _)| *known == name).map(|(_, column)| column);
        found.ok_or_else(|| format!("it is not a field; the fields are {}", column_names()))
    }
}
