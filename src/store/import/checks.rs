//! What is wrong among the lines of an import, and between them and the groups that there are.

use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::{Client, Error as PgError, Row};
use uuid::Uuid;

use crate::domain::{ImportProblems, Violation};
use crate::store::OpenError;
use crate::store::cycles::cycles_among;
use crate::store::rows::shown;

/// Answers the first lines with a problem, each with its number and whatever tells the problem, and how many there are.
macro_rules! first {
    ($columns:literal, $problems:expr) => {
        concat!(
            "with problem as (",
            $problems,
            ") select count(*) over (), line, ",
            $columns,
            " from problem order by line limit $1"
        )
    };
}
pub(super) use first;

const REPEATED: &str = first!(
    "id, first",
    "select line, id, first
     from (select line, id, min(line) over (partition by id) as first from customer_group_import) numbered
     where line > first"
);

const EXISTING: &str =
    first!("id", "select i.line, i.id from customer_group_import i join customer_group g using (id)");

/// What was found of names is told by [`super::names`].
const MISSING_PARENT: &str = first!(
    "parent_id",
    "select i.line, i.parent_id from customer_group_import i
     where i.parent_id is not null and i.parent_name is null
       and not exists (select from customer_group_import p where p.id = i.parent_id)
       and not exists (select from customer_group p where p.id = i.parent_id)"
);

const INDEX: &str = "create index on customer_group_import (parent_id)";

/// The lines that no walk down from one reaches whose parent is not in the file, each with that of its parent.
const UNREACHED: &str = "
    with recursive reached as (
        select i.id from customer_group_import i
        where not exists (select from customer_group_import p where p.id = i.parent_id)
        union all
        select i.id from reached join customer_group_import i on i.parent_id = reached.id
    )
    select i.line, p.line
    from customer_group_import i join customer_group_import p on p.id = i.parent_id
    where not exists (select from reached where reached.id = i.id)";

pub(super) async fn run(client: &Client, problems: &mut ImportProblems) -> Result<(), OpenError> {
    let repeated = |row: &Row| {
        let (id, first): (Uuid, i64) = (row.try_get(2)?, row.try_get(3)?);
        Ok(format!("id {} is in line {first}, too; an id is given once", shown(id)))
    };
    let existing = |row: &Row| {
        let id = shown(row.try_get(2)?);
        Ok(format!("id {id} exists already; leave the line out, or its id for a group beside that one"))
    };
    let missing = |row: &Row| Ok(Violation::parent_not_found(&shown(row.try_get(2)?)).description);
    let are_repeated = find(client, REPEATED, repeated, problems).await?;
    find(client, EXISTING, existing, problems).await?;
    find(client, MISSING_PARENT, missing, problems).await?;
    // Below groups that are given twice, there are walks without number.
    if are_repeated { Ok(()) } else { find_cycles(client, problems).await }
}

/// Adds the problems that a statement finds. Answers whether there is one.
pub(super) async fn find(
    client: &Client,
    sql: &str,
    tell: impl Fn(&Row) -> Result<String, PgError>,
    problems: &mut ImportProblems,
) -> Result<bool, OpenError> {
    let most = i64::try_from(ImportProblems::TOLD).unwrap_or(i64::MAX);
    let rows = client.query(sql, &[&most]).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    let first = rows.iter().map(|row| Ok((row.try_get(1)?, tell(row)?)));
    problems.add_all(first.collect::<Result<_, PgError>>()?, count.unsigned_abs());
    Ok(count > 0)
}

/// Finds each cycle once, in its first line.
async fn find_cycles(client: &Client, problems: &mut ImportProblems) -> Result<(), OpenError> {
    client.batch_execute(INDEX).await?;
    let mut rows = pin!(client.query_raw(UNREACHED, [] as [&str; 0]).await?);
    let mut parents: BTreeMap<i64, i64> = BTreeMap::new();
    while let Some(row) = rows.try_next().await? {
        parents.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let mut cycles = cycles_among(&parents);
    for cycle in &mut cycles {
        let first = cycle.iter().enumerate().min_by_key(|(_, line)| **line).map_or(0, |(index, _)| index);
        cycle.rotate_left(first);
    }
    cycles.sort();
    let first = cycles.iter().take(ImportProblems::TOLD);
    let first = first.filter_map(|cycle| Some((*cycle.first()?, tell_cycle(cycle)))).collect();
    problems.add_all(first, cycles.len() as u64);
    Ok(())
}

fn tell_cycle(cycle: &[i64]) -> String {
    const NAMED: usize = 10;
    let lines: Vec<String> = cycle.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if cycle.len() > NAMED { ", …" } else { "" };
    let lines = lines.join(", ");
    let remedy = "give one of them another parent, or none";
    match cycle.len() {
        1 => format!("the group is its own parent; {remedy}"),
        count => format!(
            "the groups in lines {lines}{more} are each below the next, {count} in all, and the last below the first; \
             {remedy}"
        ),
    }
}
