//! Parents that the lines of an import name by their names.

use tokio_postgres::{Client, Row};

use super::checks::{find, first};
use crate::domain::{Report, TextField, excerpt};
use crate::store::errors::StartupError;

/// For each parent name: the number of groups with this name, and one of them. Groups of the database count only if the
/// file has none with this name.
const PARENTS: &str = "
    create temporary table customer_group_import_parent on commit drop as
    with wanted as materialized (
        select distinct parent_name as name from customer_group_import where parent_name is not null
    ), given as materialized (
        select w.name, count(*) as groups, (array_agg(i.id))[1] as id
        from wanted w join customer_group_import i on i.customer_group_name = w.name
        group by w.name
    )
    select name, groups, id, true as in_file from given
    union all
    select w.name, count(*), (array_agg(g.id))[1], false
    from wanted w join customer_group g on g.customer_group_name = w.name
    where not exists (select from given where given.name = w.name)
    group by w.name;
    analyze customer_group_import_parent";

/// Sets the parents, and refreshes the statistics: a plan by the old ones would be very slow.
const RESOLVE: &str = "
    update customer_group_import i set parent_id = p.id
    from customer_group_import_parent p where p.name = i.parent_name and p.groups = 1;
    analyze customer_group_import";

const UNRESOLVED: &str = "
    select i.line, i.parent_name, coalesce(p.groups, 0) as groups, p.in_file is true as in_file
    from customer_group_import i left join customer_group_import_parent p on p.name = i.parent_name
    where i.parent_name is not null and p.groups is distinct from 1";

/// Sets the `parent_id` of the lines whose parents have a unique name.
pub(super) async fn resolve(client: &Client, problems: &mut Report) -> Result<(), StartupError> {
    client.batch_execute(PARENTS).await?;
    client.batch_execute(RESOLVE).await?;
    let unresolved = |row: &Row| {
        let (name, groups, in_file): (&str, i64, bool) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        let parent = format!("{} {}", TextField::ParentCustomerGroup.name(), excerpt(name));
        let place = if in_file { "in the file" } else { "in the database" };
        Ok(match groups {
            0 => format!("{parent} is not the name of a group in the file or in the database; correct it"),
            _ => {
                format!("{parent} is the name of {groups} groups {place}; give parents by parent_id instead")
            }
        })
    };
    find(client, &first("parent_name, groups, in_file", UNRESOLVED), unresolved, problems).await.map(drop)
}
