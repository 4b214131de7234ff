//! A call of the contract, and its form in each protocol.

use std::net::SocketAddr;
use std::sync::LazyLock;

use customer_groups::testing::{DESCRIPTOR, TextField, pb};
use http::HeaderMap;
use hyper::body::Bytes;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Value as Reflected};
use serde_json::{Map, Value, json};

use super::error::ApiError;
use crate::rest::COLLECTION;
use crate::support::http::request;
use crate::support::protocol::{Protocol, rpc};

/// The page of a list: `limit`, `offset` and `starting_after`.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub limit: Option<i32>,
    pub offset: Option<i32>,
    pub starting_after: Option<String>,
}

impl From<(Option<i32>, Option<i32>)> for Page {
    fn from((limit, offset): (Option<i32>, Option<i32>)) -> Self {
        Self { limit, offset, starting_after: None }
    }
}

/// The filters of the list of all groups.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub parent_id: Option<String>,
    pub customer_group_name: Option<String>,
}

/// A call. Ids are texts, so that they can be malformed.
#[derive(Debug, Clone)]
pub enum Call {
    Get(String),
    List(Page),
    /// The filtered list.
    Filtered(Filter, Page),
    Create(Value),
    Update(String, Value),
    Delete(String),
    /// The entries.
    BatchCreate(Vec<Value>),
    BatchGet(Vec<String>),
    Children(String, Page),
    Ancestors(String, Page),
    Descendants(String, Page),
    /// The stream of descendants. Over REST, the data of their list.
    StreamDescendants(String, Page),
    /// A body that is neither a message nor JSON.
    Malformed,
    /// A body over the size limit.
    TooLarge,
    /// An unknown route or method.
    UnknownRoute,
    /// A raw REST request: method, path after that of the collection, and content type of the body.
    Http(&'static str, &'static str, Option<&'static str>),
    /// A raw body, sent to the path after that of the collection.
    Post(&'static str, Value),
    /// An update with these paths in its mask. RPC only.
    Masked(String, Value, Vec<&'static str>),
}

/// The headers or metadata of a call.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    pub authorization: Option<String>,
    pub if_match: Option<String>,
    pub idempotency_key: Option<String>,
    pub cache_control: Option<String>,
}

/// Makes the call and returns its result in the form of REST.
pub async fn make(
    protocol: Protocol,
    address: SocketAddr,
    call: &Call,
    with: &CallOptions,
) -> Result<Value, ApiError> {
    match protocol {
        Protocol::Rest => over_rest(address, call, with).await,
        Protocol::Grpc | Protocol::GrpcWeb | Protocol::GrpcWebText | Protocol::GrpcWebOverHttp2 => {
            over_grpc(protocol, address, call, with).await
        }
    }
}

async fn over_rest(address: SocketAddr, call: &Call, with: &CallOptions) -> Result<Value, ApiError> {
    let named = json!({"customer_group_name": "a"}).to_string();
    let large = || json!({"customer_group_name": "n".repeat(5_000_000)}).to_string();
    let (method, path, body) = match call {
        Call::Get(id) => ("GET", object_path(id), None),
        Call::List(page) => ("GET", format!("{COLLECTION}{}", query(page)), None),
        Call::Filtered(filter, page) => ("GET", format!("{COLLECTION}{}", filtered(filter, page)), None),
        Call::Create(body) => ("POST", COLLECTION.to_owned(), Some(body.to_string())),
        Call::Update(id, body) => ("PATCH", object_path(id), Some(body.to_string())),
        Call::Delete(id) => ("DELETE", object_path(id), None),
        Call::BatchCreate(entries) => {
            ("POST", format!("{COLLECTION}:batchCreate"), Some(json!({"requests": entries}).to_string()))
        }
        Call::BatchGet(ids) => {
            ("POST", format!("{COLLECTION}:batchGet"), Some(json!({"ids": ids}).to_string()))
        }
        Call::Post(path, body) => ("POST", format!("{COLLECTION}{path}"), Some(body.to_string())),
        Call::Children(id, page) => ("GET", format!("{}/children{}", object_path(id), query(page)), None),
        Call::Ancestors(id, page) => ("GET", format!("{}/ancestors{}", object_path(id), query(page)), None),
        Call::Descendants(id, page) | Call::StreamDescendants(id, page) => {
            ("GET", format!("{}/descendants{}", object_path(id), query(page)), None)
        }
        Call::Malformed => ("POST", COLLECTION.to_owned(), Some("{".to_owned())),
        Call::TooLarge => ("POST", COLLECTION.to_owned(), Some(large())),
        Call::UnknownRoute => ("GET", format!("{COLLECTION}/a/b/c"), None),
        Call::Http(method, path, _) => (*method, format!("{COLLECTION}{path}"), Some(named)),
        Call::Masked(..) => panic!("REST has no masks"),
    };
    let mut headers = Vec::new();
    match call {
        Call::Http(_, _, content_type) => headers.extend(content_type.map(|kind| ("content-type", kind))),
        _ if body.is_some() => headers.push(("content-type", "application/json")),
        _ => {}
    }
    for (name, value) in [
        ("authorization", &with.authorization),
        ("if-match", &with.if_match),
        ("idempotency-key", &with.idempotency_key),
        ("cache-control", &with.cache_control),
    ] {
        headers.extend(value.as_deref().map(|value| (name, value)));
    }
    let response = request(address, method, &path, &headers, body.unwrap_or_default()).await;
    if response.status.is_success() {
        let created = method == "POST" && !path.contains(":batch");
        assert_eq!(response.status, if created { 201 } else { 200 }, "{call:?}");
        let location = response.headers.get("location").map(|location| location.to_str().unwrap());
        let id = response.json()["id"].as_str().map(|id| format!("{COLLECTION}/{id}"));
        assert_eq!(location, id.as_deref().filter(|_| created), "{call:?}");
        Ok(match call {
            Call::StreamDescendants(..) => json!({"data": response.json()["data"]}),
            _ => with_headers(call, response.json(), &response.headers),
        })
    } else {
        Err(ApiError::from_rest(&response))
    }
}

fn object_path(id: &str) -> String {
    let escaped: String =
        form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>().replace('+', "%20");
    format!("{COLLECTION}/{escaped}")
}

fn query(page: &Page) -> String {
    filtered(&Filter::default(), page)
}

fn filtered(filter: &Filter, page: &Page) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, number) in [("limit", page.limit), ("offset", page.offset)] {
        query.extend_pairs(number.map(|number| (name, number.to_string())));
    }
    query.extend_pairs(page.starting_after.as_ref().map(|id| ("starting_after", id)));
    query.extend_pairs(filter.parent_id.as_ref().map(|id| ("parent_id", id)));
    query.extend_pairs(filter.customer_group_name.as_ref().map(|name| ("customer_group_name", name)));
    Some(query.finish())
        .filter(|query| !query.is_empty())
        .map_or_else(String::new, |query| format!("?{query}"))
}

/// Adds what REST returns in headers and gRPC in the message or metadata.
fn with_headers(call: &Call, mut response: Value, headers: &HeaderMap) -> Value {
    if let Some(etag) = headers.get("etag") {
        response["etag"] = json!(etag.to_str().unwrap());
    }
    if matches!(call, Call::Create(_) | Call::BatchCreate(_)) {
        response["replayed"] = json!(headers.contains_key("idempotent-replayed"));
    }
    response
}

async fn over_grpc(
    protocol: Protocol,
    address: SocketAddr,
    call: &Call,
    with: &CallOptions,
) -> Result<Value, ApiError> {
    let (method, message) = message(call, with.if_match.as_deref().unwrap_or_default());
    let mut metadata = Vec::new();
    for (name, value) in [
        ("authorization", &with.authorization),
        ("idempotency-key", &with.idempotency_key),
        ("cache-control", &with.cache_control),
    ] {
        metadata.extend(value.as_deref().map(|value| (name, value)));
    }
    let response = rpc(protocol, address, method, &metadata, &message).await;
    match (response.status.code(), call) {
        (tonic::Code::Ok, Call::StreamDescendants(..)) => {
            let groups = response.messages.into_iter().map(|group| pb::CustomerGroup::decode(group).unwrap());
            Ok(json!({"data": groups.map(|group| object(&group)).collect::<Vec<_>>()}))
        }
        (tonic::Code::Ok, _) => Ok(with_headers(call, json_of(call, response.message()), &response.metadata)),
        _ => Err(ApiError::from_grpc(&response.status)),
    }
}

fn message(call: &Call, etag: &str) -> (&'static str, Vec<u8>) {
    macro_rules! of_tree {
        ($method:literal, $request:ident, $of:expr, $page:expr) => {{
            let Page { limit, offset, starting_after } = $page.clone();
            ($method, pb::$request { id: $of.clone(), limit, offset, starting_after }.encode_to_vec())
        }};
    }
    let (id, etag) = (String::clone, etag.to_owned());
    match call {
        Call::Get(of) => ("GetCustomerGroup", pb::GetCustomerGroupRequest { id: id(of) }.encode_to_vec()),
        Call::List(page) => list(&Filter::default(), page),
        Call::Filtered(filter, page) => list(filter, page),
        Call::Create(body) => {
            let request = pb::CreateCustomerGroupRequest { customer_group: Some(group(body)) };
            ("CreateCustomerGroup", request.encode_to_vec())
        }
        // A mask without paths would mean the populated fields, and there are none then.
        Call::Update(of, body) => update(of, body, body.as_object().unwrap().keys().cloned().collect(), etag),
        Call::Masked(of, body, paths) => {
            update(of, body, paths.iter().map(ToString::to_string).collect(), etag)
        }
        Call::Delete(of) => {
            ("DeleteCustomerGroup", pb::DeleteCustomerGroupRequest { id: id(of), etag }.encode_to_vec())
        }
        Call::BatchCreate(entries) => {
            let request =
                pb::BatchCreateCustomerGroupsRequest { requests: entries.iter().map(entry).collect() };
            ("BatchCreateCustomerGroups", request.encode_to_vec())
        }
        Call::BatchGet(ids) => {
            let request = pb::BatchGetCustomerGroupsRequest { ids: ids.clone() };
            ("BatchGetCustomerGroups", request.encode_to_vec())
        }
        Call::Children(of, page) => {
            of_tree!("ListCustomerGroupChildren", ListCustomerGroupChildrenRequest, of, page)
        }
        Call::Ancestors(of, page) => {
            of_tree!("ListCustomerGroupAncestors", ListCustomerGroupAncestorsRequest, of, page)
        }
        Call::Descendants(of, page) => {
            of_tree!("ListCustomerGroupDescendants", ListCustomerGroupDescendantsRequest, of, page)
        }
        Call::StreamDescendants(of, page) => {
            of_tree!("StreamCustomerGroupDescendants", StreamCustomerGroupDescendantsRequest, of, page)
        }
        Call::Malformed => ("CreateCustomerGroup", vec![0xff]),
        Call::TooLarge => ("CreateCustomerGroup", vec![0; 5_000_000]),
        Call::UnknownRoute => ("NoSuchMethod", Vec::new()),
        Call::Http(..) | Call::Post(..) => panic!("an RPC is no REST"),
    }
}

fn list(filter: &Filter, page: &Page) -> (&'static str, Vec<u8>) {
    let Filter { parent_id, customer_group_name } = filter.clone();
    let Page { limit, offset, starting_after } = page.clone();
    let request =
        pb::ListCustomerGroupsRequest { limit, offset, starting_after, parent_id, customer_group_name };
    ("ListCustomerGroups", request.encode_to_vec())
}

fn update(id: &str, body: &Value, paths: Vec<String>, etag: String) -> (&'static str, Vec<u8>) {
    let customer_group = Some(pb::CustomerGroup { id: id.to_owned(), ..group(body) });
    let update_mask = Some(prost_types::FieldMask { paths });
    let request = pb::UpdateCustomerGroupRequest { customer_group, update_mask, etag };
    ("UpdateCustomerGroup", request.encode_to_vec())
}

/// An entry of a batch. All values must have the right type.
fn entry(body: &Value) -> pb::NewCustomerGroupEntry {
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    pb::NewCustomerGroupEntry {
        customer_group: body.get("customer_group").map(|body| Box::new(group(body))),
        reference: text("reference"),
        parent_reference: text("parent_reference"),
    }
}

/// The fields of a body. All values must have the right type; null means absent.
fn group(body: &Value) -> pb::CustomerGroup {
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let mut group = reflected(&pb::CustomerGroup {
        id: text("id").unwrap_or_default(),
        parent_id: text("parent_id"),
        is_group: body["is_group"].as_bool().unwrap_or_default(),
        customer_group_name: text("customer_group_name").unwrap_or_default(),
        ..Default::default()
    });
    for name in TextField::ALL.map(TextField::name) {
        if let Some(text) = text(name) {
            group.set_field_by_name(name, Reflected::String(text));
        }
    }
    group.transcode_to().unwrap()
}

/// The message with its fields by their names.
fn reflected(group: &pb::CustomerGroup) -> DynamicMessage {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTOR).unwrap());
    let descriptor = POOL.get_message_by_name("overplane.setup.v1.CustomerGroup").unwrap();
    DynamicMessage::decode(descriptor, group.encode_to_vec().as_slice()).unwrap()
}

fn json_of(call: &Call, message: Bytes) -> Value {
    macro_rules! list {
        ($response:ident) => {{
            let list = pb::$response::decode(message).unwrap();
            let data: Vec<Value> = list.data.iter().map(|group| Value::Object(object(group))).collect();
            json!({"data": data, "has_more": list.has_more, "total": list.total})
        }};
    }
    macro_rules! batch {
        ($response:ident) => {{
            let batch = pb::$response::decode(message).unwrap();
            let data: Vec<Value> = batch.data.iter().map(|group| Value::Object(object(group))).collect();
            json!({"data": data})
        }};
    }
    match call {
        Call::BatchCreate(_) => batch!(BatchCreateCustomerGroupsResponse),
        Call::BatchGet(_) => batch!(BatchGetCustomerGroupsResponse),
        Call::List(_) | Call::Filtered(..) => list!(ListCustomerGroupsResponse),
        Call::Children(..) => list!(ListCustomerGroupChildrenResponse),
        Call::Ancestors(..) => list!(ListCustomerGroupAncestorsResponse),
        Call::Descendants(..) => list!(ListCustomerGroupDescendantsResponse),
        Call::Delete(_) => {
            let response = pb::DeleteCustomerGroupResponse::decode(message).unwrap();
            json!({"id": response.id, "deleted": response.deleted})
        }
        Call::Get(_) | Call::Create(_) | Call::Update(..) | Call::Masked(..) => {
            let group = pb::CustomerGroup::decode(message).unwrap();
            let mut object = object(&group);
            object.insert("etag".to_owned(), json!(group.etag));
            Value::Object(object)
        }
        Call::StreamDescendants(..)
        | Call::Malformed
        | Call::TooLarge
        | Call::UnknownRoute
        | Call::Http(..)
        | Call::Post(..) => panic!("{call:?} has no such answer"),
    }
}

/// The documented fields as REST writes them.
fn object(group: &pb::CustomerGroup) -> Map<String, Value> {
    let time = |time: &Option<prost_types::Timestamp>| {
        let time = time.unwrap();
        let time = jiff::Timestamp::new(time.seconds, time.nanos).unwrap();
        format!("{time:.3}")
    };
    let mut object = json!({
        "id": group.id,
        "created_at": time(&group.created_at),
        "updated_at": time(&group.updated_at),
        "parent_id": group.parent_id,
        "is_group": group.is_group,
        "customer_group_name": group.customer_group_name,
    });
    let reflected = reflected(group);
    for name in TextField::ALL.map(TextField::name) {
        let text = reflected.has_field_by_name(name).then(|| reflected.get_field_by_name(name).unwrap());
        object[name] = json!(text.as_ref().map(|text| text.as_str().unwrap()));
    }
    object.as_object().unwrap().clone()
}
