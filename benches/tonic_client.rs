//! Reads of one group with tonic's client, as a caller in Rust would make them.

use std::net::SocketAddr;

use customer_groups::testing::pb::GetCustomerGroupRequest;
use customer_groups::testing::pb::customer_group_service_client::CustomerGroupServiceClient;
use futures_util::future::join_all;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use crate::database::{MILLION, id};
use crate::load::{Load, Tally};
use crate::service::authorization;

type Client = CustomerGroupServiceClient<Channel>;

/// Makes calls on one connection until the end of the load, and waits for the last responses.
pub async fn run(load: &Load, in_flight: usize) -> Tally {
    let client = connect(load.address).await;
    let mut whole = Tally::default();
    for tally in join_all((0..in_flight).map(|_| get_again_and_again(load, client.clone()))).await {
        whole.latencies.extend(tally.latencies);
    }
    whole
}

async fn connect(address: SocketAddr) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    Client::new(endpoint.connect().await.expect("a connection"))
}

async fn get_again_and_again(load: &Load, mut client: Client) -> Tally {
    let mut tally = Tally::default();
    let authorization: MetadataValue<Ascii> = authorization().parse().expect("a header's value");
    while load.goes_on() {
        let number = tally.random.below(MILLION);
        let id = id(number);
        let begun = std::time::Instant::now();
        let mut request = Request::new(GetCustomerGroupRequest { id: id.clone() });
        request.metadata_mut().insert("authorization", authorization.clone());
        let group = client.get_customer_group(request).await.expect("an answer").into_inner();
        let right = group.id == id && group.customer_group_name == format!("group {number}");
        assert!(right, "{id} was answered with {group:?}");
        tally.count(begun);
    }
    tally
}
