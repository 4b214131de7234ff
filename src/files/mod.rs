//! Files of customer groups: CSV (RFC 4180) with a header, and JSON: one REST object a line, or one list of them.
//!
//! A file with `id` or `parent_id` is in the format of this service: it names parents by their ids, and
//! `parent_customer_group` is a text like others. A file without both, such as an export of ERPNext, names parents by
//! their names in `parent_customer_group`.

mod columns;
mod csv;
mod encoding;
mod erpnext;
pub(crate) mod json;
mod json_list;
mod line_counter;
mod ndjson;

pub(crate) use columns::{Column, column_names};
pub(crate) use csv::parse_delimiter;

use std::ffi::OsStr;
use std::io::{self, BufRead, Write};
use std::path::Path;

use clap::ValueEnum;

use crate::domain::{
    CustomerGroup, Field, FieldInput, GivenFields, GroupId, Identity, ImportGroup, ImportInput, ImportLine,
    Name, TextField, field,
};

/// The most bytes of a line. The longest valid one has about 13,000.
const MAX_LINE: usize = 64 << 10;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values, with a header.
    Csv,
    /// One JSON object a line. Reading also takes one list of all objects.
    Ndjson,
}

impl Format {
    /// The format by the extension of a file's name.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension().and_then(OsStr::to_str)? {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" | "json" => Some(Self::Ndjson),
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

/// The groups of a file one by one, in constant memory.
pub trait ImportLines: Iterator<Item = io::Result<ImportLine>> + Send {
    /// The columns or fields found so far that are not imported.
    fn ignored(&self) -> Vec<String>;
}

/// Reads the groups of a file. The delimiter of a CSV file is recognised unless it is given.
pub fn read(
    source: impl BufRead + Send + 'static,
    format: Format,
    delimiter: Option<u8>,
) -> io::Result<Box<dyn ImportLines>> {
    let source = encoding::decoded(source)?;
    Ok(match format {
        Format::Csv => Box::new(csv::Lines::new(source, delimiter)?),
        Format::Ndjson => json_list::lines(source)?,
    })
}

/// Writes groups to a file.
pub struct Writer<W> {
    file: W,
    format: Format,
    columns: Vec<Column>,
}

impl<W: Write> Writer<W> {
    /// Begins a file with these columns.
    pub fn new(mut file: W, format: Format, columns: Vec<Column>) -> io::Result<Self> {
        if format == Format::Csv {
            csv::write_header(&columns, &mut file)?;
        }
        Ok(Self { file, format, columns })
    }

    /// Writes a group.
    pub fn write(&mut self, group: &CustomerGroup) -> io::Result<()> {
        match self.format {
            Format::Csv => csv::write(group, &self.columns, &mut self.file),
            Format::Ndjson => ndjson::write(group, &self.columns, &mut self.file),
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
    let given = GivenFields::of(&input.fields);
    let (given, identity) = match (parents, &input.id) {
        (Parents::ByName, _) if given.has(Field::Text(PARENT_NAME)) => {
            (given.and(Field::ParentId), Identity::Name)
        }
        (Parents::ByName, _) => (given, Identity::Name),
        (Parents::ById, FieldInput::Value(_)) => (given, Identity::Id),
        (Parents::ById, FieldInput::Null | FieldInput::Absent) => (given, Identity::Place),
    };
    match input.parse() {
        Ok(group) => ImportGroup::Valid { group, parent_name, given, identity },
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
