//! Whether the groups are trees.

use std::collections::BTreeMap;

use tokio_postgres::Client;
use uuid::Uuid;

use super::each;
use super::findings::Findings;
use crate::store::OpenError;
use crate::store::cycles::cycles_among;
use crate::store::rows::{read, shown};

/// The groups that no walk down from a root reaches, or from a group whose parent does not exist. Each of them has a
/// parent that is one of them.
const UNREACHED: &str = "
    with recursive reached as (
        select g.id, g.parent_id from customer_group g
        where not exists (select from customer_group p where p.id = g.parent_id)
        union all
        select g.id, g.parent_id from reached join customer_group g on g.parent_id = reached.id
    )
    select id, parent_id from customer_group except select id, parent_id from reached";

/// Finds each cycle once.
pub(super) async fn cycles(client: &Client) -> Result<Findings, OpenError> {
    let mut parents = BTreeMap::new();
    each(client, UNREACHED, |row| {
        if let (Ok(id), Ok(parent)) = (read::<Uuid>(row, 0), read::<Uuid>(row, 1)) {
            parents.insert(id, parent);
        }
    })
    .await?;
    let mut found = Findings::new("cycle");
    found.extend(cycles_among(&parents).iter().map(|cycle| tell(cycle)));
    Ok(found)
}

fn tell(cycle: &[Uuid]) -> String {
    const NAMED: usize = 5;
    let names: Vec<String> = cycle.iter().take(NAMED).map(|id| shown(*id)).collect();
    let more = if cycle.len() > NAMED { ", …" } else { "" };
    let names = names.join(", ");
    let count = cycle.len();
    format!(
        "{names}{more}: each is below the next, {count} in all, and no root above them; give one the parent_id null"
    )
}
