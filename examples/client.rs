//! A tour of the API with tonic: `API_KEY=sk_test_… cargo run --locked --example client`.
//!
//! In your own crate, generate the stubs in `build.rs` and include them with `tonic::include_proto!("overplane.setup.v1")`:
//! `tonic_prost_build::configure().compile_protos(&["overplane/setup/v1/customer_group.proto"], &["proto"])`.
//! For `https`, enable tonic's features `tls-ring` and `tls-native-roots`, and set a `ClientTlsConfig` on the endpoint.

use std::{env, error::Error, time::Duration};

use customer_groups::testing::pb::customer_group_service_client::CustomerGroupServiceClient;
use customer_groups::testing::pb::{self, CustomerGroup};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::{InterceptedService, Interceptor};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

type Client = CustomerGroupServiceClient<InterceptedService<Channel, CallDefaults>>;

const DEADLINE: Duration = Duration::from_secs(10);

/// Adds the API key and a deadline to every call.
#[derive(Clone)]
struct CallDefaults(MetadataValue<Ascii>);

impl Interceptor for CallDefaults {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        request.set_timeout(DEADLINE);
        Ok(request)
    }
}

/// Retries a call while the service is unavailable. Only for reads, and for creates with an idempotency key.
async fn with_retries<T>(call: impl AsyncFn() -> Result<Response<T>, Status>) -> Result<Response<T>, Status> {
    for pause in [100, 400] {
        match call().await {
            Err(status) if status.code() == Code::Unavailable => {}
            result => return result,
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

/// Creates a tree in one atomic call. An entry names its parent by the reference of another entry.
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
    for (label, filters) in [("roots", roots), ("name contains SALE", search)] {
        let list = async || client.clone().list_customer_groups(filters.clone()).await;
        let found = with_retries(list).await?.into_inner();
        println!("{label}: {} of {}: {}", found.data.len(), found.total, names(&found.data));
    }
    let (id, limit) = (parent.id.clone(), Some(2));
    let mut request = pb::ListCustomerGroupChildrenRequest { id, limit, ..Default::default() };
    loop {
        let list = async || client.clone().list_customer_group_children(request.clone()).await;
        let page = with_retries(list).await?.into_inner();
        println!("page of children: {}", names(&page.data));
        if !page.has_more {
            return Ok(());
        }
        request.starting_after = page.data.last().map(|group| group.id.clone());
    }
}

/// Updates the version that was read. If the group has changed since, reads it again and retries.
async fn set_terms(client: &Client, mut group: CustomerGroup, terms: &str) -> Result<(), Status> {
    for attempt in 1.. {
        let (id, payment_terms) = (group.id.clone(), Some(terms.to_owned()));
        let request = pb::UpdateCustomerGroupRequest {
            customer_group: Some(CustomerGroup { id, payment_terms, ..Default::default() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["payment_terms".to_owned()] }),
            etag: group.etag,
        };
        let error = match client.clone().update_customer_group(request).await {
            Ok(updated) => {
                let updated = updated.into_inner();
                println!("updated: {} has {}", updated.customer_group_name, updated.payment_terms());
                break;
            }
            Err(error) => error,
        };
        let is_stale = error.get_details_error_info().is_some_and(|info| info.reason == "ETAG_MISMATCH");
        if !is_stale || attempt == 3 {
            return Err(error);
        }
        println!("rejected: ETAG_MISMATCH; reading again");
        let request = pb::GetCustomerGroupRequest { id: group.id };
        let get = async || client.clone().get_customer_group(request.clone()).await;
        group = with_retries(get).await?.into_inner();
    }
    Ok(())
}

/// Creates a group. A repeated call with the same idempotency key creates no second one.
async fn create(client: &Client, key: &str, group: CustomerGroup) -> Result<(), Box<dyn Error>> {
    let key: MetadataValue<Ascii> = key.parse()?;
    let create = async || {
        let customer_group = Some(group.clone());
        let mut request = Request::new(pb::CreateCustomerGroupRequest { customer_group });
        request.metadata_mut().insert("idempotency-key", key.clone());
        client.clone().create_customer_group(request).await
    };
    match with_retries(create).await {
        Ok(created) => {
            let replayed = created.metadata().contains_key("idempotent-replayed");
            let name = &created.get_ref().customer_group_name;
            println!("created: {name}{}", if replayed { " (replayed)" } else { "" });
        }
        Err(error) => {
            let bad_request = error.get_details_bad_request().ok_or(error)?;
            for violation in bad_request.field_violations {
                println!("rejected: {}: {}", violation.field, violation.description);
            }
        }
    }
    Ok(())
}

/// Deletes a tree bottom-up. The stream lists parents before children, so the reverse order is safe.
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
    let key = env::var("API_KEY").map_err(|_| "API_KEY is not set; set it to a key with write access")?;
    // Connects on the first call and reconnects after a lost connection. Dropping the last clone closes the connection.
    let channel = Endpoint::from_shared(address)?.connect_timeout(DEADLINE).connect_lazy();
    let client =
        Client::new(InterceptedService::new(channel, CallDefaults(format!("Bearer {key}").parse()?)));

    let created = create_tree(&client).await?;
    let [root, wholesale, ..] = &created[..] else {
        return Err("the batch response has too few groups".into());
    };
    show_lists(&client, root).await?;
    set_terms(&client, wholesale.clone(), "Net 30").await?;
    // `wholesale` is stale now, so this update is rejected and retried.
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
        eprintln!("the tour failed: {error}");
        std::process::exit(1);
    }
}
