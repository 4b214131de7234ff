//! The search by name: its function and its index, which are made beside running calls.

use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use super::objects;
use crate::store::Store;
use crate::store::connect::StoreOptions;
use crate::store::errors::StartupError;

/// The advisory lock of the service that makes the index: `cg_name` in ASCII.
const LOCK: i64 = 0x63_67_5f_6e_61_6d_65;

/// The interval at which a service looks whether another one has made the index.
const INTERVAL: Duration = Duration::from_secs(1);

/// The search by name on a database.
#[derive(Debug, Clone, Default)]
pub(crate) struct NameSearch {
    /// Which differences of `case`, `composition` and `accents` it ignores.
    ignored: String,
    has_index: bool,
    /// Whether the extension of the index exists.
    can_have_index: bool,
    /// Whether the function could ignore accents, by an extension that did not exist when it was made.
    is_outdated: bool,
}

/// Returns the fields of [`NameSearch`]. An index that a session is making is not valid yet.
const STATE: &str = "
    select concat_ws(', ',
            case when eszett = ss and capital_eszett = ss and ya = capital_ya then 'case'
                 when ya = capital_ya then 'case (letter by letter)'
                 else 'case (ASCII)' end,
            case when decomposed = umlaut then 'composition' end,
            case when umlaut = o then 'accents' end),
        exists (select from pg_index where indexrelid = to_regclass('customer_group_name_search_idx') and indisvalid),
        exists (select from pg_extension where extname = 'pg_trgm'),
        exists (select from pg_extension e
                join pg_ts_dict d on d.dictnamespace = e.extnamespace and d.dictname = 'unaccent'
                where e.extname = 'unaccent' and ts_lexize(d.oid, U&'\\0301') = array['']
                  and not exists (select from pg_depend where refclassid = 'pg_ts_dict'::regclass and refobjid = d.oid
                                  and objid = to_regprocedure('customer_group_name_search(text)')))
    from (select customer_group_name_search('ß'), customer_group_name_search('ẞ'), customer_group_name_search('SS'),
            customer_group_name_search('я'), customer_group_name_search('Я'), customer_group_name_search('o'),
            customer_group_name_search('ö'), customer_group_name_search(normalize('ö', nfd))
         ) folded (eszett, capital_eszett, ss, ya, capital_ya, o, umlaut, decomposed)";

/// Returns whether the index exists, and whether it is what a killed service has left behind. The session of that service
/// may still be making it.
const INDEX: &str = "
    select count(*) > 0, coalesce(bool_or(not indisvalid and not exists (
        select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid)), false)
    from pg_index i where indexrelid = to_regclass('customer_group_name_search_idx')";

const DROP_INDEX: &str = "drop index concurrently if exists customer_group_name_search_idx";

const CREATE_INDEX: &str = "select 'create index concurrently customer_group_name_search_idx on customer_group
        using gin (customer_group_name_search(customer_group_name) ' || extnamespace::regnamespace || '.gin_trgm_ops)'
    from pg_extension where extname = 'pg_trgm'";

impl NameSearch {
    pub(super) async fn read(client: &Client) -> Result<Self, StartupError> {
        let row = client.query_one(STATE, &[]).await?;
        Ok(Self {
            ignored: row.try_get(0)?,
            has_index: row.try_get(1)?,
            can_have_index: row.try_get(2)?,
            is_outdated: row.try_get(3)?,
        })
    }

    /// Whether searches use it. Until then they use that of the previous release, which has its index.
    pub(crate) fn is_ready(&self) -> bool {
        self.has_index || !self.can_have_index
    }

    fn is_complete(&self) -> bool {
        self.is_ready() && !self.is_outdated
    }

    /// Logs which differences it ignores, and whether it has an index.
    fn log(&self) {
        let Self { ignored, has_index, .. } = self;
        tracing::info!(ignores = ignored, index = has_index, "search by name is ready");
        if !has_index {
            tracing::warn!(
                "no index for searches by name, which read every name; let an administrator run `create extension \
                 pg_trgm`, and run `customer-groups migrate` or start the service again"
            );
        }
    }
}

impl Store {
    /// Makes what the search by name lacks, without blocking calls, and logs what it ignores. Waits while another service
    /// does so.
    pub(crate) async fn prepare_name_search(&self) -> Result<(), StartupError> {
        let mut search = self.name_search.borrow().clone();
        while !search.is_complete() {
            if let Some(completed) = self.complete_name_search().await? {
                search = completed;
            } else {
                tokio::time::sleep(INTERVAL).await;
            }
        }
        search.log();
        Ok(())
    }

    /// Returns `None` while another service or an interrupted session makes the index.
    async fn complete_name_search(&self) -> Result<Option<NameSearch>, StartupError> {
        let options = StoreOptions { statement_timeout: Duration::ZERO, ..self.options.clone() };
        let pool = self.database.pool(&options, 2, self.watch.breaker())?;
        let (client, lock) = (pool.get_anyway().await?, pool.get_anyway().await?);
        if !try_lock(&lock).await? {
            return Ok(None);
        }
        self.name_search.send_replace(NameSearch::read(&client).await?);
        self.replace_outdated_function(&client).await?;
        create_index(&client).await?;
        lock.batch_execute("commit").await?;
        let search = NameSearch::read(&client).await?;
        self.name_search.send_replace(search.clone());
        Ok(search.is_complete().then_some(search))
    }

    /// Replaces the function, on which the index depends.
    async fn replace_outdated_function(&self, client: &Client) -> Result<(), StartupError> {
        if self.name_search.borrow().is_outdated {
            tracing::info!("preparing searches by name to ignore accents");
            self.name_search.send_modify(|search| search.has_index = false);
            client.batch_execute(DROP_INDEX).await?;
            client.batch_execute(objects::CREATE_NAME_SEARCH).await?;
        }
        Ok(())
    }
}

/// Takes a transaction's lock, since behind a pooler the session may serve another client's next transaction. The
/// transaction must keep no snapshot, for which `create index concurrently` would wait: it does not wait for the lock, and
/// uses the simple protocol, which leaves no portal open.
async fn try_lock(client: &Client) -> Result<bool, StartupError> {
    let lock = format!(
        "begin; set local idle_in_transaction_session_timeout = 0; select pg_try_advisory_xact_lock({LOCK})"
    );
    let messages = client.simple_query(&lock).await?;
    Ok(messages
        .iter()
        .any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"))))
}

async fn create_index(client: &Client) -> Result<(), StartupError> {
    let row = client.query_one(INDEX, &[]).await?;
    let (exists, is_left_behind) = (row.try_get(0)?, row.try_get(1)?);
    if is_left_behind {
        client.batch_execute(DROP_INDEX).await?;
    } else if exists {
        return Ok(());
    }
    if let Some(create) = client.query_opt(CREATE_INDEX, &[]).await? {
        tracing::info!("making the index of searches by name; until then they ignore only case");
        client.batch_execute(create.try_get(0)?).await?;
    }
    Ok(())
}
