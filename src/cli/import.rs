//! The `import` command.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use clap::Args;
use indicatif::{HumanCount, ProgressBar};
use tokio::sync::mpsc;

use super::shared::{at, cannot, format_of, is_standard, on_database, progress, seconds};
use super::{ExposedSecrets, Failure, prepare_process};
use crate::config::CommandSettings;
use crate::domain::ImportLine;
use crate::error::BoxError;
use crate::files::{self, Format};
use crate::store::{Database, StartupError, Store, StoreOptions};

/// The number of lines that the reader sends at once, to save the cost of single sends.
const BATCH: usize = 256;

fn about_files() -> String {
    format!(
        "CSV has a header with these names in any order: {}. NDJSON has one object of the API per line. Only the name is \
         required. A group without an id gets a new one. In a file without id and parent_id, such as ERPNext's export of \
         Customer Groups, parent_customer_group is the name of the parent.\n\n\
         Exit code: 0 when the file was imported; 1 with problems in the file, one line each; 2 when it cannot import.",
        files::column_names()
    )
}

#[derive(Debug, Args)]
#[command(after_help = about_files())]
pub(super) struct ImportArguments {
    /// File that ends in .csv, .ndjson or .jsonl, or - for standard input
    file: PathBuf,
    /// Format of the file if its name does not end in one of these: csv or ndjson
    #[arg(long, hide_possible_values = true)]
    format: Option<Format>,
    /// Check the file, also against the database, without a change
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    settings: CommandSettings,
}

pub(super) async fn run(arguments: ImportArguments, exposed: &ExposedSecrets) -> Result<bool, Failure> {
    let ImportArguments { file, format, dry_run, settings } = arguments;
    let config = settings.parse()?;
    prepare_process(config.log, exposed);
    let source = Source { format: format_of(&file, format)?, path: file };
    // Reports a missing file before a private PostgreSQL starts.
    drop(source.open()?);
    let options = &config.database.options;
    let work = async |database: &Database| import(database, options, source, dry_run).await;
    Ok(on_database(&config.database, work).await?)
}

/// Prints one line for each problem of the file. Returns whether there are none.
async fn import(
    database: &Database,
    options: &StoreOptions,
    source: Source,
    dry_run: bool,
) -> Result<bool, BoxError> {
    let failed = |error: StartupError| at(database, &error);
    let begun = Instant::now();
    let progress = progress(source.size(), "{msg}");
    let store = Store::open(database, options).await.map_err(failed)?;
    let mut import = store.import().await.map_err(failed)?;
    let (sender, mut batches) = mpsc::channel(4);
    // On a thread of its own: reading blocks, and parsing a line takes as long as copying it.
    let reader = thread::spawn({
        let progress = progress.clone();
        move || source.read(&sender, &progress)
    });
    let mut lines = 0;
    while let Some(batch) = batches.recv().await {
        lines += batch.len() as u64;
        import.add(batch).await.map_err(failed)?;
        progress.set_message(format!("{} lines read", HumanCount(lines)));
    }
    reader.join().unwrap_or_else(|_| Err("the thread that reads the file panicked".into()))?;
    progress.set_message("checking");
    let checked = import.check().await.map_err(failed)?;
    let is_sound = checked.is_ok();
    let outcome = match checked {
        Err(problems) => {
            let count = HumanCount(problems.count());
            format!("{problems}{count} things are wrong with the file, and nothing was imported")
        }
        Ok(sound) if dry_run => {
            format!("{} customer groups can be imported, and nothing was changed", HumanCount(sound.groups))
        }
        Ok(sound) => {
            progress.set_message("storing");
            let groups = HumanCount(sound.groups);
            sound.store().await.map_err(failed)?;
            format!("{groups} customer groups were imported in {}", seconds(begun))
        }
    };
    progress.finish_and_clear();
    store.close();
    writeln!(io::stdout(), "{outcome}")?;
    Ok(is_sound)
}

struct Source {
    path: PathBuf,
    format: Format,
}

impl Source {
    fn open(&self) -> Result<Box<dyn Read + Send>, BoxError> {
        if is_standard(&self.path) {
            return Ok(Box::new(io::stdin()));
        }
        Ok(Box::new(File::open(&self.path).map_err(|error| cannot("read", &self.path, &error))?))
    }

    /// The size of a regular file.
    fn size(&self) -> Option<u64> {
        let file = fs::metadata(&self.path).ok().filter(fs::Metadata::is_file)?;
        (!is_standard(&self.path)).then_some(file.len())
    }

    /// Sends all lines, or the lines until the receiver is closed.
    fn read(&self, lines: &mpsc::Sender<Vec<ImportLine>>, progress: &ProgressBar) -> Result<(), BoxError> {
        let failed = |error: io::Error| cannot("read", &self.path, &error);
        let file = BufReader::new(progress.wrap_read(self.open()?));
        let mut read = files::read(file, self.format).map_err(failed)?;
        loop {
            let batch = read.by_ref().take(BATCH).collect::<io::Result<Vec<_>>>().map_err(failed)?;
            if batch.is_empty() || lines.blocking_send(batch).is_err() {
                return Ok(());
            }
        }
    }
}
