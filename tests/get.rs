//! GetCustomerGroup.

use tonic::Code;

use crate::support::{Api, Calls, named, reason};

/// Texts that are no id of this service, some of them almost.
pub const WILD_IDS: [&str; 12] = [
    "",
    " ",
    "customer-group_",
    "customer-group_abc123",
    "customer-group_01H455VB4PEX5VSKNK084SN02Q",
    "customer-group_8zzzzzzzzzzzzzzzzzzzzzzzzz",
    "customer-group_00000000000000000000000000",
    "customer-group_01h455vb4pex5vsknk084sn02\0",
    "01890a5d-ac96-774b-bcce-b302099a8057",
    "'; drop table customer_group; --",
    "../../../etc/passwd",
    "🌳🌳🌳",
];

#[tokio::test]
async fn a_text_that_is_no_id_is_simply_not_found() {
    let client = Api::start().await.client().await;
    for id in WILD_IDS {
        let status = client.get(id).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{id:?}");
        assert_eq!(reason(&status), "RESOURCE_MISSING");
    }
}

#[tokio::test]
async fn an_id_of_no_group_is_not_found() {
    let client = Api::start().await.client().await;
    let status = client.get("customer-group_01h455vb4pex5vsknk084sn02q").await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains("customer-group_01h455vb4pex5vsknk084sn02q"), "{}", status.message());
}

#[tokio::test]
async fn a_read_that_begins_after_a_write_was_answered_sees_it() {
    let api = Api::start().await;
    let (writer, reader) = (api.client().await, api.client().await);
    for number in 0..50 {
        let created = writer.create(named(&format!("group {number}"))).await.unwrap();
        assert_eq!(reader.get(&created.id).await.unwrap(), created);
    }
}
