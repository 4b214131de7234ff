//! The columns of a customer group, in SQL and in rows. What the database holds is parsed like any other input.

use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql, Type};
use uuid::Uuid;

use crate::domain::{
    CustomerGroup, Field, GroupId, GroupList, Name, Page, Text, TextField, Texts, Timestamp, Violation, field,
};
use crate::error::Error;
use crate::store::exec::Statement;

/// The foreign key from a group to its parent.
pub(super) const PARENT_KEY: &str = "customer_group_parent_id_fkey";

/// The columns before those of the editable fields, which follow in their documented order.
const FIXED: [(&str, Type); 2] = [(field::ID, Type::UUID), (field::UPDATED_AT, Type::TIMESTAMPTZ)];

/// The number of columns of a group.
pub(in crate::store) const COLUMNS: usize = FIXED.len() + Field::EDITABLE.len();

/// The index of a field's column, counted from the id.
pub(in crate::store) const fn column(field: Field) -> usize {
    FIXED.len() + field.position()
}

pub(in crate::store) fn column_type(field: Field) -> Type {
    match field {
        Field::ParentId => Type::UUID,
        Field::IsGroup => Type::BOOL,
        Field::CustomerGroupName | Field::Text(_) => Type::TEXT,
    }
}

/// The names and types of all columns.
pub(in crate::store) fn named_columns() -> impl Iterator<Item = (&'static str, Type)> {
    FIXED.into_iter().chain(Field::EDITABLE.map(|field| (field.name(), column_type(field))))
}

/// The columns as a list in SQL: `g.id, g.updated_at, …`.
pub(in crate::store) fn columns(table: &str) -> String {
    joined(named_columns().map(|(name, _)| format!("{table}.{name}")))
}

/// The parameters of a statement for all columns, from a number on: `$4::uuid, $5::timestamptz, …`; with `[]` as
/// `suffix` those for arrays.
pub(super) fn parameters(first: usize, suffix: &str) -> String {
    let parameters = named_columns().zip(first..);
    joined(parameters.map(|((_, column_type), number)| format!("${number}::{column_type}{suffix}")))
}

pub(in crate::store) fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// Makes a statement from generated SQL, which is kept as long as the program runs.
pub(in crate::store) fn statement(name: &'static str, sql: String) -> Statement {
    Statement::new(name, sql.leak())
}

/// The values of a statement's parameters.
pub(in crate::store) type Value<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// Borrows values as a statement takes them.
pub(in crate::store) fn borrowed<'a>(
    values: &'a [Value<'_>],
) -> impl Iterator<Item = &'a (dyn ToSql + Sync)> {
    values.iter().map(|value| &**value as &(dyn ToSql + Sync))
}

/// The values of all columns of a group.
pub(in crate::store) fn values(group: &CustomerGroup) -> Result<Vec<Value<'_>>, Error> {
    let CustomerGroup { id, updated_at, parent_id, is_group, customer_group_name, texts } = group;
    let updated_at = SystemTime::try_from(*updated_at).map_err(Error::internal)?;
    let mut values: Vec<Value<'_>> = vec![Box::new(id.uuid()), Box::new(updated_at)];
    values.extend(Field::EDITABLE.map(|field| -> Value<'_> {
        match field {
            Field::ParentId => Box::new(parent_id.map(GroupId::uuid)),
            Field::IsGroup => Box::new(*is_group),
            Field::CustomerGroupName => Box::new(customer_group_name.as_str()),
            Field::Text(text) => Box::new(texts[text].as_ref().map(Text::as_str)),
        }
    }));
    Ok(values)
}

/// The values of all columns of several groups, an array for each column.
pub(super) fn arrays<'a>(groups: &[&'a CustomerGroup]) -> Result<Vec<Value<'a>>, Error> {
    fn array<'a, T: ToSql + Sync + Send + 'a>(
        groups: &[&'a CustomerGroup],
        value: impl Fn(&'a CustomerGroup) -> T,
    ) -> Value<'a> {
        Box::new(groups.iter().map(|group| value(group)).collect::<Vec<_>>())
    }
    let times: Result<Vec<_>, _> =
        groups.iter().map(|group| SystemTime::try_from(group.updated_at)).collect();
    let ids = array(groups, |group| group.id.uuid());
    let mut arrays: Vec<Value<'a>> = vec![ids, Box::new(times.map_err(Error::internal)?)];
    arrays.extend(Field::EDITABLE.map(|field| match field {
        Field::ParentId => array(groups, |group| group.parent_id.map(GroupId::uuid)),
        Field::IsGroup => array(groups, |group| group.is_group),
        Field::CustomerGroupName => array(groups, |group| group.customer_group_name.as_str()),
        Field::Text(text) => array(groups, move |group| group.texts[text].as_ref().map(Text::as_str)),
    }));
    Ok(arrays)
}

/// The index of the group in a row of a list.
pub(in crate::store) const GROUP_AFTER_TOTAL: usize = 2;

/// Reads a column.
pub(in crate::store) fn read<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Error> {
    row.try_get(column).map_err(Error::internal)
}

/// Reads a page from rows with one group more than its limit; `None` if the group of a tree list does not exist.
/// Each row leaves memory when its group is read.
pub(in crate::store) fn list(rows: Vec<Row>, page: Page) -> Result<Option<GroupList>, Error> {
    let Some(first) = rows.first() else { return Ok(None) };
    let total = total(first)?.ok_or_else(|| Error::internal("a page has no total"))?;
    let limit = page.limit.map_or(usize::MAX, |limit| limit as usize);
    let count = if has_group(first, GROUP_AFTER_TOTAL)? { rows.len() } else { 0 };
    let data = rows.into_iter().take(count.min(limit)).map(|row| group(&row, GROUP_AFTER_TOTAL));
    let data = data.collect::<Result<Vec<_>, _>>()?;
    let has_more = count > data.len();
    Ok(Some(GroupList { data, has_more, total: total.try_into().map_err(Error::internal)? }))
}

/// Reads the number of groups in the whole list from the first row; `None` if it is the number of rows. Fails if the
/// object to start after is not in the list.
pub(in crate::store) fn total(first: &Row) -> Result<Option<i64>, Error> {
    if read(first, 1)? { read(first, 0) } else { Err(Error::Invalid(Violation::not_in_list().into())) }
}

/// Whether the columns from `first` on hold a group.
pub(in crate::store) fn has_group(row: &Row, first: usize) -> Result<bool, Error> {
    Ok(read::<Option<Uuid>>(row, first)?.is_some())
}

/// Reads a group from the columns from `first` on.
pub(in crate::store) fn group(row: &Row, first: usize) -> Result<CustomerGroup, Error> {
    let at = |field| first + column(field);
    let name = Name::stored(field::CUSTOMER_GROUP_NAME, read(row, at(Field::CustomerGroupName))?);
    let mut texts = Texts::default();
    for field in TextField::ALL {
        let text = read::<Option<String>>(row, at(Field::Text(field)))?;
        texts[field] = text
            .map(|text| Text::stored(field.name(), text))
            .transpose()
            .map_err(|violation| corrupt(&violation))?;
    }
    Ok(CustomerGroup {
        id: group_id(read(row, first)?)?,
        updated_at: Timestamp::try_from(read::<SystemTime>(row, first + 1)?).map_err(Error::internal)?,
        parent_id: read::<Option<Uuid>>(row, at(Field::ParentId))?.map(group_id).transpose()?,
        is_group: read(row, at(Field::IsGroup))?,
        customer_group_name: name.map_err(|violation| corrupt(&violation))?,
        texts,
    })
}

/// Converts a stored id.
pub(in crate::store) fn group_id(uuid: Uuid) -> Result<GroupId, Error> {
    GroupId::from_uuid(uuid).ok_or_else(|| Error::internal(format!("the stored id {uuid} is not a UUIDv7")))
}

/// A stored id as callers know it; the UUID if it is not valid.
pub(in crate::store) fn shown(id: Uuid) -> String {
    GroupId::from_uuid(id).map_or_else(|| id.to_string(), |id| id.to_string())
}

fn corrupt(violation: &Violation) -> Error {
    Error::internal(format!("a stored group is invalid: {}", violation.description))
}
