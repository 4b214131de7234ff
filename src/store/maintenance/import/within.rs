//! The subtree to which an update is limited.

use tokio_postgres::{Client, Row};

use super::checks::{find as find_problems, first};
use crate::domain::{Report, Within};
use crate::store::errors::StartupError;
use crate::store::groups::rows::shown;

/// Finds the groups of the subtree.
pub(super) async fn find(
    client: &Client,
    Within { id, .. }: Within,
    problems: &mut Report,
) -> Result<(), StartupError> {
    // A statement that creates a table has no parameters.
    let sql = format!(
        "create temporary table customer_group_import_scope on commit drop as
         with recursive scope as (
             select id from customer_group where id = '{}'
             union
             select g.id from scope join customer_group g on g.parent_id = scope.id
         )
         select id from scope;
         analyze customer_group_import_scope",
        id.uuid()
    );
    client.batch_execute(&sql).await?;
    let found = client.query("select from customer_group_import_scope limit 1", &[]).await?;
    if found.is_empty() {
        problems.add_all(
            vec![(0, format!("there is no customer group {id}; give the id of one to --within"))],
            1,
        );
    }
    Ok(())
}

/// Stored groups of the file that are not in the subtree, and groups that would not be in it. A new group may be below
/// another new one.
fn outside_sql(Within { id, .. }: Within) -> String {
    let id = id.uuid();
    format!(
        "select line, id from customer_group_import_plan p
         where case
             when id = '{id}' then 'parent_id' = any(changed)
             else is_stored and not exists (select from customer_group_import_scope s where s.id = p.id)
                  or not exists (select from customer_group_import_scope s where s.id = p.parent_id)
                     and not exists (select from customer_group_import_plan n where n.id = p.parent_id and not n.is_stored)
         end"
    )
}

const BELOW_DELETED: &str = "
    select p.line, p.parent_id from customer_group_import_plan p
    join customer_group_import_deleted d on d.id = p.parent_id";

/// Checks that an update stays in the subtree, and that nothing stays below a deleted group.
pub(super) async fn check(
    client: &Client,
    within: Within,
    problems: &mut Report,
) -> Result<(), StartupError> {
    let root = within.id;
    let outside = |row: &Row| {
        let id = shown(row.try_get(2)?);
        if id == root.to_string() {
            return Ok("the group of --within itself would move; give it the parent that it has".to_owned());
        }
        Ok(format!(
            "the group {id} is not below {root}, or would not be; give a parent within it, or leave --within out"
        ))
    };
    let below_deleted = |row: &Row| {
        let parent = shown(row.try_get(2)?);
        Ok(format!(
            "its parent {parent} would be deleted, because the file lacks it; add the parent, or give another"
        ))
    };
    find_problems(client, &first("id", &outside_sql(within)), outside, problems).await?;
    find_problems(client, &first("parent_id", BELOW_DELETED), below_deleted, problems).await?;
    Ok(())
}
