//! The command line: one file per command.

mod export;
mod exposed;
mod import;
mod init;
mod keys;
mod migrate;
mod serve;
mod shared;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::{CommandSettings, LogConfig, ServeSettings};
use crate::error::{BoxError, chain};
use crate::telemetry;
use export::ExportArguments;
use exposed::ExposedSecrets;
use import::ImportArguments;
pub use init::run_as_init;
use keys::KeysArguments;

const ABOUT_SETTINGS: &str = "Without a command it serves. Every command shows its settings with --help. A setting is a \
    flag and an environment variable; the flag has priority. Only `serve` creates a database; the other commands use the \
    database of the service, whether the service runs or not. Search by name ignores case and composition (NFC, NFD) and, \
    with PostgreSQL's extension unaccent, accents; the log says at start which of them on this database.";

/// Customer groups, the tree in which an ERP sorts its customers, over gRPC and REST
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 110, override_usage = "customer-groups [COMMAND] [OPTIONS]", after_help = ABOUT_SETTINGS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT (the default)
    Serve(Box<ServeSettings>),
    /// Create, list and revoke API keys
    Keys(KeysArguments),
    /// Migrate the tables, so that `serve` can run as a user who may only read and write rows
    Migrate(CommandSettings),
    /// Check the whole database
    #[command(
        after_help = "Exit code: 0 without problems; 1 with problems, one line each; 2 when it cannot check."
    )]
    Verify(CommandSettings),
    /// Import the customer groups of a CSV or JSON file, all or none
    Import(ImportArguments),
    /// Export customer groups to a CSV or NDJSON file, as they are at one instant
    Export(ExportArguments),
}

/// The reason why a command did not do its work.
enum Failure {
    /// The problems of the settings, one line each.
    Settings(Vec<String>),
    Other(BoxError),
}

impl From<Vec<String>> for Failure {
    fn from(problems: Vec<String>) -> Self {
        Self::Settings(problems)
    }
}

impl From<BoxError> for Failure {
    fn from(cause: BoxError) -> Self {
        Self::Other(cause)
    }
}

/// Runs the command of the command line. Returns the exit code of the process.
pub async fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let matches = Cli::command().get_matches_from(command_first(arguments.collect()));
    let exposed = ExposedSecrets::find(&matches);
    let command = Cli::from_arg_matches(&matches)
        .unwrap_or_else(|error| error.format(&mut Cli::command()).exit())
        .command;
    // The other commands are for people, who read the reason beside their other messages.
    let report = if matches!(command, Command::Serve(_)) {
        telemetry::report_failure
    } else {
        |cause: &str| telemetry::print(format_args!("error: {cause}"))
    };
    let (outcome, failure) = match command {
        Command::Serve(settings) => (Box::pin(serve::run(*settings, &exposed)).await, 1),
        Command::Keys(arguments) => (keys::run(arguments, &exposed).await, 1),
        Command::Migrate(settings) => (migrate::run(settings, &exposed).await, 1),
        Command::Verify(settings) => (verify::run(settings, &exposed).await, 2),
        Command::Import(arguments) => (import::run(arguments, &exposed).await, 2),
        Command::Export(arguments) => (export::run(arguments, &exposed).await, 2),
    };
    let code = match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure::Settings(problems)) => {
            for problem in problems {
                report(&problem);
            }
            ExitCode::from(2)
        }
        Err(Failure::Other(cause)) => {
            report(&chain(&*cause));
            ExitCode::from(failure)
        }
    };
    telemetry::finish();
    code
}

/// Moves the command before the settings, so that `--listen … serve` is `serve --listen …`, and adds the default command.
/// Every flag takes a value, but for help and version.
fn command_first(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let mut index = 1;
    while let Some(flag) = arguments.get(index).map(|argument| argument.to_string_lossy()) {
        let is_last = ["-h", "--help", "-V", "--version"].contains(&&*flag);
        if is_last && index == 1 {
            return arguments;
        }
        if is_last || !flag.starts_with('-') {
            break;
        }
        index += if flag.contains('=') { 1 } else { 2 };
    }
    let is_command =
        arguments.get(index).is_some_and(|argument| !argument.to_string_lossy().starts_with('-'));
    let command = if is_command { arguments.remove(index) } else { "serve".into() };
    arguments.insert(arguments.len().min(1), command);
    arguments
}

/// Prepares the process, before it works with keys.
fn prepare_process(log: LogConfig, exposed: &ExposedSecrets) {
    telemetry::init(log.format, log.filter);
    exposed.warn();
    disable_core_dumps();
}

/// Keeps the memory of the process, which contains API keys, out of core files. A limit of one byte is too small for a
/// file, and unlike a limit of zero it also keeps Linux from passing the memory to a program ([core(5)]).
///
/// [core(5)]: https://man7.org/linux/man-pages/man5/core.5.html
fn disable_core_dumps() {
    let limited = getrlimit(Resource::RLIMIT_CORE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_CORE, most.min(1), most.min(1)));
    if let Err(error) = limited {
        tracing::warn!(%error, "core dumps cannot be disabled; a crash may write API keys to a file");
    }
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    #[test]
    fn the_command_can_follow_settings_or_be_left_out() {
        for (given, expected) in [
            ("", "serve"),
            ("--listen x", "serve --listen x"),
            ("--listen=x --mode live serve --log y", "serve --listen=x --mode live --log y"),
            ("--data-dir=x keys list --mode live", "keys --data-dir=x list --mode live"),
            ("--listen", "serve --listen"),
            ("--version", "--version"),
            ("--help", "--help"),
            ("--listen=x --help", "serve --listen=x --help"),
            ("--mode live -h", "serve --mode live -h"),
            ("keys --help", "keys --help"),
        ] {
            let arguments = ["program"].into_iter().chain(given.split_whitespace());
            let found = command_first(arguments.map(OsString::from).collect());
            assert_eq!(found[1..].join(" ".as_ref()), expected, "{given}");
        }
    }

    #[test]
    fn every_setting_before_a_command_takes_a_value() {
        Cli::command().debug_assert();
        let serve = Cli::command().find_subcommand("serve").unwrap().clone();
        for setting in serve.get_arguments() {
            assert!(matches!(setting.get_action(), ArgAction::Set), "{setting}");
        }
    }
}
