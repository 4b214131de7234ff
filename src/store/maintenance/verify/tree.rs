//! Cycles among the stored groups.

use tokio_postgres::Client;
use uuid::Uuid;

use super::{LISTED, each};
use crate::domain::Report;
use crate::store::errors::StartupError;
use crate::store::groups::rows::{read, shown};
use crate::store::maintenance::cycles::cycles_among;

/// Returns the groups that no walk down from a root, or from a group with a missing parent, reaches. The parent of each is
/// another one of them.
const UNREACHED: &str = "
    with recursive reached as (
        select g.id, g.parent_id from customer_group g
        where not exists (select from customer_group p where p.id = g.parent_id)
        union all
        select g.id, g.parent_id from reached join customer_group g on g.parent_id = reached.id
    )
    select id, parent_id from customer_group except select id, parent_id from reached";

/// Finds each cycle once.
pub(super) async fn cycles(client: &Client) -> Result<Report, StartupError> {
    let mut parents = Vec::new();
    each(client, UNREACHED, |row| {
        if let (Ok(id), Ok(parent)) = (read::<Uuid>(row, 0), read::<Uuid>(row, 1)) {
            parents.push((id, parent));
        }
    })
    .await?;
    let mut found = Report::new(LISTED);
    found.extend(cycles_among(parents).iter().map(|cycle| describe(cycle)));
    Ok(found)
}

fn describe(cycle: &[Uuid]) -> String {
    const NAMED: usize = 5;
    let names: Vec<String> = cycle.iter().take(NAMED).map(|id| shown(*id)).collect();
    let more = if cycle.len() > NAMED { ", …" } else { "" };
    let names = names.join(", ");
    let count = cycle.len();
    format!(
        "{names}{more}: each is below the next, {count} in all, with no root above them; set the parent_id of one to null"
    )
}
