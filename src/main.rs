//! The `customer-groups` program.

use std::process::ExitCode;

// The worker threads of the server serve the calls.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    customer_groups::cli::run(std::env::args_os()).await
}
