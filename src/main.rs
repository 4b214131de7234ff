//! The command line of `customer-groups`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use customer_groups::auth::Scope;
use customer_groups::commands::{self, KeysCommand};
use customer_groups::config::{Config, Settings};
use customer_groups::domain::KeyId;
use customer_groups::error::chain;
use customer_groups::telemetry;

/// Keeps customer groups, the tree by which an ERP sorts its customers, and serves them over gRPC.
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
    Keys(Keys),
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Make a key and print it, once
    Create {
        /// What the key is for, for people
        #[arg(long)]
        name: String,
        /// Let it read, but not write
        #[arg(long)]
        read_only: bool,
    },
    /// List all keys, without their text
    List,
    /// End a key, on every replica within two seconds
    Revoke {
        /// The id that `keys list` shows
        #[arg(value_parser = |text: &str| KeyId::parse(text).ok_or("it is no id of a key; see `keys list`"))]
        id: KeyId,
    },
}

#[tokio::main]
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
    let done = match command {
        None | Some(Command::Serve) => commands::serve(config).await,
        Some(Command::Keys(Keys::Create { name, read_only })) => {
            let scope = if read_only { Scope::Read } else { Scope::Write };
            commands::keys(config, KeysCommand::Create { name, scope }).await
        }
        Some(Command::Keys(Keys::List)) => commands::keys(config, KeysCommand::List).await,
        Some(Command::Keys(Keys::Revoke { id })) => commands::keys(config, KeysCommand::Revoke(id)).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("error: {}", chain(&*cause));
            ExitCode::FAILURE
        }
    }
}
