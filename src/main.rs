//! The `customer-groups` program.

use std::process::ExitCode;

use customer_groups::cli;

fn main() -> ExitCode {
    cli::run_as_init().unwrap_or_else(run)
}

// The worker threads of the server serve the calls.
#[tokio::main(flavor = "current_thread")]
async fn run() -> ExitCode {
    cli::run(std::env::args_os()).await
}
