//! Checks of the lines of an import, against each other and against the stored groups.

use std::collections::HashMap;
use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::{Client, Error as PgError, Row};
use uuid::Uuid;

use super::plan::ImportPlan;
use crate::domain::{ImportMode, Report, Violation};
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
    from (
        select line, id, row_number() over same as number, first_value(line) over same as first
        from customer_group_import window same as (partition by id order by line)
    ) numbered
    where number > 1";

const EXISTING: &str = "
    select line, id from customer_group_import_plan where is_stored";

/// Parents that are named by their names are checked by [`super::names`].
const MISSING_PARENT: &str = "
    select i.line, i.parent_id from customer_group_import i
    where i.parent_id is not null and i.parent_name is null
      and not exists (select from customer_group_import p where p.id = i.parent_id)
      and not exists (select from customer_group p where p.id = i.parent_id)";

/// The groups of the file with their parents.
const EDGES: &str = "
    select id, parent_id from customer_group_import_plan where parent_id is not null";

/// The other groups with theirs. Only moves can close a cycle through them.
const STORED_EDGES: &str = "
    union all
    select id, parent_id from customer_group g
    where parent_id is not null and not exists (select from customer_group_import_plan p where p.id = g.id)";

pub(super) async fn run(
    client: &Client,
    mode: ImportMode,
    plan: &ImportPlan,
    problems: &mut Report,
) -> Result<(), StartupError> {
    let repeated = |row: &Row| {
        let (id, first): (Uuid, i64) = (row.try_get(2)?, row.try_get(3)?);
        Ok(format!("id {} is also in line {first}; give each id once", shown(id)))
    };
    let existing = |row: &Row| {
        let id = shown(row.try_get(2)?);
        Ok(format!(
            "id {id} exists already; leave the line out, or its id for a group beside that one, or update it with --update"
        ))
    };
    let missing = |row: &Row| Ok(Violation::parent_not_found(&shown(row.try_get(2)?)).description);
    let are_repeated = find(client, &first("id, first", REPEATED), repeated, problems).await?;
    match mode {
        ImportMode::Create => find(client, &first("id", EXISTING), existing, problems).await.map(drop)?,
        ImportMode::Update(_) => {}
    }
    find(client, &first("parent_id", MISSING_PARENT), missing, problems).await?;
    // With repeated ids, a line can have several parents.
    if are_repeated { Ok(()) } else { find_cycles(client, plan.moved > 0, problems).await }
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
async fn find_cycles(client: &Client, are_moved: bool, problems: &mut Report) -> Result<(), StartupError> {
    let sql = if are_moved { [EDGES, STORED_EDGES].concat() } else { EDGES.to_owned() };
    let mut rows = pin!(client.query_raw(&sql, [] as [&str; 0]).await?);
    let mut edges: Vec<(Uuid, Uuid)> = Vec::new();
    while let Some(row) = rows.try_next().await? {
        edges.push((row.try_get(0)?, row.try_get(1)?));
    }
    let mut found = Vec::new();
    for cycle in cycles_among(edges) {
        found.extend(locate(client, &cycle).await?);
    }
    found.sort();
    let count = found.len() as u64;
    found.truncate(problems.limit());
    problems.add_all(found, count);
    Ok(())
}

/// The first line of a cycle with its problem; `None` for a cycle that was there before.
async fn locate(client: &Client, cycle: &[Uuid]) -> Result<Option<(i64, String)>, StartupError> {
    let sql = "select id, line, parent_id from customer_group_import_plan where id = any($1)";
    let mut lines: HashMap<Uuid, (i64, Uuid)> = HashMap::new();
    for row in client.query(sql, &[&cycle]).await? {
        lines.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
    }
    let Some((first, parent)) = lines.values().min().copied() else { return Ok(None) };
    let mut in_file: Vec<i64> = cycle.iter().filter_map(|id| lines.get(id)).map(|(line, _)| *line).collect();
    let problem = if in_file.len() == cycle.len() {
        let start = in_file.iter().position(|line| *line == first).unwrap_or(0);
        in_file.rotate_left(start);
        describe_cycle(&in_file)
    } else {
        Violation::parent_cycle(&shown(parent)).description
    };
    Ok(Some((first, format!("line {first}: {problem}"))))
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
