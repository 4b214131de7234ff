//! Moves, and the lists of a node's children, ancestors and descendants.

use customer_groups::grpc::pb;
use tonic::{Code, Status};

use crate::get::WILD_IDS;
use crate::support::{Api, Calls, Client, below, fields, ids, move_of, named, reason};

/// The shape that the four list responses share.
struct List {
    data: Vec<pb::CustomerGroup>,
    has_more: bool,
    total: i32,
}

#[derive(Debug, Clone, Copy)]
enum Walk {
    Children,
    Ancestors,
    Descendants,
}

const WALKS: [Walk; 3] = [Walk::Children, Walk::Ancestors, Walk::Descendants];

impl Walk {
    async fn all(self, client: &Client, id: &str) -> Result<List, Status> {
        self.page(client, id, None, None).await
    }

    async fn page(
        self,
        client: &Client,
        id: &str,
        limit: Option<i32>,
        offset: Option<i32>,
    ) -> Result<List, Status> {
        let (mut client, id) = (client.clone(), id.to_owned());
        macro_rules! call {
            ($method:ident, $request:ident) => {{
                let answer = client.$method(pb::$request { id, limit, offset }).await?.into_inner();
                Ok(List { data: answer.data, has_more: answer.has_more, total: answer.total })
            }};
        }
        match self {
            Self::Children => call!(list_customer_group_children, ListCustomerGroupChildrenRequest),
            Self::Ancestors => call!(list_customer_group_ancestors, ListCustomerGroupAncestorsRequest),
            Self::Descendants => call!(list_customer_group_descendants, ListCustomerGroupDescendantsRequest),
        }
    }
}

/// A root with two children, the older of which has two of its own.
struct Family {
    root: pb::CustomerGroup,
    older: pb::CustomerGroup,
    younger: pb::CustomerGroup,
    first: pb::CustomerGroup,
    second: pb::CustomerGroup,
}

impl Family {
    async fn create(client: &Client) -> Self {
        let root = client.create(named("root")).await.unwrap();
        let older = client.create(below(&root, "older")).await.unwrap();
        let first = client.create(below(&older, "first")).await.unwrap();
        let younger = client.create(below(&root, "younger")).await.unwrap();
        let second = client.create(below(&older, "second")).await.unwrap();
        Self { root, older, younger, first, second }
    }
}

#[tokio::test]
async fn children_come_newest_first_and_are_direct() {
    let client = Api::start().await.client().await;
    let family = Family::create(&client).await;
    let list = Walk::Children.all(&client, &family.root.id).await.unwrap();
    assert_eq!(ids(&list.data), [&*family.younger.id, &family.older.id]);
    assert_eq!((list.has_more, list.total), (false, 2));
    assert_eq!(list.data[1], family.older);
}

#[tokio::test]
async fn ancestors_go_from_the_parent_to_the_root() {
    let client = Api::start().await.client().await;
    let chain = client.chain(5).await;
    let list = Walk::Ancestors.all(&client, &chain[4].id).await.unwrap();
    let parent_first: Vec<pb::CustomerGroup> = chain[..4].iter().rev().cloned().collect();
    assert_eq!(list.data, parent_first);
    assert_eq!((list.has_more, list.total), (false, 4));
}

#[tokio::test]
async fn descendants_go_level_by_level_newest_first_without_the_node_itself() {
    let client = Api::start().await.client().await;
    let Family { root, older, younger, first, second } = Family::create(&client).await;
    let list = Walk::Descendants.all(&client, &root.id).await.unwrap();
    assert_eq!(list.data, [younger, older, second, first]);
    assert_eq!((list.has_more, list.total), (false, 4));
}

#[tokio::test]
async fn a_parent_comes_before_its_children_also_when_it_is_younger() {
    let client = Api::start().await.client().await;
    let chain = client.chain(4).await;
    // The oldest at the bottom: root > 3 > 2 > 1.
    let root = client.create(named("root")).await.unwrap();
    client.update(move_of(&chain[3], Some(&root))).await.unwrap();
    client.update(move_of(&chain[2], Some(&chain[3]))).await.unwrap();
    client.update(move_of(&chain[1], Some(&chain[2]))).await.unwrap();
    let list = Walk::Descendants.all(&client, &root.id).await.unwrap();
    assert_eq!(ids(&list.data), [&*chain[3].id, &chain[2].id, &chain[1].id]);
}

#[tokio::test]
async fn a_node_without_relatives_has_empty_lists() {
    let client = Api::start().await.client().await;
    let alone = client.create(named("alone")).await.unwrap();
    for walk in WALKS {
        let list = walk.all(&client, &alone.id).await.unwrap();
        assert_eq!((list.data.len(), list.has_more, list.total), (0, false, 0), "{walk:?}");
    }
}

#[tokio::test]
async fn an_unknown_node_is_not_found_rather_than_empty() {
    let client = Api::start().await.client().await;
    for walk in WALKS {
        for id in WILD_IDS.into_iter().chain(["customer-group_01h455vb4pex5vsknk084sn02q"]) {
            let status = walk.all(&client, id).await.err().unwrap();
            assert_eq!(status.code(), Code::NotFound, "{walk:?} {id:?}");
            assert_eq!(reason(&status), "RESOURCE_MISSING");
        }
    }
}

#[tokio::test]
async fn tree_lists_return_everything_unless_a_page_is_asked_for() {
    let client = Api::start().await.client().await;
    let root = client.create(named("root")).await.unwrap();
    for number in 0..25 {
        client.create(below(&root, &format!("child {number}"))).await.unwrap();
    }
    for walk in [Walk::Children, Walk::Descendants] {
        let all = walk.all(&client, &root.id).await.unwrap();
        assert_eq!((all.data.len(), all.has_more, all.total), (25, false, 25), "{walk:?}");
        for (limit, offset, count, has_more) in [
            (Some(10), None, 10, true),
            (Some(10), Some(20), 5, false),
            (Some(25), None, 25, false),
            (Some(5000), None, 25, false),
            (Some(0), None, 0, true),
            (None, Some(20), 5, false),
            (Some(1), Some(25), 0, false),
            (None, Some(i32::MAX), 0, false),
        ] {
            let page = walk.page(&client, &root.id, limit, offset).await.unwrap();
            assert_eq!(
                (page.data.len(), page.has_more, page.total),
                (count, has_more, 25),
                "{limit:?} {offset:?}"
            );
            let start = usize::try_from(offset.unwrap_or(0)).unwrap().min(25);
            assert_eq!(page.data, all.data[start..start + count]);
        }
    }
}

#[tokio::test]
async fn ancestors_can_be_paged_too() {
    let client = Api::start().await.client().await;
    let chain = client.chain(5).await;
    let page = Walk::Ancestors.page(&client, &chain[4].id, Some(2), Some(1)).await.unwrap();
    assert_eq!(ids(&page.data), [&*chain[2].id, &chain[1].id]);
    assert_eq!((page.has_more, page.total), (true, 4));
}

#[tokio::test]
async fn negative_numbers_are_refused_on_every_tree_list() {
    let client = Api::start().await.client().await;
    let root = client.create(named("root")).await.unwrap();
    for walk in WALKS {
        for id in [root.id.as_str(), "customer-group_01h455vb4pex5vsknk084sn02q", "nobody"] {
            let status = walk.page(&client, id, Some(-1), Some(-1)).await.err().unwrap();
            assert_eq!(status.code(), Code::InvalidArgument);
            assert_eq!(fields(&status), ["limit", "offset"]);
        }
    }
}

#[tokio::test]
async fn a_move_takes_the_whole_subtree_along() {
    let client = Api::start().await.client().await;
    let family = Family::create(&client).await;
    let moved = client.update(move_of(&family.older, Some(&family.younger))).await.unwrap();
    assert_eq!(moved.parent_id.as_ref(), Some(&family.younger.id));
    let list = Walk::Ancestors.all(&client, &family.first.id).await.unwrap();
    assert_eq!(ids(&list.data), [&*family.older.id, &family.younger.id, &family.root.id]);
}

#[tokio::test]
async fn a_move_to_null_makes_a_root() {
    let client = Api::start().await.client().await;
    let family = Family::create(&client).await;
    let moved = client.update(move_of(&family.older, None)).await.unwrap();
    assert_eq!(moved.parent_id, None);
    assert_eq!(Walk::Ancestors.all(&client, &family.first.id).await.unwrap().total, 1);
    assert_eq!(Walk::Descendants.all(&client, &family.root.id).await.unwrap().total, 1);
}

#[tokio::test]
async fn a_move_under_the_node_itself_is_refused() {
    let client = Api::start().await.client().await;
    let root = client.create(named("root")).await.unwrap();
    let status = client.update(move_of(&root, Some(&root))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason(&status), "PARENT_CYCLE");
    assert_eq!(fields(&status), ["parent_id"]);
}

#[tokio::test]
async fn a_move_under_its_own_descendant_is_refused() {
    let client = Api::start().await.client().await;
    let chain = client.chain(6).await;
    for below in &chain[1..] {
        let status = client.update(move_of(&chain[0], Some(below))).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(reason(&status), "PARENT_CYCLE");
        assert_eq!(fields(&status), ["parent_id"]);
    }
    assert_eq!(client.get(&chain[0].id).await.unwrap(), chain[0]);
}

#[tokio::test]
async fn a_move_under_an_unknown_parent_is_refused() {
    let client = Api::start().await.client().await;
    let root = client.create(named("root")).await.unwrap();
    let gone = client.create(named("gone")).await.unwrap();
    client.delete(&gone.id).await.unwrap();
    for id in WILD_IDS.into_iter().chain([gone.id.as_str()]) {
        let parent = pb::CustomerGroup { id: id.to_owned(), ..Default::default() };
        let status = client.update(move_of(&root, Some(&parent))).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(reason(&status), "PARENT_NOT_FOUND", "{id:?}");
        assert_eq!(fields(&status), ["parent_id"]);
    }
    assert_eq!(client.get(&root.id).await.unwrap(), root);
}

#[tokio::test]
async fn a_move_of_no_group_is_not_found() {
    let client = Api::start().await.client().await;
    let root = client.create(named("root")).await.unwrap();
    let gone = client.create(named("gone")).await.unwrap();
    client.delete(&gone.id).await.unwrap();
    let status = client.update(move_of(&gone, Some(&root))).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}
