//! The `export` command.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use indicatif::HumanCount;
use tempfile::NamedTempFile;

use super::shared::{
    at, cannot, format_of, is_standard, no_such_group, on_database, parse_id, progress, seconds,
};
use super::{ExposedSecrets, Failure, prepare_process};
use crate::config::CommandSettings;
use crate::domain::GroupId;
use crate::error::BoxError;
use crate::files::{Column, Format, Writer};
use crate::store::{Database, Export, StartupError, StoreOptions};
use crate::telemetry::print;

#[derive(Debug, Args)]
#[command(after_help = "Exit code: 0 when the file is complete; 2 when it cannot export.")]
pub(super) struct ExportArguments {
    /// File that ends in .csv, .ndjson or .jsonl, or - for standard output
    file: PathBuf,
    /// Format of the file if its name does not end in one of these: csv or ndjson
    #[arg(long, hide_possible_values = true)]
    format: Option<Format>,
    /// Only this group and its descendants
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    within: Option<GroupId>,
    /// Only these fields, in this order, such as id,customer_group_name
    #[arg(long, value_delimiter = ',', value_parser = Column::parse)]
    fields: Vec<Column>,

    #[command(flatten)]
    settings: CommandSettings,
}

pub(super) async fn run(arguments: ExportArguments, exposed: &ExposedSecrets) -> Result<bool, Failure> {
    let ExportArguments { file, format, within, fields, settings } = arguments;
    let config = settings.parse()?;
    prepare_process(config.log, exposed);
    let format = format_of(&file, format)?;
    let content = Content { format, within, columns: columns_of(fields)? };
    let target = if is_standard(&file) { None } else { Some(Target::new(&file)?) };
    let options = &config.database.options;
    on_database(&config.database, async |database| export(database, options, target, content).await).await?;
    Ok(true)
}

/// The content of the file.
struct Content {
    format: Format,
    within: Option<GroupId>,
    columns: Vec<Column>,
}

/// The given columns; all if none are given.
fn columns_of(given: Vec<Column>) -> Result<Vec<Column>, BoxError> {
    let repeated = given.iter().enumerate().find(|(index, column)| given[..*index].contains(column));
    match repeated {
        Some((_, column)) => Err(format!("--fields has {} twice; give it once", column.name()).into()),
        None if given.is_empty() => Ok(Column::all()),
        None => Ok(given),
    }
}

/// Writes to the target, or to standard output without one.
async fn export(
    database: &Database,
    options: &StoreOptions,
    target: Option<Target>,
    content: Content,
) -> Result<(), BoxError> {
    let begun = Instant::now();
    let groups = match target {
        None => match write(database, options, io::stdout().lock(), content).await {
            Err(error) if is_broken_pipe(&error) => return Ok(()),
            written => written?,
        },
        Some(target) => {
            let groups = write(database, options, target.file.as_file(), content).await?;
            target.keep()?;
            groups
        }
    };
    // Standard output may be the file.
    print(format_args!("{} customer groups were exported in {}", HumanCount(groups), seconds(begun)));
    Ok(())
}

async fn write(
    database: &Database,
    options: &StoreOptions,
    to: impl Write,
    content: Content,
) -> Result<u64, BoxError> {
    let Content { format, within, columns } = content;
    let failed = |error: StartupError| at(database, &error);
    let progress = progress(None, "{human_pos} customer groups written");
    let mut export = match (Export::begin(database, options, within).await.map_err(failed)?, within) {
        (Some(export), _) => export,
        (None, Some(id)) => return Err(no_such_group(id)),
        (None, None) => return Ok(0),
    };
    let mut writer = Writer::new(BufWriter::with_capacity(64 << 10, to), format, columns)?;
    while let Some(group) = export.next().await.map_err(failed)? {
        writer.write(&group)?;
        progress.inc(1);
    }
    writer.into_inner().flush()?;
    progress.finish_and_clear();
    Ok(progress.position())
}

/// The file to write. It has a temporary name until it is complete.
struct Target {
    path: PathBuf,
    file: NamedTempFile,
}

impl Target {
    fn new(path: &Path) -> Result<Self, BoxError> {
        let existing = fs::metadata(path).ok();
        if existing.as_ref().is_some_and(|found| !found.is_file()) {
            let remedy = "use - and redirect standard output to it";
            return Err(format!("{} exists and is not a regular file; {remedy}", path.display()).into());
        }
        // A symbolic link stays; its target is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The temporary file, and so a new file, has the mode 0600: the names of customer groups may be confidential.
        let create = || {
            let file = tempfile::Builder::new().prefix(".customer-groups-").tempfile_in(folder)?;
            if let Some(existing) = &existing {
                keep_access(file.as_file(), existing)?;
            }
            Ok(file)
        };
        let file = create().map_err(|error| cannot("written", &path, &error))?;
        Ok(Self { path, file })
    }

    fn keep(self) -> Result<(), BoxError> {
        let failed = |error: &io::Error| cannot("written", &self.path, error);
        self.file.as_file().sync_all().map_err(|error| failed(&error))?;
        self.file.persist(&self.path).map_err(|error| failed(&error.error))?;
        Ok(())
    }
}

/// Gives a file the owner and the mode of the file that it replaces.
fn keep_access(file: &File, replaced: &Metadata) -> io::Result<()> {
    // Only root can change the owner. Otherwise the rights of the group would be those of another group.
    let is_kept = fchown(file, Some(replaced.uid()), Some(replaced.gid())).is_ok();
    file.set_permissions(Permissions::from_mode(replaced.mode() & if is_kept { 0o777 } else { 0o700 }))
}

fn is_broken_pipe(error: &BoxError) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
