//! Helpers that several commands use.

use std::io;
use std::path::{Path, absolute};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::{DatabaseConfig, DatabaseSource};
use crate::domain::GroupId;
use crate::embedded::Embedded;
use crate::error::BoxError;
use crate::files::Format;
use crate::store::{Database, StartupError};
use crate::telemetry::print;

/// Runs a command on the database of the settings, and prints which database that is.
pub(super) async fn on_database<T>(
    config: &DatabaseConfig,
    work: impl AsyncFnOnce(&Database) -> Result<T, BoxError>,
) -> Result<T, BoxError> {
    match &config.source {
        DatabaseSource::External(database) => {
            print(format_args!("database: {database}"));
            work(database).await
        }
        DatabaseSource::Embedded(options) => {
            let embedded = Embedded::start_or_join(options).await?;
            print(format_args!("database: private PostgreSQL in {}", absolute(&options.data_dir)?.display()));
            let done = work(embedded.database()).await;
            let stopped = embedded.stop().await;
            done.and_then(|done| stopped.map(|()| done))
        }
    }
}

/// Adds the database to an error.
pub(super) fn at(database: &Database, error: &StartupError) -> BoxError {
    format!("the database {database} cannot be used: {error}").into()
}

pub(super) fn format_of(path: &Path, given: Option<Format>) -> Result<Format, BoxError> {
    given.or_else(|| Format::of(path)).ok_or_else(|| {
        let path = path.display();
        format!("{path} does not end in .csv, .ndjson, .jsonl or .json; use --format csv or --format ndjson")
            .into()
    })
}

/// Parses the id of a group in the command line.
pub(super) fn parse_id(text: &str) -> Result<GroupId, String> {
    GroupId::parse(text).ok_or_else(|| "it is not the id of a customer group".to_owned())
}

pub(super) fn no_such_group(id: GroupId) -> BoxError {
    format!("there is no customer group {id}; give the id of one, or leave --within out").into()
}

/// Returns whether a path stands for standard input or output.
pub(super) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

pub(super) fn cannot(done: &str, path: &Path, error: &io::Error) -> BoxError {
    format!("{} cannot be {done}: {error}", path.display()).into()
}

/// A progress bar on standard error, or a line of text when the length is not known. Without a terminal it is hidden.
pub(super) fn progress(length: Option<u64>, text: &str) -> ProgressBar {
    let bar = if length.is_some() { "{bar:30} " } else { "" };
    let style = ProgressStyle::with_template(&format!("{{spinner}} {bar}{text}"));
    let progress = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    progress.enable_steady_tick(Duration::from_millis(200));
    progress
}

pub(super) fn seconds(begun: Instant) -> String {
    format!("{:.1} s", begun.elapsed().as_secs_f64())
}
