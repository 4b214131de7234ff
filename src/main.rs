//! The command line of `customer-groups`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use customer_groups::commands::{self, ExportArguments, ImportArguments, KeysCommand};
use customer_groups::config::{Config, Settings};
use customer_groups::error::chain;
use customer_groups::telemetry;

/// Keeps customer groups, the tree by which an ERP sorts its customers, and serves them over gRPC and REST.
///
/// Without a command it serves. Without a DATABASE_URL it does so on a private PostgreSQL of its own. Every
/// setting is a flag and an environment variable; the flag wins.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT (the default)
    Serve,
    /// Make, list and revoke API keys, whether the service runs or not
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Check the whole database, whether the service runs or not: exits with 0 when nothing is wrong, with 1 and a
    /// line for each thing that is, and with 2 when it cannot check
    Verify,
    /// Store the customer groups of a file, all or none, whether the service runs or not: exits with 0 when it is done,
    /// with 1 and a line for each thing that is wrong with the file, and with 2 when it cannot be done
    ///
    /// CSV has a header, with the fields of the API in any order: id, created_at, updated_at, parent_id, is_group,
    /// customer_group_name, parent_customer_group, default_price_list, payment_terms. NDJSON has an object of the API in
    /// each line. All but the name may be left out. A group keeps its id, or gets a new one.
    ///
    /// A file without id and parent_id, such as ERPNext's export of its Customer Groups, names parents by their names in
    /// parent_customer_group.
    Import(ImportArguments),
    /// Write all customer groups to a file, as they are at one instant, whether the service runs or not: exits with 0 when
    /// it is done, and with 2 when it cannot be done
    Export(ExportArguments),
}

// Calls are served by threads of their own.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Cli { command, settings } = Cli::parse();
    let config = match Config::parse(settings) {
        Ok(config) => config,
        Err(problems) => {
            for problem in problems {
                eprintln!("error: {problem}");
            }
            return ExitCode::from(2);
        }
    };
    telemetry::init(config.log_format, config.log_filter.clone());
    commands::write_no_core();
    let (done, failure) = match command {
        None | Some(Command::Serve) => (commands::serve(config).await.map(|()| true), ExitCode::FAILURE),
        Some(Command::Keys(command)) => {
            (commands::keys(config, command).await.map(|()| true), ExitCode::FAILURE)
        }
        Some(Command::Verify) => (commands::verify(config).await, ExitCode::from(2)),
        Some(Command::Import(arguments)) => (commands::import(config, arguments).await, ExitCode::from(2)),
        Some(Command::Export(arguments)) => (commands::export(config, arguments).await, ExitCode::from(2)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(cause) => {
            eprintln!("error: {}", chain(&*cause));
            failure
        }
    }
}
