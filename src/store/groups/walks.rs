//! Statements that walk the tree, up or down from the group `$4`. Their rows are those of [`super::pages`].

use std::sync::LazyLock;

use crate::domain::Field;
use crate::store::exec::Statement;
use crate::store::groups::rows::{columns, joined, statement};

pub(super) static ANCESTORS: LazyLock<Statement> = LazyLock::new(|| {
    statement("list ancestors", page_of_walk("join customer_group g on g.id = walk.parent_id"))
});

pub(super) static DESCENDANTS: LazyLock<Statement> =
    LazyLock::new(|| statement("list descendants", page_of_walk(&children("g.id, g.parent_id"))));

/// All descendants of `$1`, level by level. The total is the number of rows with a group, so it is known only after the
/// last row.
pub(super) static ALL_DESCENDANTS: LazyLock<Statement> = LazyLock::new(|| {
    let (group, children) = (columns("g"), children(&columns("g")));
    let fields = joined(Field::EDITABLE.into_iter().map(|field| field.name().to_owned()));
    let sql = format!(
        "with recursive walk as (
             select {group} from customer_group g where g.id = $1
             union all
             select {group} from walk {children}
         )
         select null::bigint, true, nullif(id, $1), updated_at, {fields}
         from walk"
    );
    statement("stream descendants", sql)
});

/// Step of a walk: from a group to its children, newest first. A recursive query returns rows in the order in which it
/// produces them, and visits them in the same order. Therefore the walk goes level by level.
fn children(columns: &str) -> String {
    format!(
        "cross join lateral (
             select {columns} from customer_group g where g.parent_id = walk.id order by g.id desc
         ) g"
    )
}

/// A page of the groups that a walk from `$4` reaches.
fn page_of_walk(next: &str) -> String {
    let group = columns("page");
    format!(
        "with recursive walk as (
             select g.id, g.parent_id from customer_group g where g.id = $4
             union all
             select g.id, g.parent_id from walk {next}
         ), numbered as materialized (
             select id, row_number() over () - 1 as number from walk
         ), whole as (
             select count(*) - 1 as total,
                    case when $1::uuid is null then 0
                         else (select number from numbered where id = $1 and number > 0) end as start
             from numbered
         )
         select total, start is not null, {group}
         from whole left join lateral (
             select number, g.* from numbered join customer_group g using (id)
             where number > start + $3 and ($2::bigint is null or number <= start + $3 + $2)
         ) page on true
         where total >= 0
         order by page.number"
    )
}
