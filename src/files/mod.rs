//! Files of customer groups: CSV (RFC 4180) with a header, and NDJSON, one REST object a line.
//!
//! A file with `id` or `parent_id` is in the format of this service: it names parents by their ids, and
//! `parent_customer_group` is a text like others. A file without both, such as an export of ERPNext, names parents by
//! their names in `parent_customer_group`.

mod columns;
mod csv;
pub(crate) mod json;
mod ndjson;

pub(crate) use columns::column_names;

use std::ffi::OsStr;
use std::io::{self, BufRead, Cursor, Read, Write};
use std::path::Path;

use clap::ValueEnum;

use crate::domain::{
    CustomerGroup, FieldInput, GroupId, ImportGroup, ImportInput, ImportLine, Name, TextField, field,
};

/// The most bytes of a line. The longest valid one has about 13,000.
const MAX_LINE: usize = 64 << 10;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values, with a header.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl Format {
    /// The format by the extension of a file's name.
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

/// Skips the byte order mark that some programs write.
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
    pub fn new(mut file: W, format: Format) -> io::Result<Self> {
        if format == Format::Csv {
            csv::write_header(&mut file)?;
        }
        Ok(Self { file, format })
    }

    /// Writes a group.
    pub fn write(&mut self, group: &CustomerGroup) -> io::Result<()> {
        match self.format {
            Format::Csv => csv::write(group, &mut self.file),
            Format::Ndjson => ndjson::write(group, &mut self.file),
        }
    }

    /// The file, after all groups were written.
    pub fn into_inner(self) -> W {
        self.file
    }
}

/// Checks the fields of a line.
fn import_group(input: ImportInput, parents: Parents) -> ImportGroup {
    // An invalid name is an invalid text too, and reported as such. A blank one means that there is no parent.
    const PARENT_NAME: TextField = TextField::ParentCustomerGroup;
    let parent_name = match (parents, &input.fields.texts[PARENT_NAME]) {
        (Parents::ByName, FieldInput::Value(text)) => Name::parse(PARENT_NAME.name(), text).ok(),
        (Parents::ByName, FieldInput::Null | FieldInput::Absent) | (Parents::ById, _) => None,
    };
    let id = input.id.clone().value().and_then(|id| GroupId::parse(&id));
    let name = input.fields.customer_group_name.clone().value();
    match input.parse() {
        Ok(group) => ImportGroup::Valid { group, parent_name },
        Err(violations) => ImportGroup::Invalid {
            problem: violations.to_string(),
            id: id.unwrap_or_else(GroupId::generate),
            name: name.and_then(|name| Name::parse(field::CUSTOMER_GROUP_NAME, &name).ok()),
        },
    }
}

/// A line that cannot be read.
fn unreadable(problem: impl Into<String>) -> ImportGroup {
    ImportGroup::Invalid { problem: problem.into(), id: GroupId::generate(), name: None }
}

fn too_long() -> String {
    format!("it has more than {MAX_LINE} bytes; is a quotation mark missing?")
}

fn not_utf8() -> String {
    "it is not in UTF-8; save the file in UTF-8".to_owned()
}
