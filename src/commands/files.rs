//! `import` and `export`: customer groups from and to files.

use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, BufWriter, IsTerminal, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use super::{at, on_database};
use crate::config::Config;
use crate::domain::ImportLine;
use crate::error::Cause;
use crate::files::{self, Format, Writer};
use crate::store::{Database, Export, OpenError, Store};

/// How many lines are handed on at once, so that handing on costs little.
const BATCH: usize = 256;

/// What `import` is given.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// A file that ends in .csv, .ndjson or .jsonl, or - for standard input
    file: PathBuf,
    /// What the file is, where its ending does not say
    #[arg(long)]
    format: Option<Format>,
    /// Check everything, also against the database, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What `export` is given.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// A file that ends in .csv, .ndjson or .jsonl, or - for standard output
    file: PathBuf,
    /// What the file becomes, where its ending does not say
    #[arg(long)]
    format: Option<Format>,
}

/// Stores the customer groups of a file, all or none, whether the service runs or not, and prints how many; or a line
/// for each thing that is wrong with the file. Answers whether nothing is.
///
/// # Errors
///
/// Why it could not be done.
pub async fn import(config: Config, arguments: ImportArguments) -> Result<bool, Cause> {
    let format = format_of(&arguments.file, arguments.format)?;
    // Found out before a private PostgreSQL is started.
    if !is_standard(&arguments.file) {
        open(&arguments.file)?;
    }
    on_database(&config, async |database| import_on(&config, database, &arguments, format).await).await
}

async fn import_on(
    config: &Config,
    database: &Database,
    arguments: &ImportArguments,
    format: Format,
) -> Result<bool, Cause> {
    let failed = |error: OpenError| at(database, &error);
    let begun = Instant::now();
    let mut progress = Progress::new();
    let store = Store::open(database, &config.limits).await.map_err(failed)?;
    let mut import = store.import().await.map_err(failed)?;
    let (sender, mut batches) = mpsc::channel(4);
    let (file, bytes) = (arguments.file.clone(), Arc::new(AtomicU64::new(0)));
    let (size, read_bytes) = (size_of(&file), bytes.clone());
    // Reading may wait, and checking a line takes as long as copying it.
    let reader = thread::spawn(move || read(&file, format, &sender, bytes));
    let mut lines = 0;
    while let Some(batch) = batches.recv().await {
        lines += batch.len() as u64;
        import.add(batch).await.map_err(failed)?;
        progress.tell(|| {
            let bar = size.map(|size| bar(read_bytes.load(Ordering::Relaxed), size));
            format!("{}{} lines were read", bar.unwrap_or_default(), grouped(lines))
        });
    }
    reader.join().unwrap_or_else(|_| Err("the file could not be read".into()))?;
    progress.tell_now("checking");
    let checked = import.check().await.map_err(failed)?;
    let is_sound = checked.is_ok();
    let outcome = match checked {
        Err(problems) => {
            let count = grouped(problems.count());
            format!("{problems}{count} things are wrong with the file, and nothing was imported")
        }
        Ok(sound) if arguments.dry_run => {
            format!("{} customer groups can be imported, and nothing was changed", grouped(sound.groups))
        }
        Ok(sound) => {
            progress.tell_now("storing");
            let groups = grouped(sound.groups);
            sound.store().await.map_err(failed)?;
            format!("{groups} customer groups were imported in {}", seconds(begun))
        }
    };
    progress.clear();
    store.close();
    writeln!(io::stdout(), "{outcome}")?;
    Ok(is_sound)
}

/// Reads a file to its end, or until nobody takes its lines any more.
fn read(
    path: &Path,
    format: Format,
    taker: &mpsc::Sender<Vec<ImportLine>>,
    bytes: Arc<AtomicU64>,
) -> Result<(), Cause> {
    let failed = |error: io::Error| cannot_be_read(path, &error);
    let mut lines = if is_standard(path) {
        files::read(BufReader::new(io::stdin()), format)
    } else {
        files::read(BufReader::new(Counted { file: open(path)?, bytes }), format)
    }
    .map_err(failed)?;
    loop {
        let batch = lines.by_ref().take(BATCH).collect::<io::Result<Vec<_>>>().map_err(failed)?;
        if batch.is_empty() || taker.blocking_send(batch).is_err() {
            return Ok(());
        }
    }
}

/// A file that says how many bytes of it were read.
struct Counted {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The size of a file; `None` for what has none, such as a pipe.
fn size_of(path: &Path) -> Option<u64> {
    let file = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    (!is_standard(path)).then_some(file.len())
}

/// Writes all customer groups to a file, as they are at one instant and whether the service runs or not, and says how
/// many. A file is there only when it is whole.
///
/// # Errors
///
/// Why it could not be done.
pub async fn export(config: Config, arguments: ExportArguments) -> Result<bool, Cause> {
    let format = format_of(&arguments.file, arguments.format)?;
    let target = if is_standard(&arguments.file) { None } else { Some(Target::new(&arguments.file)?) };
    on_database(&config, async |database| {
        let begun = Instant::now();
        let groups = match target {
            None => match write(&config, database, io::stdout().lock(), format).await {
                Err(error) if is_broken_pipe(&error) => return Ok(true),
                written => written?,
            },
            Some(target) => {
                let groups = write(&config, database, target.file.as_file(), format).await?;
                target.keep()?;
                groups
            }
        };
        // Standard output may be the file.
        eprintln!("{} customer groups were exported in {}", grouped(groups), seconds(begun));
        Ok(true)
    })
    .await
}

async fn write(config: &Config, database: &Database, to: impl Write, format: Format) -> Result<u64, Cause> {
    let failed = |error: OpenError| at(database, &error);
    let mut progress = Progress::new();
    let mut groups = 0;
    let mut export = Export::begin(database, &config.limits).await.map_err(failed)?;
    let mut writer = Writer::new(BufWriter::with_capacity(64 << 10, to), format)?;
    while let Some(group) = export.next().await.map_err(failed)? {
        writer.write(&group)?;
        groups += 1;
        progress.tell(|| format!("{} customer groups were written", grouped(groups)));
    }
    writer.into_inner().flush()?;
    progress.clear();
    Ok(groups)
}

/// A file that is to be written, beside its place until it is whole.
struct Target {
    path: PathBuf,
    file: NamedTempFile,
}

impl Target {
    fn new(path: &Path) -> Result<Self, Cause> {
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            let remedy = "give - and send standard output there";
            return Err(format!("{} is there and no file; {remedy}", path.display()).into());
        }
        // A link stays, and what it leads to is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(".customer-groups-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(|error| cannot_be_written(&path, &error))?;
        Ok(Self { path, file })
    }

    fn keep(self) -> Result<(), Cause> {
        self.file.as_file().sync_all().map_err(|error| cannot_be_written(&self.path, &error))?;
        self.file.persist(&self.path).map_err(|error| cannot_be_written(&self.path, &error.error))?;
        Ok(())
    }
}

/// What a long work has come to, told on a terminal.
struct Progress {
    is_told: bool,
    told: Instant,
}

impl Progress {
    const PAUSE: Duration = Duration::from_millis(200);

    fn new() -> Self {
        Self { is_told: io::stderr().is_terminal(), told: Instant::now() }
    }

    /// Tells it, unless something was told just before.
    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.is_told && self.told.elapsed() > Self::PAUSE {
            self.tell_now(&what());
        }
    }

    fn tell_now(&mut self, what: &str) {
        if self.is_told {
            eprint!("\r\x1b[K{what} …");
            self.told = Instant::now();
        }
    }

    fn clear(&self) {
        if self.is_told {
            eprint!("\r\x1b[K");
        }
    }
}

fn format_of(path: &Path, given: Option<Format>) -> Result<Format, Cause> {
    given.or_else(|| Format::of(path)).ok_or_else(|| {
        let path = path.display();
        format!("{path} does not end in .csv, .ndjson or .jsonl; give --format csv or --format ndjson").into()
    })
}

fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn open(path: &Path) -> Result<File, Cause> {
    File::open(path).map_err(|error| cannot_be_read(path, &error))
}

fn cannot_be_read(path: &Path, error: &io::Error) -> Cause {
    format!("{} cannot be read: {error}", path.display()).into()
}

fn cannot_be_written(path: &Path, error: &io::Error) -> Cause {
    format!("{} cannot be written: {error}", path.display()).into()
}

fn is_broken_pipe(error: &Cause) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A bar of how much is done of the whole.
fn bar(done: u64, whole: u64) -> String {
    const LENGTH: u64 = 30;
    let full = done.saturating_mul(LENGTH).checked_div(whole).unwrap_or(LENGTH).min(LENGTH);
    let cell = |number| if number < full { '#' } else { '.' };
    format!("[{}] ", (0..LENGTH).map(cell).collect::<String>())
}

fn seconds(begun: Instant) -> String {
    format!("{:.1} s", begun.elapsed().as_secs_f64())
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        let full = |done, whole| bar(done, whole).matches('#').count();
        assert_eq!([full(0, 100), full(50, 100), full(100, 100), full(7, 0)], [0, 15, 30, 30]);
        assert_eq!(bar(1, u64::MAX).len(), "[] ".len() + 30);
    }

    #[test]
    fn numbers_have_commas_between_their_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
