//! Customer groups: the tree by which an ERP sorts its customers, over gRPC and REST on PostgreSQL.
//!
//! Every request takes the same path through these layers. A module uses only the modules below it.
//!
//! | module | contents |
//! |---|---|
//! | [`cli`], `config`, `embedded` | commands, settings, and a private PostgreSQL when no database is configured |
//! | `listen` | listener, worker threads, TLS, throttling, drain |
//! | `router` | the path of a request to its handler; CORS, probes, explorer |
//! | `grpc`, `rest` | the two protocols: wire formats to the domain and back, and the rendering of errors |
//! | `admission` | authentication, rate limit, concurrency limit, deadline |
//! | `observe` | access log, call metrics, call spans; the metrics exporter |
//! | `api` | error mapping, header names, and the context of a call, for both protocols |
//! | `service` | use cases and the audit log |
//! | `auth`, `files` | the cache of API keys; CSV and NDJSON files |
//! | `store` | all SQL |
//! | `fair_share` | permits of which one API key can take only a share |
//! | `error`, `domain` | the one error type; customer groups and their fields |
//! | `pem`, [`telemetry`] | certificates and keys from files; log, traces and histograms |

mod admission;
mod api;
mod auth;
pub mod cli;
mod config;
mod domain;
mod embedded;
mod error;
mod fair_share;
mod files;
mod grpc;
mod listen;
mod observe;
mod pem;
mod rest;
mod router;
mod service;
mod store;
pub mod telemetry;
pub mod testing;
