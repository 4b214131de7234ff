//! Parents that the lines of an import name by their names.

use std::collections::HashMap;

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

/// The characters without a glyph of their own.
const INVISIBLE: &str = r"[\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B-\u200F\u202A-\u202E\u2060-\u206F\u3164\uFE00-\uFE0F\uFEFF\uFFA0]";
const SPACES: &str = r"[\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000[:space:]]+";

/// For each name of `$1` a name in the file or in the database that looks the same.
fn similar() -> String {
    let plain = |name: &str| {
        format!(
            "regexp_replace(regexp_replace(normalize({name}), '{INVISIBLE}', '', 'g'), '{SPACES}', ' ', 'g')"
        )
    };
    let (wanted, known) = (plain("name"), plain("customer_group_name"));
    format!(
        "with wanted as materialized (select name, {wanted} as plain from unnest($1::text[]) name),
              known as (
                  select customer_group_name from customer_group_import where customer_group_name is not null
                  union all
                  select customer_group_name from customer_group
              )
         select w.name, min(customer_group_name) from wanted w join known on {known} = w.plain
         where trim(w.plain) <> ''
         group by w.name"
    )
}

/// Sets the `parent_id` of the lines whose parents have a unique name.
pub(super) async fn resolve(client: &Client, problems: &mut Report) -> Result<(), StartupError> {
    client.batch_execute(PARENTS).await?;
    client.batch_execute(RESOLVE).await?;
    let most = i64::try_from(problems.limit()).unwrap_or(i64::MAX);
    let names =
        format!("select distinct parent_name from ({UNRESOLVED} order by 1 limit $1) u where groups = 0");
    let mut missing: Vec<String> = Vec::new();
    for row in client.query(&names, &[&most]).await? {
        missing.push(row.try_get(0)?);
    }
    let mut similar_names = HashMap::new();
    if !missing.is_empty() {
        for row in client.query(&similar(), &[&missing]).await? {
            similar_names.insert(row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?);
        }
    }
    let unresolved = |row: &Row| {
        let (name, groups, in_file): (&str, i64, bool) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        let parent = format!("{} {}", TextField::ParentCustomerGroup.name(), excerpt(name));
        let place = if in_file { "in the file" } else { "in the database" };
        Ok(match (groups, similar_names.get(name)) {
            (0, None) => {
                format!("{parent} is not the name of a group in the file or in the database; correct it")
            }
            (0, Some(similar)) => format!(
                "{parent} is not the name of a group in the file or in the database; the name {} differs from it only by \
                 invisible or composed characters ({}); give both the same characters",
                excerpt(similar),
                difference(similar, name)
            ),
            (_, _) => {
                format!("{parent} is the name of {groups} groups {place}; give parents by parent_id instead")
            }
        })
    };
    find(client, &first("parent_name, groups, in_file", UNRESOLVED), unresolved, problems).await.map(drop)
}

/// The first characters by which two texts differ.
fn difference(one: &str, other: &str) -> String {
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let code = |text: &str| {
        let character = text.chars().nth(same);
        character.map_or_else(|| "nothing".to_owned(), |character| format!("U+{:04X}", u32::from(character)))
    };
    format!("{} instead of {} at character {}", code(one), code(other), same + 1)
}
