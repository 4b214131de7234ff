//! Statements for pages of the list of all groups and of children.  Each row has the number of groups in the whole
//! list, whether the list contains the object to start after, and a group. An empty page is one row without a group. If
//! the parent of the list does not exist, there is no row. `$1` is the object to
//! start after, `$3` the number of groups to skip, and `$2` one more than the limit, so that the rows show whether more
//! groups follow.

use std::sync::LazyLock;

use crate::store::exec::Statement;
use crate::store::groups::rows::{columns, statement};

/// Greater than any id.
const LAST_ID: &str = "'ffffffff-ffff-ffff-ffff-ffffffffffff'";

pub(super) static LIST: LazyLock<Statement> = LazyLock::new(|| {
    let group = columns("page");
    let sql = format!(
        "select total, true, {group}
         from (select coalesce(sum(groups), 0)::bigint as total from customer_group_count) whole
         left join lateral (
             select * from customer_group where id < coalesce($1::uuid, {LAST_ID})
             order by id desc limit $2 offset $3
         ) page on true
         order by page.id desc"
    );
    statement("list groups", sql)
});

pub(super) static CHILDREN: LazyLock<Statement> = LazyLock::new(|| {
    let total = "select (select count(*) from customer_group where parent_id = $4) as total
                 where exists (select from customer_group where id = $4)";
    statement("list children", in_order("parent_id = $4", total))
});

pub(super) static BY_PARENT: LazyLock<Statement> = LazyLock::new(|| {
    statement("list groups by parent", in_order("parent_id = $4", &count("parent_id = $4")))
});

pub(super) static ROOTS: LazyLock<Statement> =
    LazyLock::new(|| statement("list roots", in_order("parent_id is null", &count("parent_id is null"))));

/// The statements that search by name.
pub(super) struct Searches {
    pub(super) all: Statement,
    pub(super) below: Statement,
    pub(super) roots: Statement,
}

pub(super) static SEARCHES: LazyLock<Searches> = LazyLock::new(|| Searches::by("customer_group_name_search"));

/// Searches as in the previous release, while the index of [`SEARCHES`] is being made.
pub(super) static PREVIOUS_SEARCHES: LazyLock<Searches> =
    LazyLock::new(|| Searches::by("customer_group_name_folded"));

impl Searches {
    fn by(fold: &str) -> Self {
        let search = |name, condition: &str| statement(name, searched(condition));
        let (named_4, named_5) = (name_contains(fold, "$4"), name_contains(fold, "$5"));
        Self {
            all: search("list groups by name", &named_4),
            below: search("list groups by parent and name", &format!("parent_id = $4 and {named_5}")),
            roots: search("list roots by name", &format!("parent_id is null and {named_4}")),
        }
    }
}

fn count(condition: &str) -> String {
    format!("select count(*) as total from customer_group where {condition}")
}

/// A page in the order of an index. All its groups have the same `parent_id`; `order by` names it all the same, because
/// PostgreSQL would otherwise sort the roots.
fn in_order(condition: &str, total: &str) -> String {
    let group = columns("page");
    format!(
        "select total, true, {group}
         from ({total}) whole
         left join lateral (
             select * from customer_group where {condition} and id < coalesce($1::uuid, {LAST_ID})
             order by parent_id, id desc limit $2 offset $3
         ) page on true
         order by page.id desc"
    )
}

/// A page of search results. One search provides both the total and the page.
fn searched(condition: &str) -> String {
    let group = columns("page");
    format!(
        "with found as materialized (select id from customer_group where {condition})
         select total, true, {group}
         from (select count(*) as total from found) whole
         left join lateral (
             select g.* from (
                 select id from found where id < coalesce($1::uuid, {LAST_ID})
                 order by id desc limit $2 offset $3
             ) part join customer_group g using (id)
         ) page on true
         order by page.id desc"
    )
}

/// Whether the folded name contains the folded text. The subquery folds the text once and not for each name. The text is
/// escaped for `like` afterwards, since `％` folds to `%`.
fn name_contains(fold: &str, text: &str) -> String {
    format!(
        r"{fold}(customer_group_name) like
             (select '%' || regexp_replace({fold}({text}), '([\\%_])', '\\\1', 'g') || '%')"
    )
}
