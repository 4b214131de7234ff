//! Contract rules for `starting_after`.

use serde_json::{Value, json};

use super::reads::{ALL, MALFORMED_IDS, ancestors, children, descendants, list, on_tree, page};
use super::{Call, Case, Page, Step, check, rest_rule, rule};
use crate::support::UNKNOWN_ID;

/// An id from the end of the year 9999, later than any that a service generates.
const LAST: &str = "customer-group_76ez3x6900fzzr000000000001";

fn after(id: &str) -> Page {
    Page { starting_after: Some(id.to_owned()), ..ALL }
}

fn listed(page: Page) -> Call {
    Call::List(page)
}

fn streamed(id: &str, page: Page) -> Call {
    Call::StreamDescendants(id.to_owned(), page)
}

/// A tree list and its content.
struct Listed {
    call: fn(Page) -> Call,
    names: &'static [&'static str],
}

/// The lists of the tree root > (a > (c, d), b).
const LISTS: [Listed; 4] = [
    Listed { call: listed, names: &["d", "c", "b", "a", "root"] },
    Listed { call: |page| children("@root", page), names: &["b", "a"] },
    Listed { call: |page| ancestors("@c", page), names: &["a", "root"] },
    Listed { call: |page| descendants("@root", page), names: &["b", "a", "d", "c"] },
];

impl Listed {
    /// The page after this many groups of the list.
    fn part(&self, start: usize, limit: Option<usize>, offset: usize) -> Value {
        let rest = &self.names[(start + offset).min(self.names.len())..];
        let taken = limit.unwrap_or(rest.len()).min(rest.len());
        page(&rest[..taken], taken < rest.len(), self.names.len().try_into().unwrap())
    }

    /// Pages from the beginning and after each group, with and without limit and offset.
    fn parts(&self) -> Vec<(Page, Value)> {
        let end = self.names.len() + 1;
        let mut parts = Vec::new();
        for start in 0..end {
            let starting_after = start.checked_sub(1).map(|last| format!("@{}", self.names[last]));
            for limit in [None, Some(0), Some(1), Some(2), Some(end)] {
                for offset in [0, 1, 3] {
                    let number = |number: usize| i32::try_from(number).unwrap();
                    let (limit_sent, offset_sent) = (limit.map(number), Some(number(offset)));
                    let starting_after = starting_after.clone();
                    let page = Page { limit: limit_sent, offset: offset_sent, starting_after };
                    parts.push((page, self.part(start, limit, offset)));
                }
            }
        }
        parts
    }
}

#[tokio::test]
async fn parts_of_every_list() {
    let shown = |list: &Listed| -> Vec<Step> {
        list.parts().into_iter().map(|(page, expected)| (list.call)(page).returns(expected)).collect()
    };
    let groups_alone =
        |(page, expected): (Page, Value)| streamed("@root", page).returns(json!({"data": expected["data"]}));
    let [all, children, ancestors, descendants] = &LISTS;
    check(vec![
        on_tree("the list goes on after any of its groups", shown(all)),
        on_tree("so do children", shown(children)),
        on_tree("so do ancestors", shown(ancestors)),
        on_tree("so do descendants", shown(descendants)),
        on_tree(
            "so does the stream of descendants",
            descendants.parts().into_iter().map(groups_alone).collect(),
        ),
    ])
    .await;
}

/// Reads the list page by page with `starting_after`.
fn walk(list: &Listed, limit: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    for start in (0..=list.names.len()).step_by(limit) {
        let starting_after = start.checked_sub(1).map(|last| format!("@{}", list.names[last]));
        let page = Page { limit: limit.try_into().ok(), starting_after, ..ALL };
        steps.push((list.call)(page).returns(list.part(start, Some(limit), 0)));
    }
    steps
}

#[tokio::test]
async fn paging() {
    let walks = |limit: usize| -> Vec<Step> { LISTS.iter().flat_map(|list| walk(list, limit)).collect() };
    check(vec![
        on_tree("pages of one hold every group once", walks(1)),
        on_tree("pages of two hold every group once", walks(2)),
        on_tree("a page may be larger than the list", walks(9)),
    ])
    .await;
}

fn delete(id: &str) -> Step {
    Call::Delete(id.to_owned()).succeeds()
}

fn refused(call: Call) -> Step {
    call.fails("parameter_invalid", &["starting_after"])
}

/// Every list of a node.
fn lists_of(id: &str, page: &Page) -> Vec<Call> {
    let lists = [Call::Children, Call::Ancestors, Call::Descendants, Call::StreamDescendants];
    lists.map(|list| list(id.to_owned(), page.clone())).into()
}

#[tokio::test]
async fn groups_that_are_not_in_the_list() {
    let one = |page: Page| Page { limit: Some(1), ..page };
    check(vec![
        on_tree(
            "the list and children go on where a deleted group was",
            vec![
                delete("@c"),
                listed(after("@c")).returns(page(&["b", "a", "root"], false, 4)),
                listed(one(after("@c"))).returns(page(&["b"], true, 4)),
                children("@a", after("@c")).returns(page(&[], false, 1)),
                children("@a", after("@d")).returns(page(&[], false, 1)),
                delete("@b"),
                children("@root", after("@b")).returns(page(&["a"], false, 1)),
                children("@root", one(after("@b"))).returns(page(&["a"], false, 1)),
            ],
        ),
        on_tree(
            "they go on where a group would be that they do not have",
            vec![
                listed(after(UNKNOWN_ID)).returns(page(&[], false, 5)),
                listed(after(LAST)).returns(page(&["d", "c", "b", "a", "root"], false, 5)),
                children("@root", after("@d")).returns(page(&["b", "a"], false, 2)),
                children("@root", after("@root")).returns(page(&[], false, 2)),
                children("@root", one(after(LAST))).returns(page(&["b"], true, 2)),
                children("@b", after("@a")).returns(page(&[], false, 0)),
            ],
        ),
        on_tree(
            "ancestors and descendants do not go on after what they do not have",
            vec![
                refused(ancestors("@c", after("@c"))),
                refused(ancestors("@c", after("@b"))),
                refused(ancestors("@root", after("@a"))),
                refused(ancestors("@c", one(after(UNKNOWN_ID)))),
                refused(descendants("@a", after("@a"))),
                refused(descendants("@a", after("@root"))),
                refused(descendants("@a", one(after("@b")))),
                refused(descendants("@b", after(UNKNOWN_ID))),
                refused(streamed("@a", after("@b"))),
                refused(streamed("@a", one(after("@a")))),
                delete("@c"),
                refused(descendants("@root", after("@c"))),
                refused(descendants("@root", Page { limit: Some(0), ..after("@c") })),
            ],
        ),
        on_tree(
            "they follow a group that was moved",
            vec![
                Call::Update("@b".to_owned(), json!({"parent_id": "@d"})).succeeds(),
                descendants("@root", after("@c")).returns(page(&["b"], false, 4)),
                refused(ancestors("@b", after("@c"))),
                ancestors("@b", after("@a")).returns(page(&["root"], false, 3)),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn invalid_values_of_starting_after() {
    let every_list = |page: &Page| {
        let of_root = lists_of("@root", page);
        of_root.into_iter().chain([listed(page.clone())]).map(refused).collect::<Vec<_>>()
    };
    let malformed = MALFORMED_IDS.into_iter().chain([""]).flat_map(|id| every_list(&after(id))).collect();
    let all_wrong = Page { limit: Some(-1), offset: Some(-1), ..after("nobody") };
    let every_name = |call: Call| call.fails("parameter_invalid", &["limit", "offset", "starting_after"]);
    let missing =
        |page: &Page| lists_of(UNKNOWN_ID, page).into_iter().map(|call| call.fails("resource_missing", &[]));
    check(vec![
        on_tree("a text that is no id is refused by every list", malformed),
        on_tree(
            "several wrong parameters are named at once",
            lists_of("@root", &all_wrong)
                .into_iter()
                .chain(lists_of(UNKNOWN_ID, &all_wrong))
                .chain([listed(all_wrong)])
                .map(every_name)
                .collect(),
        ),
        on_tree(
            "a node that there is not comes before a group that is not in its list",
            missing(&after("@a")).chain(missing(&Page { limit: Some(1), ..after("@a") })).collect(),
        ),
        rule(
            "but after a text that is no id",
            lists_of(UNKNOWN_ID, &after("nobody")).into_iter().map(refused).collect(),
        ),
        said_in_a_query(),
        rule("the empty list after any group", vec![listed(after(LAST)).returns(page(&[], false, 0))]),
    ])
    .await;
}

fn said_in_a_query() -> Case {
    let get = |query: &'static str| Call::Http("GET", query, None);
    rest_rule(
        "a query says once, and to lists alone, where to start",
        vec![
            refused(get("?starting_after=")),
            refused(get("?starting_after=a&starting_after=b")),
            get("?starting_after=nobody&limit=ten").fails("parameter_invalid", &["limit", "starting_after"]),
            get("/nobody?starting_after=nobody").fails("parameter_unknown", &["starting_after"]),
            list(None, None).returns(page(&[], false, 0)),
        ],
    )
}
