//! The stored groups that the lines of an update name by their names.

use tokio_postgres::{Client, Row};

use super::checks::{find as find_problems, first};
use crate::domain::{Report, Within, excerpt, field};
use crate::store::errors::StartupError;

/// Lines that name the same group as an earlier one.
const REPEATED: &str = "
    select line, customer_group_name, first
    from (
        select line, customer_group_name, row_number() over same as number, first_value(line) over same as first
        from customer_group_import where identity in ('name', 'place')
        window same as (
            partition by identity, customer_group_name, case identity when 'place' then parent_id end order by line
        )
    ) numbered
    where number > 1";

const AMBIGUOUS: &str = "
    select i.line, i.customer_group_name, m.groups
    from customer_group_import_match m join customer_group_import i on i.id = m.new_id where m.groups > 1";

/// Gives the lines the ids of their groups. Until then each has a new one.
const SET_IDS: &str = "
    update customer_group_import i set id = m.id
    from customer_group_import_match m where m.new_id = i.id and m.groups = 1;
    analyze customer_group_import";

/// Keeps other sessions from changing the stored groups of the file. They are locked in the order of their ids.
pub(super) const LOCK: &str = "
    select from customer_group g join customer_group_import i using (id) order by g.id for no key update of g";

/// The number of stored groups for each line without an id, and one of them. Within a subtree, only its groups count.
fn match_sql(within: Option<Within>) -> String {
    let scope = match within {
        Some(_) => "join customer_group_import_scope using (id)",
        None => "",
    };
    format!(
        "create temporary table customer_group_import_match on commit drop as
         select i.id as new_id, count(*) as groups, (array_agg(g.id))[1] as id
         from customer_group g {scope}
         join customer_group_import i on i.customer_group_name = g.customer_group_name
         where i.identity = 'name' or i.identity = 'place' and g.parent_id is not distinct from i.parent_id
         group by i.id;
         analyze customer_group_import_match"
    )
}

pub(super) async fn find(
    client: &Client,
    within: Option<Within>,
    problems: &mut Report,
) -> Result<(), StartupError> {
    client.batch_execute(&match_sql(within)).await?;
    client.batch_execute(SET_IDS).await?;
    let name = |row: &Row| Ok(format!("{} {}", field::CUSTOMER_GROUP_NAME, excerpt(row.try_get(2)?)));
    let repeated = |row: &Row| {
        let first: i64 = row.try_get(3)?;
        Ok(format!("{} is also in line {first}; an update needs different names, or ids", name(row)?))
    };
    let ambiguous = |row: &Row| {
        let groups: i64 = row.try_get(3)?;
        Ok(format!("{} is the name of {groups} groups in the database; name the group by its id", name(row)?))
    };
    find_problems(client, &first("customer_group_name, first", REPEATED), repeated, problems).await?;
    find_problems(client, &first("customer_group_name, groups", AMBIGUOUS), ambiguous, problems).await?;
    Ok(())
}
