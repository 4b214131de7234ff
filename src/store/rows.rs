//! Rows to values. What the database holds is parsed like anything else: what is no value is a fault of ours.

use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::domain::{CustomerGroup, GroupId, List, Name, Page, Text, Timestamp, Violation, field};
use crate::error::Error;

/// The columns of a group, of the table with that name, in the order in which [`group`] reads them.
macro_rules! columns {
    ($table:literal) => {
        concat!(
            $table,
            ".id, ",
            $table,
            ".updated_at, ",
            $table,
            ".parent_id, ",
            $table,
            ".is_group, ",
            $table,
            ".customer_group_name, ",
            $table,
            ".parent_customer_group, ",
            $table,
            ".default_price_list, ",
            $table,
            ".payment_terms"
        )
    };
}
pub(super) use columns;

/// Where the group begins in a row of a list.
pub(super) const GROUP_AFTER_TOTAL: usize = 2;

/// Reads a column.
pub(super) fn read<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Error> {
    row.try_get(column).map_err(Error::internal)
}

/// Reads a page, of which one group more was asked for than it has; `None` when the group that it belongs to does
/// not exist.
pub(super) fn list(rows: &[Row], page: Page) -> Result<Option<List>, Error> {
    let Some(first) = rows.first() else { return Ok(None) };
    let total = total(first)?.ok_or_else(|| Error::internal("a page has no total"))?;
    let limit = page.limit.map_or(usize::MAX, |limit| limit as usize);
    let groups = if has_group(first, GROUP_AFTER_TOTAL)? { rows } else { &[] };
    let data = groups.iter().take(limit).map(|row| group(row, GROUP_AFTER_TOTAL));
    let data = data.collect::<Result<Vec<_>, _>>()?;
    let has_more = groups.len() > data.len();
    Ok(Some(List { data, has_more, total: total.try_into().map_err(Error::internal)? }))
}

/// Reads the number of groups in the whole list from the first row; `None` when it is that of the groups that
/// come. The place to start after may not be in the list.
pub(super) fn total(first: &Row) -> Result<Option<i64>, Error> {
    if read(first, 1)? { read(first, 0) } else { Err(Error::Invalid(Violation::not_in_list().into())) }
}

/// Whether there is a group in the columns from `first` on.
pub(super) fn has_group(row: &Row, first: usize) -> Result<bool, Error> {
    Ok(read::<Option<Uuid>>(row, first)?.is_some())
}

/// Reads a group from the columns from `first` on.
pub(super) fn group(row: &Row, first: usize) -> Result<CustomerGroup, Error> {
    let text = |column, field| -> Result<Option<Text>, Error> {
        let text = read::<Option<String>>(row, column)?.map(|text| Text::parse(field, text));
        text.transpose().map_err(|violation| corrupt(&violation))
    };
    let name = Name::parse(field::CUSTOMER_GROUP_NAME, read(row, first + 4)?);
    Ok(CustomerGroup {
        id: group_id(read(row, first)?)?,
        updated_at: Timestamp::try_from(read::<SystemTime>(row, first + 1)?).map_err(Error::internal)?,
        parent_id: read::<Option<Uuid>>(row, first + 2)?.map(group_id).transpose()?,
        is_group: read(row, first + 3)?,
        customer_group_name: name.map_err(|violation| corrupt(&violation))?,
        parent_customer_group: text(first + 5, field::PARENT_CUSTOMER_GROUP)?,
        default_price_list: text(first + 6, field::DEFAULT_PRICE_LIST)?,
        payment_terms: text(first + 7, field::PAYMENT_TERMS)?,
    })
}

/// Reads the id of a group.
pub(super) fn group_id(uuid: Uuid) -> Result<GroupId, Error> {
    GroupId::from_uuid(uuid).ok_or_else(|| Error::internal(format!("the stored id {uuid} is no UUIDv7")))
}

/// A stored id as callers know it, or as it is when none could have it.
pub(super) fn shown(id: Uuid) -> String {
    GroupId::from_uuid(id).map_or_else(|| id.to_string(), |id| id.to_string())
}

fn corrupt(violation: &Violation) -> Error {
    Error::internal(format!("a stored group is invalid: {}", violation.description))
}
