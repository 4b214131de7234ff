//! DeleteCustomerGroup.

use tonic::Code;

use crate::get::WILD_IDS;
use crate::support::{Api, Calls, below, named, reason};

#[tokio::test]
async fn a_deleted_group_is_gone_and_a_second_delete_finds_none() {
    let client = Api::start().await.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let answer = client.delete(&group.id).await.unwrap();
    assert_eq!((answer.id.as_str(), answer.deleted), (group.id.as_str(), true));
    assert_eq!(client.get(&group.id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(client.delete(&group.id).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_group_with_children_is_not_deleted() {
    let client = Api::start().await.client().await;
    let parent = client.create(named("All customers")).await.unwrap();
    let child = client.create(below(&parent, "Export")).await.unwrap();
    let status = client.delete(&parent.id).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(reason(&status), "HAS_CHILDREN");
    assert_eq!(client.get(&parent.id).await.unwrap(), parent);

    client.delete(&child.id).await.unwrap();
    client.delete(&parent.id).await.unwrap();
}

#[tokio::test]
async fn a_text_that_is_no_id_is_not_found() {
    let client = Api::start().await.client().await;
    for id in WILD_IDS {
        assert_eq!(client.delete(id).await.unwrap_err().code(), Code::NotFound, "{id:?}");
    }
}
