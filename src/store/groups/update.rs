//! Updates and moves of groups.

use std::sync::LazyLock;

use tokio_postgres::Row;

use crate::domain::{
    CustomerGroup, Digest, Field, GroupId, GroupPatch, Name, Preconditions, Text, Violation,
};
use crate::error::Error;
use crate::store::Store;
use crate::store::errors::StoreError;
use crate::store::exec::{Statement, Values, query, write, write_under_lock};
use crate::store::groups::delete::{VersionFilter, not_matched};
use crate::store::groups::rows::{
    PARENT_KEY, Value, borrowed, column_type, columns, group, has_group, joined, read, statement,
};

/// The advisory lock that serialises moves: `cg_move` in ASCII.
pub(in crate::store) const MOVE_LOCK: i64 = 0x63_67_5f_6d_6f_76_65;

/// Finds out whether a child exists, and why another group cannot be its parent.
fn parent_check(child: &str, parent: &str) -> String {
    format!(
        "with recursive ancestor as (
             select id, parent_id from customer_group where id = {parent}::uuid
             union all
             select g.id, g.parent_id from ancestor join customer_group g on g.id = ancestor.parent_id
         ), parent_check as (
             select exists (select from customer_group where id = {child}::uuid) as child_exists,
                    {parent}::uuid is not null and not exists (select from ancestor) as parent_missing,
                    exists (select from ancestor where id = {child}::uuid) as cycle
         )"
    )
}

static CHECK_PARENT: LazyLock<Statement> = LazyLock::new(|| {
    let parent_check = parent_check("$1", "$2");
    let sql = format!("{parent_check} select child_exists, parent_missing, cycle from parent_check");
    statement("check parent", sql)
});

/// The number of the first parameter of [`UPDATE`] with the value of a field.
const FIRST_VALUE: usize = 6;

/// Updates the fields `$2` of the group `$1` if its version is one of `$3` and none of `$4`, and with `$5` only if its
/// parent stays the same. The other parameters are the values of all editable fields. Returns one row, with a group in it
/// if one was updated. Updates within one millisecond still differ in `updated_at`.
static UPDATE: LazyLock<Statement> = LazyLock::new(|| {
    let parent_check = parent_check("$1", &parameter(Field::ParentId));
    let fields = joined(Field::EDITABLE.into_iter().map(|field| {
        let (name, value, column_type) = (field.name(), parameter(field), column_type(field));
        format!("{name} = case when '{name}' = any($2::text[]) then {value}::{column_type} else g.{name} end")
    }));
    let (group, updated, parent) = (columns("g"), columns("updated"), parameter(Field::ParentId));
    let sql = format!(
        "{parent_check}, updated as (
             update customer_group g set
                 updated_at = greatest(date_trunc('milliseconds', clock_timestamp()),
                                       g.updated_at + interval '1 millisecond'),
                 {fields}
             from parent_check
             where g.id = $1 and not parent_missing and not cycle
               and ($3::timestamptz[] is null or g.updated_at = any($3)) and g.updated_at <> all($4::timestamptz[])
               and (not $5::boolean or g.parent_id is not distinct from {parent}::uuid)
             returning {group}
         )
         select child_exists, parent_missing, cycle, {updated}
         from parent_check left join updated on true"
    );
    statement("update group", sql)
});

fn parameter(field: Field) -> String {
    format!("${}", FIRST_VALUE + field.position())
}

/// The index of the group in a row of [`UPDATE`].
const GROUP_AFTER_CHECK: usize = 3;

/// The check of a parent that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentCheck {
    /// Whether the group that is to get the parent exists.
    pub child_exists: bool,
    /// The reason why the parent is not allowed.
    pub violation: Option<Violation>,
}

impl Store {
    /// Updates a group. Moves below another group are serialised, so that no two of them together close a cycle.
    pub(crate) async fn update(
        &self,
        id: GroupId,
        patch: &GroupPatch,
        preconditions: &Preconditions,
        caller: Digest,
    ) -> Result<CustomerGroup, Error> {
        let parent = patch.parent_id.as_set().copied().flatten();
        let (uuid, VersionFilter { allowed, excluded }) = (id.uuid(), VersionFilter::of(preconditions)?);
        let fields: Vec<&str> = patch.fields().map(Field::name).collect();
        let new_values = new_values(patch);
        let new_values: Vec<_> = borrowed(&new_values).collect();
        let values = |is_in_place: &'static bool| {
            let fixed: &Values<'_> = &[&uuid, &fields, &allowed, &excluded, is_in_place];
            [fixed, &new_values].concat()
        };

        // Most changes that name a parent name the one that the group has: they are no moves, and need no lock.
        let in_place = {
            let _turn = self.reader.shares.call(caller).await?;
            write(&self.pool, *UPDATE, &values(if parent.is_some() { &true } else { &false })).await
        };
        let mut rows = in_place.map_err(|failure| parent_not_found(failure, parent))?;
        let is_updated =
            |rows: &[Row]| rows.first().map_or(Ok(false), |row| has_group(row, GROUP_AFTER_CHECK));
        if parent.is_some() && !is_updated(&rows)? {
            let _turn = self.reader.shares.move_below(caller).await?;
            let moved = write_under_lock(&self.pool, MOVE_LOCK, *UPDATE, &values(&false)).await;
            rows = moved.map_err(|failure| parent_not_found(failure, parent))?;
        }
        let row = rows.first().ok_or_else(|| Error::internal("an update returned no row"))?;

        let check = read_check(row, parent)?;
        match check.violation {
            Some(violation) if check.child_exists => Err(Error::Invalid(violation.into())),
            None if has_group(row, GROUP_AFTER_CHECK)? => group(row, GROUP_AFTER_CHECK),
            Some(_) | None => Err(not_matched(id, check.child_exists, preconditions)),
        }
    }

    /// Checks whether a group exists, and whether another may be its parent.
    pub(crate) async fn check_parent(
        &self,
        child: Option<GroupId>,
        parent: Option<GroupId>,
        caller: Digest,
    ) -> Result<ParentCheck, Error> {
        let _turn = self.reader.shares.call(caller).await?;
        let values: &Values<'_> = &[&child.map(GroupId::uuid), &parent.map(GroupId::uuid)];
        let rows = query(&self.pool, *CHECK_PARENT, values).await?;
        let row = rows.first().ok_or_else(|| Error::internal("a check of a parent returned no row"))?;
        read_check(row, parent)
    }
}

/// The value of each editable field; null for a field that is not set.
fn new_values(patch: &GroupPatch) -> [Value<'_>; Field::EDITABLE.len()] {
    let GroupPatch { parent_id, is_group, customer_group_name, texts } = patch;
    Field::EDITABLE.map(|field| -> Value<'_> {
        match field {
            Field::ParentId => Box::new(parent_id.as_set().copied().flatten().map(GroupId::uuid)),
            Field::IsGroup => Box::new(is_group.as_set().copied()),
            Field::CustomerGroupName => Box::new(customer_group_name.as_set().map(Name::as_str)),
            Field::Text(text) => Box::new(texts[text].as_set().and_then(Option::as_ref).map(Text::as_str)),
        }
    })
}

/// Maps a violated foreign key to the violation of `parent_id`.
pub(super) fn parent_not_found(failure: StoreError, parent: Option<GroupId>) -> Error {
    match parent {
        Some(parent) if failure.violates_foreign_key(PARENT_KEY) => {
            Error::Invalid(Violation::parent_not_found(&parent.to_string()).into())
        }
        Some(_) | None => failure.into(),
    }
}

fn read_check(row: &Row, parent: Option<GroupId>) -> Result<ParentCheck, Error> {
    let (child_exists, parent_missing, cycle) = (read(row, 0)?, read(row, 1)?, read(row, 2)?);
    let violation = parent.and_then(|parent| match (parent_missing, cycle) {
        (true, _) => Some(Violation::parent_not_found(&parent.to_string())),
        (false, true) => Some(Violation::parent_cycle(&parent.to_string())),
        (false, false) => None,
    });
    Ok(ParentCheck { child_exists, violation })
}
