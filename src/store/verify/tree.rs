//! Whether the groups are trees.

use std::collections::{BTreeMap, HashMap};
use std::iter::successors;

use tokio_postgres::Client;
use uuid::Uuid;

use super::each;
use super::findings::Findings;
use crate::domain::GroupId;
use crate::store::OpenError;
use crate::store::rows::read;

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
    found.extend(walk(&parents).iter().map(|cycle| tell(cycle)));
    Ok(found)
}

/// The cycles among groups by their parents.
fn walk(parents: &BTreeMap<Uuid, Uuid>) -> Vec<Vec<Uuid>> {
    let above = |id: &Uuid| parents.get(id).copied();
    let mut seen = HashMap::with_capacity(parents.len());
    let mut cycles = Vec::new();
    for start in parents.keys() {
        let mut at = Some(*start);
        while let Some(id) = at.filter(|id| !seen.contains_key(id)) {
            seen.insert(id, *start);
            at = above(&id);
        }
        // A walk that ends at a group of its own has gone round.
        if let Some(first) = at.filter(|id| seen.get(id) == Some(start)) {
            let others = successors(above(&first), above).take_while(|id| *id != first);
            cycles.push([first].into_iter().chain(others).collect());
        }
    }
    cycles
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

/// A stored id as callers know it, or as it is when none could have it.
pub(super) fn shown(id: Uuid) -> String {
    GroupId::from_uuid(id).map_or_else(|| id.to_string(), |id| id.to_string())
}
