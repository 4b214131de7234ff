//! The `import` command.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use clap::Args;
use indicatif::{HumanCount, ProgressBar};
use tokio::sync::mpsc;

use super::shared::{at, cannot, format_of, is_standard, on_database, parse_id, progress, seconds};
use super::{ExposedSecrets, Failure, prepare_process};
use crate::config::CommandSettings;
use crate::domain::{GroupId, ImportLine, ImportMode, Report, Within};
use crate::error::BoxError;
use crate::files::{self, Format};
use crate::store::{Database, SoundImport, StartupError, Store, StoreOptions};
use crate::telemetry::print;

/// The number of lines that the reader sends at once, to save the cost of single sends.
const BATCH: usize = 256;

fn about_files() -> String {
    format!(
        "CSV has a header with these names in any order: {}. NDJSON has one object of the API per line, or one list of \
         them. Only the name is required. A group without an id gets a new one. In a file without id and parent_id, such as \
         ERPNext's exports of Customer Groups, parent_customer_group is the name of the parent.\n\n\
         Exit code: 0 when the file was imported; 1 with problems in the file, one line each; 2 when it cannot import.",
        files::column_names()
    )
}

#[derive(Debug, Args)]
#[command(after_help = about_files())]
pub(super) struct ImportArguments {
    /// File that ends in .csv, .ndjson, .jsonl or .json, or - for standard input
    file: PathBuf,
    /// Format of the file if its name does not end in one of these: csv or ndjson
    #[arg(long, hide_possible_values = true)]
    format: Option<Format>,
    /// Delimiter of a CSV file, such as ";" or tab; recognised from the header by default
    #[arg(long, value_parser = files::parse_delimiter)]
    delimiter: Option<u8>,
    /// Check the file, also against the database, and print the changes without making them
    #[arg(long)]
    dry_run: bool,
    /// Change the groups that exist, by id, or by name in a file without ids, and create the others
    #[arg(long)]
    update: bool,
    /// Change only this group and those below it
    #[arg(long, value_name = "ID", value_parser = parse_id, requires = "update")]
    within: Option<GroupId>,
    /// Delete the groups below that of --within that the file lacks
    #[arg(long, requires = "within")]
    prune: bool,
    /// Number of groups that --prune may delete, as --dry-run prints it
    #[arg(long, value_name = "COUNT", requires = "prune")]
    yes: Option<i64>,

    #[command(flatten)]
    settings: CommandSettings,
}

pub(super) async fn run(arguments: ImportArguments, exposed: &ExposedSecrets) -> Result<bool, Failure> {
    let ImportArguments { file, format, delimiter, dry_run, update, within, prune, yes, settings } =
        arguments;
    let config = settings.parse()?;
    prepare_process(config.log, exposed);
    let source = Source { format: format_of(&file, format)?, delimiter, path: file };
    // Reports a missing file before a private PostgreSQL starts.
    drop(source.open()?);
    let options = &config.database.options;
    let within = within.map(|id| Within { id, prune });
    let mode = if update { ImportMode::Update(within) } else { ImportMode::Create };
    let work =
        async |database: &Database| import(database, options, source, Task { mode, dry_run, yes }).await;
    Ok(on_database(&config.database, work).await?)
}

/// The kind of an import.
struct Task {
    mode: ImportMode,
    dry_run: bool,
    /// The number of groups that may be deleted.
    yes: Option<i64>,
}

/// Prints one line for each problem of the file. Returns whether there are none.
async fn import(
    database: &Database,
    options: &StoreOptions,
    source: Source,
    Task { mode, dry_run, yes }: Task,
) -> Result<bool, BoxError> {
    let failed = |error: StartupError| at(database, &error);
    let begun = Instant::now();
    let progress = progress(source.size(), "{msg}");
    let store = Store::open(database, options).await.map_err(failed)?;
    let mut import = store.import(mode).await.map_err(failed)?;
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
    let ignored = reader.join().unwrap_or_else(|_| Err("the thread that reads the file panicked".into()))?;
    progress.set_message("checking");
    let checked = import.check(!dry_run).await.map_err(failed)?;
    progress.set_message("storing");
    let (is_done, outcome) = finish(checked, mode, dry_run, yes, begun).await.map_err(failed)?;
    progress.finish_and_clear();
    store.close();
    if !ignored.is_empty() {
        print(format_args!("not imported: {}", ignored.join(", ")));
    }
    writeln!(io::stdout(), "{outcome}")?;
    Ok(is_done)
}

/// Stores the changes, or not. Returns whether the command did its work, and the text to print.
async fn finish(
    checked: Result<SoundImport, Report>,
    mode: ImportMode,
    dry_run: bool,
    yes: Option<i64>,
    begun: Instant,
) -> Result<(bool, String), StartupError> {
    let sound = match checked {
        Ok(sound) => sound,
        Err(problems) => {
            let count = HumanCount(problems.count());
            return Ok((
                false,
                format!("{problems}{count} things are wrong with the file, and nothing was imported"),
            ));
        }
    };
    let plan = sound.plan;
    if dry_run {
        let mut steps = String::new();
        sound.steps(|step| steps.extend([step.as_str(), "\n"])).await?;
        return Ok((true, format!("{steps}{plan}: this is the plan, and nothing was changed")));
    }
    if plan.deleted > 0 && yes != Some(plan.deleted) {
        let count = plan.deleted;
        let remedy = format!("check the plan with --dry-run, then confirm the number with --yes {count}");
        return Ok((
            false,
            format!("nothing was imported: the number of deleted groups would be {count}; {remedy}"),
        ));
    }
    sound.store().await?;
    let seconds = seconds(begun);
    Ok((
        true,
        match mode {
            ImportMode::Create => {
                let groups = HumanCount(plan.created.unsigned_abs());
                format!("{groups} customer groups were imported in {seconds}")
            }
            ImportMode::Update(_) => format!("{plan}, in {seconds}"),
        },
    ))
}

struct Source {
    path: PathBuf,
    format: Format,
    delimiter: Option<u8>,
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

    /// Sends all lines, or the lines until the receiver is closed. Returns the names of the columns that are not imported.
    fn read(
        &self,
        lines: &mpsc::Sender<Vec<ImportLine>>,
        progress: &ProgressBar,
    ) -> Result<Vec<String>, BoxError> {
        let failed = |error: io::Error| cannot("read", &self.path, &error);
        let file = BufReader::new(progress.wrap_read(self.open()?));
        let mut read = files::read(file, self.format, self.delimiter).map_err(failed)?;
        loop {
            let batch = read.by_ref().take(BATCH).collect::<io::Result<Vec<_>>>().map_err(failed)?;
            if batch.is_empty() || lines.blocking_send(batch).is_err() {
                return Ok(read.ignored());
            }
        }
    }
}
