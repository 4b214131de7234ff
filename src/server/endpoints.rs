//! What can be called, by the names that metrics and traces have for it. There are so many and no more, whatever
//! callers send.

use std::ops::Range;

use http::Method;
use prost::Message;
use prost_types::FileDescriptorSet;

use super::call::Face;
use crate::error::Cause;
use crate::{grpc, rest};

/// The name of whatever is none of those, by the semantic conventions of OpenTelemetry.
pub(super) const OTHER: &str = "_OTHER";

/// The methods with a name of their own, by the same conventions.
pub(super) const METHODS: [Method; 9] = [
    Method::GET,
    Method::POST,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::HEAD,
    Method::PUT,
    Method::CONNECT,
    Method::TRACE,
];

/// The paths that need no API key.
const PUBLIC: [&str; 10] = [
    "/livez",
    "/readyz",
    "/openapi.json",
    "/docs",
    "/docs/",
    "/docs/{*page}",
    "/",
    "/favicon.svg",
    "/licenses.txt",
    "/assets/{file}",
];

/// What was called, by its place in the lists. The place after the last one is that of what is not in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Rpc(usize),
    Path { method: usize, route: usize },
}

/// All that can be called.
#[derive(Debug)]
pub(super) struct Endpoints {
    /// As in `package.Service/Method`.
    rpcs: Vec<String>,
    routes: Vec<Route>,
    /// Those of the routes that need no API key.
    public: Range<usize>,
}

/// A path with at most one part that differs from call to call.
#[derive(Debug)]
struct Route {
    template: String,
    before: String,
    /// What comes after the part; `None` when there is no such part.
    after: Option<String>,
    /// Whether the part may have slashes in it.
    is_open: bool,
}

impl Endpoints {
    /// Those of the RPC services and of the described paths.
    ///
    /// # Errors
    ///
    /// That a descriptor set is broken, which only a broken build has.
    pub(super) fn new() -> Result<Self, Cause> {
        let sets = [
            grpc::DESCRIPTOR,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let mut rpcs = Vec::new();
        for set in sets {
            for file in FileDescriptorSet::decode(set)?.file {
                for service in &file.service {
                    let name = |method: &str| format!("{}.{}/{method}", file.package(), service.name());
                    rpcs.extend(service.method.iter().map(|method| name(method.name())));
                }
            }
        }
        // What is called most is found first.
        let mut routes: Vec<Route> = rest::paths().into_iter().map(Route::new).collect();
        let public = routes.len()..routes.len() + PUBLIC.len();
        routes.extend(PUBLIC.map(|path| Route::new(path.to_owned())));
        Ok(Self { rpcs, routes, public })
    }

    /// What a request is for.
    pub(super) fn of(&self, face: Face, method: &Method, path: &str) -> Endpoint {
        match face {
            Face::Grpc => {
                let name = path.strip_prefix('/').unwrap_or(path);
                Endpoint::Rpc(place(&self.rpcs, |rpc| rpc == name))
            }
            Face::Rest => Endpoint::Path {
                method: place(&METHODS, |known| known == method),
                route: place(&self.routes, |route| route.matches(path)),
            },
        }
    }

    /// Whether it is a path that needs no API key.
    pub(super) fn is_public(&self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::Rpc(_) => false,
            Endpoint::Path { route, .. } => self.public.contains(&route),
        }
    }

    /// How many RPCs there are, with the one that is all others.
    pub(super) fn rpcs(&self) -> usize {
        self.rpcs.len() + 1
    }

    /// How many paths there are, with the one that is all others.
    pub(super) fn routes(&self) -> usize {
        self.routes.len() + 1
    }

    /// The name of an RPC, as in `package.Service/Method`.
    pub(super) fn rpc(&self, place: usize) -> &str {
        self.rpcs.get(place).map_or(OTHER, String::as_str)
    }

    /// The template of a path; `None` for all that there is no handler for.
    pub(super) fn route(&self, place: usize) -> Option<&str> {
        self.routes.get(place).map(|route| route.template.as_str())
    }
}

/// The name of a method.
pub(super) fn method(place: usize) -> &'static str {
    static NAMES: [Method; METHODS.len()] = METHODS;
    NAMES.get(place).map_or(OTHER, Method::as_str)
}

impl Route {
    fn new(template: String) -> Self {
        let (before, rest) = template.split_once('{').unwrap_or((&template, ""));
        let after = rest.split_once('}');
        let (is_open, before) = (rest.starts_with('*'), before.to_owned());
        let after = after.map(|(_, after)| after.to_owned());
        Self { template, before, after, is_open }
    }

    fn matches(&self, path: &str) -> bool {
        let Some(after) = &self.after else {
            // The documented collection also has the slash that its documentation shows.
            let whole = path.strip_suffix('/').filter(|path| *path == rest::COLLECTION).unwrap_or(path);
            return whole == self.before;
        };
        let part = path.strip_prefix(self.before.as_str()).and_then(|rest| rest.strip_suffix(after.as_str()));
        part.is_some_and(|part| !part.is_empty() && (self.is_open || !part.contains('/')))
    }
}

fn place<T>(list: &[T], is_it: impl Fn(&T) -> bool) -> usize {
    list.iter().position(is_it).unwrap_or(list.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_the_template_of_its_handler() {
        let endpoints = Endpoints::new().unwrap();
        for (path, template) in [
            ("/livez", Some("/livez")),
            ("/docs/", Some("/docs/")),
            ("/docs/index.html", Some("/docs/{*page}")),
            ("/docs/a/b.js", Some("/docs/{*page}")),
            ("/api/setup/customer-group", Some("/api/setup/customer-group")),
            ("/api/setup/customer-group/", Some("/api/setup/customer-group")),
            ("/api/setup/customer-group:batchGet", Some("/api/setup/customer-group:batchGet")),
            ("/api/setup/customer-group/x", Some("/api/setup/customer-group/{id}")),
            ("/api/setup/customer-group/x/children", Some("/api/setup/customer-group/{id}/children")),
            ("/api/setup/customer-group/children", Some("/api/setup/customer-group/{id}")),
            ("/api/setup/customer-group//children", None),
            ("/api/setup/customer-group/x/", None),
            ("/api/setup/customer-group/x/y", None),
            ("/livez/", None),
            ("/", Some("/")),
            ("/assets/index-0a1b2c3d.js", Some("/assets/{file}")),
            ("/assets/", None),
            ("//", None),
        ] {
            let Endpoint::Path { method: 0, route } = endpoints.of(Face::Rest, &Method::GET, path) else {
                panic!("{path} is no path");
            };
            assert_eq!(endpoints.route(route), template, "{path}");
        }
    }

    #[test]
    fn every_rpc_has_its_name_and_all_others_one_together() {
        let endpoints = Endpoints::new().unwrap();
        let name = |path: &str| match endpoints.of(Face::Grpc, &Method::POST, path) {
            Endpoint::Rpc(place) => endpoints.rpc(place),
            Endpoint::Path { .. } => panic!("{path} is a path"),
        };
        for known in [
            "overplane.setup.v1.CustomerGroupService/GetCustomerGroup",
            "overplane.setup.v1.CustomerGroupService/StreamCustomerGroupDescendants",
            "grpc.health.v1.Health/Check",
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert_eq!(name(&format!("/{known}")), known);
        }
        for other in ["/overplane.setup.v1.CustomerGroupService/Nonsense", "/nonsense", "/", ""] {
            assert_eq!(name(other), OTHER);
        }
    }
}
