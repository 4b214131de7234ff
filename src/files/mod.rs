//! Customer groups in files: CSV (RFC 4180) with a header, and NDJSON, the objects of the REST API one a line.
//!
//! A file with an `id` or a `parent_id` is one of this service: parents are named by their ids, and
//! `parent_customer_group` is a text like others. One with neither, such as an export of ERPNext, names parents by
//! their names in `parent_customer_group`.

mod columns;
mod csv;
mod ndjson;

use std::ffi::OsStr;
use std::io::{self, BufRead, Cursor, Read, Write};
use std::path::Path;

use clap::ValueEnum;

use crate::domain::{CustomerGroup, Field, GroupId, ImportDraft, ImportGroup, ImportLine, Name, field};

/// The most bytes of a line. The longest that can be right has some 13,000.
const MAX_LINE: usize = 64 << 10;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values, with a header.
    Csv,
    /// A JSON object a line.
    Ndjson,
}

impl Format {
    /// The format that the ending of a file's name tells.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension().and_then(OsStr::to_str)? {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// How the groups of a file name their parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parents {
    /// By `parent_id`.
    ById,
    /// By `parent_customer_group`.
    ByName,
}

/// Reads the groups of a file one by one, in constant memory.
///
/// # Errors
///
/// What reading ends in. What is wrong with a line is in the line.
pub fn read(
    source: impl BufRead + Send + 'static,
    format: Format,
) -> io::Result<Box<dyn Iterator<Item = io::Result<ImportLine>> + Send>> {
    let source = without_mark(source)?;
    Ok(match format {
        Format::Csv => Box::new(csv::Lines::new(source)),
        Format::Ndjson => Box::new(ndjson::Lines::new(source)),
    })
}

/// Leaves out the byte order mark that some programs begin files in UTF-8 with.
fn without_mark(mut source: impl BufRead) -> io::Result<impl BufRead> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let mut start = Vec::new();
    source.by_ref().take(MARK.len() as u64).read_to_end(&mut start)?;
    if start == MARK {
        start.clear();
    }
    Ok(Cursor::new(start).chain(source))
}

/// Writes groups to a file.
pub struct Writer<W> {
    file: W,
    format: Format,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// What writing ends in.
    pub fn new(mut file: W, format: Format) -> io::Result<Self> {
        if format == Format::Csv {
            csv::write_header(&mut file)?;
        }
        Ok(Self { file, format })
    }

    /// Writes a group.
    ///
    /// # Errors
    ///
    /// What writing ends in.
    pub fn write(&mut self, group: &CustomerGroup) -> io::Result<()> {
        match self.format {
            Format::Csv => csv::write(group, &mut self.file),
            Format::Ndjson => ndjson::write(group, &mut self.file),
        }
    }

    /// The file, once all groups are written.
    pub fn into_inner(self) -> W {
        self.file
    }
}

/// What is in a line, by what was read of it.
fn import_group(draft: ImportDraft, parents: Parents) -> ImportGroup {
    // A name that is no name is no text either, unless it is blank, as that of a root's parent.
    let parent_name = match (parents, &draft.fields.parent_customer_group) {
        (Parents::ByName, Field::Value(text)) => Name::parse(field::PARENT_CUSTOMER_GROUP, text).ok(),
        (Parents::ByName, Field::Null | Field::Absent) | (Parents::ById, _) => None,
    };
    let id = draft.id.clone().value().and_then(|id| GroupId::parse(&id));
    let name = draft.fields.customer_group_name.clone().value();
    match draft.parse() {
        Ok(group) => ImportGroup::Valid { group, parent_name },
        Err(violations) => ImportGroup::Invalid {
            problem: violations.to_string(),
            id: id.unwrap_or_else(GroupId::generate),
            name: name.and_then(|name| Name::parse(field::CUSTOMER_GROUP_NAME, &name).ok()),
        },
    }
}

/// A line of which nothing can be read.
fn unreadable(problem: impl Into<String>) -> ImportGroup {
    ImportGroup::Invalid { problem: problem.into(), id: GroupId::generate(), name: None }
}

fn too_long() -> String {
    format!("it has more than {MAX_LINE} bytes; is a quotation mark missing?")
}

fn not_utf8() -> String {
    "it is not in UTF-8; save the file in UTF-8".to_owned()
}
