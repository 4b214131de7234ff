//! Customer groups: the tree by which an ERP sorts its customers, over gRPC and REST on PostgreSQL.
//!
//! A request has one way through the house, and its answer the same way back:
//!
//! | room | what is in it |
//! |---|---|
//! | [`server`] | the listener and the threads that serve; what every call goes through: request id, log line, API key, deadline |
//! | [`grpc`], [`rest`] | the faces: from the wire to the domain and back, and errors as each face writes them |
//! | `explorer` | the page that shows the tree in a browser |
//! | [`service`] | the use cases |
//! | [`store`] | all SQL |
//! | [`domain`] | what a customer group is; values that are valid because they were parsed |
//! | [`error`] | the one error type, and the table of what callers see of it |
//! | [`auth`] | API keys |
//! | [`audit`] | who changed what, in the log |
//! | [`files`] | groups in files, for import and export |
//! | [`config`], [`telemetry`], [`commands`] | from the command line to a running service |
//! | `pem` | certificates and keys from files, for callers and for PostgreSQL |
//! | [`histogram`] | counts by size, for metrics |
//! | [`traces`] | traces of calls, for a collector |
//! | [`embedded`] | a private PostgreSQL for when none is configured |
//!
//! For example `GetCustomerGroup`: [`server`] accepts the connection, gives it to one of its threads, and hands the
//! request to the gRPC face, whose handler calls [`service::Service::get`], which parses the id and calls
//! [`store::Store::get`], which asks for the group together with others that are asked for at the time, and makes a
//! [`domain::CustomerGroup`] of its row. The handler makes a message of it.
//! Whatever goes wrong on the way is an [`error::Error`], and is written by the face that the request came in
//! by.

pub mod audit;
pub mod auth;
pub mod commands;
pub mod config;
pub mod domain;
pub mod embedded;
pub mod error;
mod explorer;
pub mod files;
pub mod grpc;
pub mod histogram;
mod pem;
pub mod rest;
pub mod server;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod traces;
