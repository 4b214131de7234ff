//! The behaviour of the service, seen from outside: real clients over real sockets, on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod auth;
mod batch;
mod broken_lists;
mod concurrency;
mod contract;
mod create;
mod embedded;
mod failover;
mod faults;
mod floods;
mod frames;
mod fuzz;
mod grpc_web;
mod hostile;
mod idempotency;
mod keys;
mod list;
mod model;
mod nothing_lost;
mod openapi;
mod overload;
mod process;
mod reads;
mod rest;
mod rolling;
mod server;
mod slow_readers;
mod standby;
mod store;
mod stream;
mod support;
mod update;
mod verify;
mod versions;
mod walks;
