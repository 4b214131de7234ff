//! The changes that an import makes. A dry run prints what a real run does.

use std::fmt;
use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::SoundImport;
use crate::domain::{Field, GivenFields, Within, excerpt, field};
use crate::store::errors::StartupError;
use crate::store::groups::insert;
use crate::store::groups::rows::{joined, named_columns, shown};

/// The numbers of changes. A group can be both changed and moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportPlan {
    /// New groups.
    pub created: i64,
    /// Groups with other values.
    pub changed: i64,
    /// Groups with another parent.
    pub moved: i64,
    /// Groups that the file lacks.
    pub deleted: i64,
    /// Groups that stay as they are.
    pub unchanged: i64,
}

impl fmt::Display for ImportPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, changed, moved, deleted, unchanged } = self;
        write!(
            f,
            "{created} created, {changed} changed, {moved} moved, {deleted} deleted, {unchanged} unchanged"
        )
    }
}

/// The valid lines, each with the parent and the changed fields of its group.
fn plan_sql() -> String {
    let parent_bit = GivenFields::bit(Field::ParentId);
    let changed = joined(Field::EDITABLE.into_iter().map(|field| {
        let (name, bit) = (field.name(), GivenFields::bit(field));
        format!("case when i.given & {bit} <> 0 and i.{name} is distinct from g.{name} then '{name}' end")
    }));
    format!(
        "create temporary table customer_group_import_plan on commit drop as
         select i.line, i.id, g.id is not null as is_stored,
                case when g.id is null or i.given & {parent_bit} <> 0 then i.parent_id else g.parent_id end as parent_id,
                case when g.id is null then '{{}}' else array_remove(array[{changed}], null) end as changed
         from customer_group_import i left join customer_group g using (id)
         where i.identity is not null;
         analyze customer_group_import_plan"
    )
}

/// The groups of the subtree that the file lacks, without its uppermost group.
fn deleted_sql(within: Option<Within>) -> String {
    let rows = match within {
        Some(Within { id, prune: true }) => format!(
            "select id from customer_group_import_scope s
             where id <> '{}' and not exists (select from customer_group_import i where i.id = s.id)",
            id.uuid()
        ),
        Some(Within { prune: false, .. }) | None => "select id from customer_group where false".to_owned(),
    };
    format!("create temporary table customer_group_import_deleted on commit drop as {rows}")
}

const COUNT: &str = "
    select count(*) filter (where not is_stored),
           count(*) filter (where array_remove(changed, 'parent_id') <> '{}'),
           count(*) filter (where 'parent_id' = any(changed)),
           (select count(*) from customer_group_import_deleted),
           count(*) filter (where is_stored and changed = '{}')
    from customer_group_import_plan";

const STEPS: &str = "
    select p.line, p.id, i.customer_group_name, p.is_stored, p.changed, p.parent_id
    from customer_group_import_plan p join customer_group_import i using (id)
    where not p.is_stored or p.changed <> '{}'
    order by p.line";

const DELETED: &str = "
    select id, customer_group_name from customer_group_import_deleted join customer_group using (id) order by id";

/// Plans the changes.
pub(super) async fn make(client: &Client, within: Option<Within>) -> Result<ImportPlan, StartupError> {
    client.batch_execute(&plan_sql()).await?;
    client.batch_execute(&deleted_sql(within)).await?;
    let row = client.query_one(COUNT, &[]).await?;
    Ok(ImportPlan {
        created: row.try_get(0)?,
        changed: row.try_get(1)?,
        moved: row.try_get(2)?,
        deleted: row.try_get(3)?,
        unchanged: row.try_get(4)?,
    })
}

/// The statements that store the plan. A parent may come after its children, because the foreign key is checked at the
/// end of a statement. No concurrent move can close a cycle with new groups, because it does not see them yet.
pub(super) fn statements(plan: &ImportPlan) -> Vec<String> {
    let columns = joined(named_columns().map(|(name, _)| format!("i.{name}")));
    let inserted = format!(
        "select {columns} from customer_group_import i join customer_group_import_plan p using (id)
         where not p.is_stored"
    );
    let fields = joined(Field::EDITABLE.into_iter().map(|field| {
        let name = field.name();
        format!("{name} = case when '{name}' = any(p.changed) then i.{name} else g.{name} end")
    }));
    let update = format!(
        "update customer_group g set
             updated_at = greatest(date_trunc('milliseconds', clock_timestamp()),
                                   g.updated_at + interval '1 millisecond'),
             {fields}
         from customer_group_import_plan p join customer_group_import i using (id)
         where g.id = p.id and p.is_stored and p.changed <> '{{}}'"
    );
    let delete = "delete from customer_group g using customer_group_import_deleted d where g.id = d.id";
    let all = [
        (plan.created, insert(&inserted)),
        (plan.changed + plan.moved, update),
        (plan.deleted, delete.to_owned()),
    ];
    all.into_iter().filter(|(count, _)| *count > 0).map(|(_, sql)| sql).collect()
}

impl SoundImport {
    /// Describes each change: those of the lines in their order, then the deletes.
    pub async fn steps(&self, mut show: impl FnMut(String)) -> Result<(), StartupError> {
        let mut rows = pin!(self.connection.query_raw(STEPS, [] as [&str; 0]).await?);
        while let Some(row) = rows.try_next().await? {
            show(describe(&row)?);
        }
        for row in self.connection.query(DELETED, &[]).await? {
            show(format!("delete {} {}", shown(row.try_get(0)?), excerpt(row.try_get(1)?)));
        }
        Ok(())
    }
}

fn describe(row: &Row) -> Result<String, StartupError> {
    let (line, id, name): (i64, Uuid, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (is_stored, changed, parent): (bool, Vec<&str>, Option<Uuid>) =
        (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
    let place = parent.map_or_else(|| "to the root".to_owned(), |parent| format!("below {}", shown(parent)));
    let name = excerpt(name);
    if !is_stored {
        let below = parent.map_or_else(String::new, |parent| format!(" below {}", shown(parent)));
        return Ok(format!("line {line}: create {name}{below}"));
    }
    let fields: Vec<&str> = changed.iter().copied().filter(|name| *name != field::PARENT_ID).collect();
    let mut parts = Vec::new();
    if !fields.is_empty() {
        parts.push(format!("change {}", fields.join(", ")));
    }
    if fields.len() < changed.len() {
        parts.push(format!("move {place}"));
    }
    Ok(format!("line {line}: {} {name}: {}", shown(id), parts.join("; ")))
}
