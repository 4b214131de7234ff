//! Checks of the lines of an import, against each other and against the stored groups.

use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::{Client, Error as PgError, Row};
use uuid::Uuid;

use crate::domain::{Report, Violation};
use crate::store::errors::StartupError;
use crate::store::groups::rows::shown;
use crate::store::maintenance::cycles::cycles_among;

/// Selects the first lines with a problem, each with its number and the columns that describe the problem, and the
/// number of all.
pub(super) fn first(columns: &str, problems: &str) -> String {
    format!(
        "with problem as ({problems})
         select count(*) over (), line, {columns} from problem order by line limit $1"
    )
}

const REPEATED: &str = "
    select line, id, first
    from (select line, id, min(line) over (partition by id) as first from customer_group_import) numbered
    where line > first";

const EXISTING: &str = "
    select i.line, i.id from customer_group_import i join customer_group g using (id)";

/// Parents that are named by their names are checked by [`super::names`].
const MISSING_PARENT: &str = "
    select i.line, i.parent_id from customer_group_import i
    where i.parent_id is not null and i.parent_name is null
      and not exists (select from customer_group_import p where p.id = i.parent_id)
      and not exists (select from customer_group p where p.id = i.parent_id)";

const INDEX: &str = "create index on customer_group_import (parent_id)";

/// The lines on cycles and below them, each with the line of its parent: no walk down from a line without a parent in the
/// file reaches them.
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

pub(super) async fn run(client: &Client, problems: &mut Report) -> Result<(), StartupError> {
    let repeated = |row: &Row| {
        let (id, first): (Uuid, i64) = (row.try_get(2)?, row.try_get(3)?);
        Ok(format!("id {} is also in line {first}; give each id once", shown(id)))
    };
    let existing = |row: &Row| {
        let id = shown(row.try_get(2)?);
        Ok(format!("id {id} exists already; leave the line out, or its id for a group beside that one"))
    };
    let missing = |row: &Row| Ok(Violation::parent_not_found(&shown(row.try_get(2)?)).description);
    let are_repeated = find(client, &first("id, first", REPEATED), repeated, problems).await?;
    find(client, &first("id", EXISTING), existing, problems).await?;
    find(client, &first("parent_id", MISSING_PARENT), missing, problems).await?;
    // With repeated ids, the number of walks can grow without bound.
    if are_repeated { Ok(()) } else { find_cycles(client, problems).await }
}

/// Adds the problems that a statement finds. Returns whether there is one.
pub(super) async fn find(
    client: &Client,
    sql: &str,
    describe: impl Fn(&Row) -> Result<String, PgError>,
    problems: &mut Report,
) -> Result<bool, StartupError> {
    let most = i64::try_from(problems.limit()).unwrap_or(i64::MAX);
    let rows = client.query(sql, &[&most]).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    let first = rows.iter().map(|row| {
        let line: i64 = row.try_get(1)?;
        Ok((line, format!("line {line}: {}", describe(row)?)))
    });
    problems.add_all(first.collect::<Result<_, PgError>>()?, count.unsigned_abs());
    Ok(count > 0)
}

/// Reports each cycle once, at its first line.
async fn find_cycles(client: &Client, problems: &mut Report) -> Result<(), StartupError> {
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
    let first = cycles.iter().take(problems.limit());
    let first = first.filter_map(|cycle| {
        let line = *cycle.first()?;
        Some((line, format!("line {line}: {}", describe_cycle(cycle))))
    });
    problems.add_all(first.collect(), cycles.len() as u64);
    Ok(())
}

fn describe_cycle(cycle: &[i64]) -> String {
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
