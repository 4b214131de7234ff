//! All endpoints, by the names that metrics and traces use. The list is fixed: requests add nothing to it.

use http::Method;

use crate::api::Protocol;
use crate::error::BoxError;

/// The name of all other endpoints, by the semantic conventions of OpenTelemetry.
pub(crate) const OTHER: &str = "_OTHER";

/// The HTTP methods of the same conventions.
pub(super) const METHODS: [&str; 9] =
    ["GET", "POST", "PATCH", "DELETE", "OPTIONS", "HEAD", "PUT", "CONNECT", "TRACE"];

/// An endpoint, by its positions in the lists. The position after the last one stands for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Rpc(usize),
    Path { method: usize, route: usize },
}

/// The names of the endpoints of one kind.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Need an API key.
    pub(crate) protected: Vec<String>,
    pub(crate) public: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Endpoints {
    /// As in `package.Service/Method`; most frequent first.
    rpcs: Vec<String>,
    /// The services that need no API key, as in `/package.Service/`.
    public_services: Vec<String>,
    /// Path templates.
    routes: Vec<String>,
    /// The position of the first route that needs no API key.
    first_public: usize,
    /// From a path to the position of its route.
    matcher: matchit::Router<usize>,
}

impl Endpoints {
    /// Takes the RPCs, as in `package.Service/Method`, and the path templates. The path of `collection` may end with a
    /// slash.
    pub(crate) fn new(rpcs: Names, paths: Names, collection: &str) -> Result<Self, BoxError> {
        let service = |rpc: &String| rpc.split_once('/').map(|(service, _)| format!("/{service}/"));
        let mut public_services: Vec<String> = rpcs.public.iter().filter_map(service).collect();
        public_services.dedup();
        let first_public = paths.protected.len();
        let routes = [paths.protected, paths.public].concat();
        let mut matcher = matchit::Router::new();
        for (position, template) in routes.iter().enumerate() {
            matcher.insert(template, position)?;
            if template == collection {
                matcher.insert(format!("{collection}/"), position)?;
            }
        }
        let rpcs = [rpcs.protected, rpcs.public].concat();
        Ok(Self { rpcs, public_services, routes, first_public, matcher })
    }

    /// Returns the endpoint of a request.
    pub(crate) fn of(&self, protocol: Protocol, method: &Method, path: &str) -> Endpoint {
        match protocol {
            Protocol::Grpc => {
                let name = path.strip_prefix('/').unwrap_or(path);
                Endpoint::Rpc(position(&self.rpcs, name))
            }
            Protocol::Rest => Endpoint::Path {
                method: position(&METHODS, method.as_str()),
                route: self.matcher.at(path).map_or(self.routes.len(), |route| *route.value),
            },
        }
    }

    /// Whether the endpoint needs no API key.
    pub(super) fn is_public(&self, endpoint: Endpoint, path: &str) -> bool {
        match endpoint {
            // Also an unknown method of a public service.
            Endpoint::Rpc(_) => self.public_services.iter().any(|service| path.starts_with(service)),
            Endpoint::Path { route, .. } => (self.first_public..self.routes.len()).contains(&route),
        }
    }

    /// The number of RPCs, with one for all others.
    pub(super) fn rpcs(&self) -> usize {
        self.rpcs.len() + 1
    }

    /// The number of routes, with one for all others.
    pub(super) fn routes(&self) -> usize {
        self.routes.len() + 1
    }

    pub(crate) fn rpc(&self, position: usize) -> &str {
        self.rpcs.get(position).map_or(OTHER, String::as_str)
    }

    /// The template of a route; `None` for paths without a handler.
    pub(crate) fn route(&self, position: usize) -> Option<&str> {
        self.routes.get(position).map(String::as_str)
    }
}

pub(super) fn method(position: usize) -> &'static str {
    METHODS.get(position).copied().unwrap_or(OTHER)
}

fn position<T: AsRef<str>>(list: &[T], name: &str) -> usize {
    list.iter().position(|listed| listed.as_ref() == name).unwrap_or(list.len())
}
