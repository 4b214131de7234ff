//! The published description of the API (OpenAPI 3.1): the descriptions of the handlers, and the parts common to all.

mod batches;
mod errors;
mod fields;
mod inputs;

use std::collections::BTreeMap;

use utoipa::openapi::link::Link;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, HeaderBuilder, OpenApi, Ref, RefOr, Response, Schema};
use utoipa::{IntoResponses, Modify};
use utoipa_swagger_ui::{Config, SwaggerUi};

pub(super) use batches::{CustomerGroupIds, NewCustomerGroups};
pub(super) use errors::{
    BatchCreateErrors, BatchGetErrors, CreateErrors, DeleteErrors, GetErrors, ListErrors, TreeErrors,
    UpdateErrors,
};
pub(super) use fields::{CustomerGroupChanges, NewCustomerGroup, id};
pub(super) use inputs::{IdempotencyKey, IfMatch, IfNoneMatch, ListPage, TreePage};

use errors::{Always, ErrorSchema};
use inputs::parameter;

/// The id in the examples. Its time is the one of the other examples.
pub(super) const EXAMPLE_ID: &str = "customer-group_01hm679ne0fjmr24pa3eywnyp2";

/// The tag of all operations.
pub(super) const TAG: &str = "Customer groups";

const API_KEY: &str = "api_key";
const REQUEST_ID: &str = "X-Request-Id";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Customer groups",
        description = "The tree of customer groups of an ERP, each with a default price list and payment terms. The \
                       same contract is served over gRPC and gRPC-Web on the same port.",
        contact(name = "The maintainers of Customer groups", url = "https://overplane.dev"),
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "The server of this description.")),
    tags((name = TAG, description = "All calls. Errors have one shape, with a code for programs.")),
    security(("api_key" = [])),
    components(schemas(ErrorSchema)),
    modifiers(&Security)
)]
pub(super) struct Api;

struct Security;

impl Modify for Security {
    fn modify(&self, api: &mut OpenApi) {
        let description = "An API key, such as `sk_test_…`. Create one with `customer-groups keys create`.";
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
        api.components
            .get_or_insert_with(Components::default)
            .add_security_scheme(API_KEY, SecurityScheme::Http(bearer));
    }
}

/// The paths of [`pages`].
pub(super) const PATHS: [&str; 4] = ["/openapi.json", "/docs", "/docs/", "/docs/{*page}"];

/// The description at `/openapi.json`, and a page at `/docs` that shows it without files from other servers.
pub(super) fn pages(api: OpenApi) -> SwaggerUi {
    let config = Config::default().validator_url("none").try_it_out_enabled(true).use_base_layout();
    SwaggerUi::new("/docs").url("/openapi.json", api).config(config)
}

/// Adds the common parameters, headers and errors, and the links from a create to other operations.
pub(super) fn complete(mut api: OpenApi) -> OpenApi {
    let common = Always::responses();
    let links = links(&mut api);
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        let responses = &mut operation.responses.responses;
        if let Some(RefOr::T(created)) = responses.get_mut("201") {
            created.links.clone_from(&links);
        }
        responses.values_mut().for_each(add_request_id);
        for status in common.keys() {
            responses.insert(status.clone(), Ref::from_response_name(status).into());
        }
        let description = "The caller's own id for the request: 1 to 128 letters, digits or any of `-_.:`. It is \
                           returned and logged. Any other id is replaced by a new one.";
        let request_id = parameter(REQUEST_ID, ParameterIn::Header, description, string());
        operation.parameters.get_or_insert_default().push(request_id.into());
    }
    let components = api.components.get_or_insert_default();
    components.responses = common;
    components.responses.values_mut().for_each(add_request_id);
    api
}

fn add_request_id(response: &mut RefOr<Response>) {
    if let RefOr::T(response) = response {
        let header = HeaderBuilder::new().schema(Some(string()));
        let header = header.description(Some("The id of the request, as in the log."));
        response.headers.insert(REQUEST_ID.to_owned(), header.build().into());
    }
}

/// The operations on a group that was created.
fn links(api: &mut OpenApi) -> BTreeMap<String, RefOr<Link>> {
    let of_group = api.paths.paths.iter_mut().filter(|(path, _)| path.contains("{id}"));
    of_group
        .flat_map(|(_, item)| operations(item))
        .filter_map(|operation| operation.operation_id.clone())
        .map(|id| {
            let link = Link::builder().operation_id(&id).parameter("id", "$response.body#/id").build();
            (id, link.into())
        })
        .collect()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

fn string() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).into()
}
