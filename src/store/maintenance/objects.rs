//! The functions, triggers and indexes that the service needs. A dump may lose them, and a person may drop them.

use tokio_postgres::Client;

use crate::store::errors::{StartupError, pg_message};

/// Creates the missing ones, and counts the groups again, since a missing trigger has not.
const CREATE: &str = include_str!("objects.sql");

/// Creates or replaces the function of searches by name.
pub(super) const CREATE_NAME_SEARCH: &str = include_str!("../migrations/V7__customer_group_name_search.sql");

const NAME_FUNCTION: &str = "function customer_group_name_search(text)";
const NAME_INDEX: &str = "index customer_group_name_search_idx";

/// Returns the missing ones, each with its kind. The index of names can exist only with the extension pg_trgm.
const MISSING: &str = "
    select 'function ' || name from unnest(array['customer_group_name_search(text)',
        'customer_group_name_folded(text)', 'customer_group_count_change()', 'customer_group_count_reset()']) name
    where to_regprocedure(name) is null
    union all
    select 'trigger ' || name from unnest(array['customer_group_count_insert', 'customer_group_count_delete',
        'customer_group_count_truncate']) name
    where not exists (select from pg_trigger where tgrelid = to_regclass('customer_group') and tgname = name
                      and tgenabled in ('O', 'A'))
    union all
    select 'index ' || name from unnest(array['customer_group_parent_id_id_idx', 'idempotency_key_created_at_idx',
        'customer_group_name_search_idx']) name
    where not exists (select from pg_index where indexrelid = to_regclass(name) and indisvalid)
      and (name <> 'customer_group_name_search_idx' or exists (select from pg_extension where extname = 'pg_trgm'))";

/// Returns the missing objects, such as `trigger customer_group_count_insert`.
pub(super) async fn missing(client: &Client) -> Result<Vec<String>, StartupError> {
    client.query(MISSING, &[]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Creates the missing objects, all or none. Waits for the transactions that change groups, unless only the search by name
/// lacks something. Its index is made later, beside the calls of the service.
pub(super) async fn create_missing(client: &Client) -> Result<(), StartupError> {
    let mut missing = missing(client).await?;
    missing.retain(|object| object != NAME_INDEX);
    if missing.is_empty() {
        return Ok(());
    }
    let others = if missing.iter().all(|object| object == NAME_FUNCTION) { "" } else { CREATE };
    let missing = missing.join(", ");
    tracing::warn!(missing, "the database lacks objects of the service, which are created again");
    let create = format!("begin; {CREATE_NAME_SEARCH} {others} commit");
    let created = client.batch_execute(&create).await;
    created.map_err(|error| StartupError::ObjectsMissing(missing, pg_message(&error)))
}
