//! A tour of the API with tonic: `API_KEY=sk_test_… cargo run --locked --example client`.
//!
//! In your own crate, make the stubs in `build.rs`, and take them in with `tonic::include_proto!("overplane.setup.v1")`:
//! `tonic_prost_build::configure().compile_protos(&["overplane/setup/v1/customer_group.proto"], &["proto"])`.
//! For `https`, give tonic the features `tls-ring` and `tls-native-roots`, and the endpoint a `ClientTlsConfig`.

use std::{env, error::Error, time::Duration};

use customer_groups::grpc::pb::customer_group_service_client::CustomerGroupServiceClient;
use customer_groups::grpc::pb::{self, CustomerGroup};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::{InterceptedService, Interceptor};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

type Client = CustomerGroupServiceClient<InterceptedService<Channel, EveryCall>>;

const DEADLINE: Duration = Duration::from_secs(10);

/// Gives every call the API key and a deadline.
#[derive(Clone)]
struct EveryCall(MetadataValue<Ascii>);

impl Interceptor for EveryCall {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        request.set_timeout(DEADLINE);
        Ok(request)
    }
}

/// Repeats a call while the service is away. Only for reads, and creates with an idempotency key.
async fn retrying<T>(call: impl AsyncFn() -> Result<Response<T>, Status>) -> Result<Response<T>, Status> {
    for pause in [100, 400] {
        match call().await {
            Err(status) if status.code() == Code::Unavailable => {}
            answer => return answer,
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    call().await
}

fn names(groups: &[CustomerGroup]) -> String {
    groups.iter().map(|group| group.customer_group_name.as_str()).collect::<Vec<_>>().join(", ")
}

fn named(name: &str) -> CustomerGroup {
    CustomerGroup { customer_group_name: name.to_owned(), ..Default::default() }
}

/// All or none, in one call. A parent in the same call is named by its reference.
async fn create_tree(client: &Client) -> Result<Vec<CustomerGroup>, Status> {
    let entry = |name: &str, parent: Option<&str>| pb::NewCustomerGroupEntry {
        customer_group: Some(named(name).into()),
        reference: Some(name.to_owned()),
        parent_reference: parent.map(str::to_owned),
    };
    let mut requests = vec![entry("All customers", None)];
    requests.extend(["Wholesale", "Retail", "Online"].map(|name| entry(name, Some("All customers"))));
    requests.push(entry("Export", Some("Wholesale")));
    let request = pb::BatchCreateCustomerGroupsRequest { requests };
    let created = client.clone().batch_create_customer_groups(request).await?.into_inner().data;
    println!("created: {}", names(&created));
    Ok(created)
}

async fn show_lists(client: &Client, parent: &CustomerGroup) -> Result<(), Status> {
    type Filters = pb::ListCustomerGroupsRequest;
    let roots = Filters { parent_id: Some("null".to_owned()), ..Default::default() };
    let search = Filters { customer_group_name: Some("SALE".to_owned()), ..Default::default() };
    for (what, filters) in [("roots", roots), ("SALE in the name", search)] {
        let list = async || client.clone().list_customer_groups(filters.clone()).await;
        let found = retrying(list).await?.into_inner();
        println!("{what}: {} of {}: {}", found.data.len(), found.total, names(&found.data));
    }
    let (id, limit) = (parent.id.clone(), Some(2));
    let mut request = pb::ListCustomerGroupChildrenRequest { id, limit, ..Default::default() };
    loop {
        let list = async || client.clone().list_customer_group_children(request.clone()).await;
        let page = retrying(list).await?.into_inner();
        println!("page of children: {}", names(&page.data));
        if !page.has_more {
            return Ok(());
        }
        request.starting_after = page.data.last().map(|group| group.id.clone());
    }
}

/// Changes the version that was read. When that is no longer the current one, reads and tries again.
async fn set_terms(client: &Client, mut group: CustomerGroup, terms: &str) -> Result<(), Status> {
    for attempt in 1.. {
        let (id, payment_terms) = (group.id.clone(), Some(terms.to_owned()));
        let request = pb::UpdateCustomerGroupRequest {
            customer_group: Some(CustomerGroup { id, payment_terms, ..Default::default() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["payment_terms".to_owned()] }),
            etag: group.etag,
        };
        let refused = match client.clone().update_customer_group(request).await {
            Ok(updated) => {
                let updated = updated.into_inner();
                println!("updated: {} has {}", updated.customer_group_name, updated.payment_terms());
                break;
            }
            Err(refused) => refused,
        };
        let is_stale = refused.get_details_error_info().is_some_and(|info| info.reason == "ETAG_MISMATCH");
        if !is_stale || attempt == 3 {
            return Err(refused);
        }
        println!("refused: ETAG_MISMATCH, so read again");
        let request = pb::GetCustomerGroupRequest { id: group.id };
        let get = async || client.clone().get_customer_group(request.clone()).await;
        group = retrying(get).await?.into_inner();
    }
    Ok(())
}

/// Makes one group, however often it is called with the same idempotency key.
async fn create(client: &Client, key: &str, group: CustomerGroup) -> Result<(), Box<dyn Error>> {
    let key: MetadataValue<Ascii> = key.parse()?;
    let create = async || {
        let customer_group = Some(group.clone());
        let mut request = Request::new(pb::CreateCustomerGroupRequest { customer_group });
        request.metadata_mut().insert("idempotency-key", key.clone());
        client.clone().create_customer_group(request).await
    };
    match retrying(create).await {
        Ok(created) => {
            let replayed = created.metadata().contains_key("idempotent-replayed");
            let name = &created.get_ref().customer_group_name;
            println!("created: {name}{}", if replayed { ", already" } else { "" });
        }
        Err(refused) => {
            let bad_request = refused.get_details_bad_request().ok_or(refused)?;
            for wrong in bad_request.field_violations {
                println!("refused: {}: {}", wrong.field, wrong.description);
            }
        }
    }
    Ok(())
}

/// A parent comes before its children, so that in the reverse order no group has children any more.
async fn delete_tree(client: &Client, root: &CustomerGroup) -> Result<(), Box<dyn Error>> {
    let request = pb::StreamCustomerGroupDescendantsRequest { id: root.id.clone(), ..Default::default() };
    let mut stream = client.clone().stream_customer_group_descendants(request).await?.into_inner();
    let mut ids = vec![root.id.clone()];
    while let Some(group) = tokio::time::timeout(DEADLINE, stream.message()).await?? {
        println!("streamed: {}", group.customer_group_name);
        ids.push(group.id);
    }
    for id in ids.iter().rev() {
        let request = pb::DeleteCustomerGroupRequest { id: id.clone(), ..Default::default() };
        client.clone().delete_customer_group(request).await?;
    }
    println!("deleted: {} groups", ids.len());
    Ok(())
}

async fn tour() -> Result<(), Box<dyn Error>> {
    let address = env::var("ADDRESS").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let key = env::var("API_KEY").map_err(|_| "API_KEY is not set; give it a key that may write")?;
    // Connects at the first call, and anew when the connection is lost. The last clone closes it.
    let channel = Endpoint::from_shared(address)?.connect_timeout(DEADLINE).connect_lazy();
    let client = Client::new(InterceptedService::new(channel, EveryCall(format!("Bearer {key}").parse()?)));

    let created = create_tree(&client).await?;
    let [root, wholesale, ..] = &created[..] else { return Err("the batch has too few groups".into()) };
    show_lists(&client, root).await?;
    set_terms(&client, wholesale.clone(), "Net 30").await?;
    // What was read before is no longer the current version.
    set_terms(&client, wholesale.clone(), "Net 60").await?;
    let orphan = CustomerGroup { parent_id: Some("nobody".to_owned()), ..Default::default() };
    create(&client, &format!("nameless of {}", root.id), orphan).await?;
    let outlet = CustomerGroup { parent_id: Some(root.id.clone()), ..named("Outlet") };
    for _ in 0..2 {
        create(&client, &format!("outlet of {}", root.id), outlet.clone()).await?;
    }
    delete_tree(&client, root).await
}

#[tokio::main]
async fn main() {
    if let Err(error) = tour().await {
        eprintln!("the tour ended early: {error}");
        std::process::exit(1);
    }
}
