//! Lists of customer groups: the statements, and which of them answers what.
//!
//! Each answers rows of the number of groups in the whole list, whether the place to start after is in it, and a
//! group; a page without groups as one row without a group; and no row for a group that does not exist. `$2` is one
//! more than the most groups of the page, so that it shows whether more exist.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::connection::{Statement, Values, query};
use super::pool::{Breaker, Pool};
use super::readers::Readers;
use super::reads::Reads;
use super::rows::{columns, list};
use super::stream::{Groups, Streams};
use super::{Database, Limits, OpenError, Store};
use crate::domain::{Field, Filter, Freshness, GroupId, List, Name, Page};
use crate::error::Error;

/// The most groups that are read at once; longer lists come row by row.
const MAX_AT_ONCE: u32 = 1000;

/// Later than any id.
macro_rules! last_id {
    () => {
        "'ffffffff-ffff-ffff-ffff-ffffffffffff'"
    };
}

const LIST: Statement = Statement::new(
    "list groups",
    concat!(
        "select total, true, ",
        columns!("page"),
        " from (select coalesce(sum(groups), 0)::bigint as total from customer_group_count) whole
      left join lateral (
          select * from customer_group where id < coalesce($1::uuid, ",
        last_id!(),
        ") order by id desc limit $2 offset $3
      ) page on true
      order by page.id desc"
    ),
);

/// Groups that an index has in their order, with what selects their number. `parent_id` is in the order although it is
/// the same for all of them, since PostgreSQL knows that only of one that is not null, and would sort the others.
macro_rules! in_order {
    ($condition:literal, $total:expr) => {
        concat!(
            "select total, true, ",
            columns!("page"),
            " from (",
            $total,
            ") whole
             left join lateral (
                 select * from customer_group where ",
            $condition,
            " and id < coalesce($1::uuid, ",
            last_id!(),
            ") order by parent_id, id desc limit $2 offset $3
             ) page on true
             order by page.id desc"
        )
    };
    ($condition:literal) => {
        in_order!($condition, concat!("select count(*) as total from customer_group where ", $condition))
    };
}

const CHILDREN: Statement = Statement::new(
    "list children",
    in_order!(
        "parent_id = $4",
        "select (select count(*) from customer_group where parent_id = $4) as total
         where exists (select from customer_group where id = $4)"
    ),
);

const BELOW: Statement = Statement::new("list groups by parent", in_order!("parent_id = $4"));

const ROOTS: Statement = Statement::new("list roots", in_order!("parent_id is null"));

/// Groups that have to be looked for, once for their number and the page.
macro_rules! found {
    ($condition:expr) => {
        concat!(
            "with found as materialized (select id from customer_group where ",
            $condition,
            ")
             select total, true, ",
            columns!("page"),
            " from (select count(*) as total from found) whole
             left join lateral (
                 select g.* from (
                     select id from found where id < coalesce($1::uuid, ",
            last_id!(),
            ") order by id desc limit $2 offset $3
                 ) part join customer_group g using (id)
             ) page on true
             order by page.id desc"
        )
    };
}

/// Whether a pattern is somewhere in the name, both without their case. A query of its own makes it ready once, not for
/// each name.
macro_rules! named {
    ($pattern:literal) => {
        concat!(
            "customer_group_name_folded(customer_group_name) like
                 (select '%' || customer_group_name_folded(",
            $pattern,
            ") || '%')"
        )
    };
}

const NAMED: Statement = Statement::new("list groups by name", found!(named!("$4")));

const NAMED_BELOW: Statement =
    Statement::new("list groups by parent and name", found!(concat!("parent_id = $4 and ", named!("$5"))));

const NAMED_ROOTS: Statement =
    Statement::new("list roots by name", found!(concat!("parent_id is null and ", named!("$4"))));

/// From a group on to those below it: level by level, and the youngest of each group's children first. A recursive
/// part answers its rows in the order in which it makes them, and makes the next ones from them in that order.
macro_rules! below {
    ($columns:expr) => {
        concat!(
            "cross join lateral (select ",
            $columns,
            " from customer_group g where g.parent_id = walk.id order by g.id desc) g"
        )
    };
}

/// A part of what is met on a walk that starts at `$4`.
macro_rules! walk {
    ($next:expr) => {
        concat!(
            "with recursive walk as (
                 select g.id, g.parent_id from customer_group g where g.id = $4
                 union all
                 select g.id, g.parent_id from walk ",
            $next,
            "), numbered as materialized (
                 select id, row_number() over () - 1 as number from walk
             ), whole as (
                 select count(*) - 1 as total,
                        case when $1::uuid is null then 0
                             else (select number from numbered where id = $1 and number > 0) end as start
                 from numbered
             )
             select total, start is not null, ",
            columns!("page"),
            " from whole left join lateral (
                 select number, g.* from numbered join customer_group g using (id)
                 where number > start + $3 and ($2::bigint is null or number <= start + $3 + $2)
             ) page on true
             where total >= 0
             order by page.number"
        )
    };
}

const ANCESTORS: Statement =
    Statement::new("list ancestors", walk!("join customer_group g on g.id = walk.parent_id"));

const DESCENDANTS: Statement = Statement::new("list descendants", walk!(below!("g.id, g.parent_id")));

/// Everything below `$1` as it is met. The number of groups is that of the rows with a group, which is not known
/// before the last.
const ALL_DESCENDANTS: Statement = Statement::new(
    "stream descendants",
    concat!(
        "with recursive walk as (
         select ",
        columns!("g"),
        " from customer_group g where g.id = $1
      union all
      select ",
        columns!("g"),
        " from walk ",
        below!(columns!("g")),
        ")
     select null::bigint, true, nullif(id, $1), updated_at, parent_id, is_group, customer_group_name,
            parent_customer_group, default_price_list, payment_terms
     from walk"
    ),
);

impl Store {
    /// A page of all groups that the filter leaves.
    ///
    /// # Errors
    ///
    /// Only those that every statement can end in.
    pub async fn list(&self, page: Page, filter: &Filter, freshness: Freshness) -> Result<List, Error> {
        self.read(freshness, |lists| async move { lists.list(page, filter).await }).await
    }

    /// The children of a group.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn children(&self, id: GroupId, page: Page, freshness: Freshness) -> Result<Groups, Error> {
        self.read(freshness, |lists| async move { lists.tree_list(CHILDREN, id, page).await }).await
    }

    /// The ancestors of a group, its parent first.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Invalid`] when the page starts after a group that is none of them.
    pub async fn ancestors(&self, id: GroupId, page: Page, freshness: Freshness) -> Result<Groups, Error> {
        self.read(freshness, |lists| async move { lists.ancestors(id, page).await }).await
    }

    /// The descendants of a group, level by level.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Invalid`] when the page starts after a group that is none of them.
    pub async fn descendants(&self, id: GroupId, page: Page, freshness: Freshness) -> Result<Groups, Error> {
        self.read(freshness, |lists| async move { lists.descendants(id, page).await }).await
    }
}

/// Where lists are read: a server, by the connections for them. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Lists {
    pool: Pool,
    /// For long lists, on some of the same connections.
    streams: Streams,
    /// For reads of one group, which go out together.
    pub(super) reads: Reads,
    /// Those of all threads.
    readers: Readers,
}

impl Lists {
    pub(super) fn new(database: &Database, limits: &Limits) -> Result<Self, OpenError> {
        let pool = database.pool(limits, limits.pool_size, &Breaker::default())?;
        let readers = Readers::default();
        let reads = readers.start(database, limits, pool.breaker())?;
        Ok(Self { streams: Streams::new(pool.clone(), limits), pool, reads, readers })
    }

    /// The same for the thread of this runtime, with reads of its own.
    pub(super) fn reading_here(&self, database: &Database, limits: &Limits) -> Result<Self, OpenError> {
        let reads = self.readers.start(database, limits, self.pool.breaker())?;
        Ok(Self { reads, ..self.clone() })
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The connections for reads of one group, of all threads, and how many reads their statements answered.
    pub(super) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Closes the connections.
    pub(super) fn close(&self) {
        self.pool.close();
    }

    async fn list(&self, page: Page, filter: &Filter) -> Result<List, Error> {
        let statement = match (&filter.parent_id, &filter.customer_group_name) {
            (Field::Absent, None) => LIST,
            (Field::Absent, Some(_)) => NAMED,
            (Field::Null, None) => ROOTS,
            (Field::Null, Some(_)) => NAMED_ROOTS,
            (Field::Value(_), None) => BELOW,
            (Field::Value(_), Some(_)) => NAMED_BELOW,
        };
        let (start, limit, offset) = bounds(page);
        let parent = filter.parent_id.clone().value().map(GroupId::uuid);
        let name = filter.customer_group_name.as_ref().map(escaped);
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&start, &limit, &offset];
        values.extend(parent.iter().map(|parent| parent as &(dyn ToSql + Sync)));
        values.extend(name.iter().map(|name| name as &(dyn ToSql + Sync)));
        let rows = query(&self.pool, statement, &values).await?;
        list(&rows, page)?.ok_or_else(|| Error::internal("the list of all groups was not found"))
    }

    async fn ancestors(&self, id: GroupId, page: Page) -> Result<Groups, Error> {
        let chain = self.reads.chain(id).await?.ok_or_else(|| Error::not_found(&id.to_string()))?;
        if chain.is_complete {
            let list = page.of(chain.groups).map_err(|violation| Error::Invalid(violation.into()))?;
            Ok(list.into())
        } else {
            self.tree_list(ANCESTORS, id, page).await
        }
    }

    async fn descendants(&self, id: GroupId, page: Page) -> Result<Groups, Error> {
        if page.is_all() {
            let groups = self.streams.start(ALL_DESCENDANTS, &[&id.uuid()], page).await?;
            groups.ok_or_else(|| Error::not_found(&id.to_string()))
        } else {
            self.tree_list(DESCENDANTS, id, page).await
        }
    }

    async fn tree_list(&self, statement: Statement, id: GroupId, page: Page) -> Result<Groups, Error> {
        let ((start, limit, offset), uuid) = (bounds(page), id.uuid());
        let values: &Values<'_> = &[&start, &limit, &offset, &uuid];
        let groups = if page.limit.is_some_and(|limit| limit <= MAX_AT_ONCE) {
            list(&query(&self.pool, statement, values).await?, page)?.map(Groups::from)
        } else {
            self.streams.start(statement, values, page).await?
        };
        groups.ok_or_else(|| Error::not_found(&id.to_string()))
    }
}

/// The text as a pattern of `like` in which every character means itself.
fn escaped(text: &Name) -> String {
    let mut pattern = String::with_capacity(text.as_str().len());
    for character in text.as_str().chars() {
        if matches!(character, '\\' | '%' | '_') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// Where a page starts, one more than the most groups of it, and how many it skips.
fn bounds(page: Page) -> (Option<Uuid>, Option<i64>, i64) {
    let limit = page.limit.map(|limit| i64::from(limit) + 1);
    (page.starting_after.map(GroupId::uuid), limit, i64::from(page.offset))
}
