//! CSV files (RFC 4180).
//!
//! As in PostgreSQL, an empty field is null, and an empty field in quotation marks is an empty text.

use std::io::{self, BufRead, Write};

use csv_core::{ReadFieldResult, Reader};

use super::columns::{Column, Columns, own_columns};
use super::{MAX_LINE, Parents, import_group, not_utf8, too_long, unreadable};
use crate::domain::{
    CustomerGroup, Field, FieldInput, GroupInput, ImportGroup, ImportInput, ImportLine, Text, Violation,
    ViolationKind, excerpt, field,
};

/// The lines of a file after its header.
pub(super) struct Lines<R> {
    records: Records<R>,
    header: Header,
}

enum Header {
    Unread,
    Read(Columns),
    /// No further line can be read.
    Invalid,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(source: R) -> Self {
        Self { records: Records { source, parser: Reader::new(), line: 1 }, header: Header::Unread }
    }

    fn next_line(&mut self) -> io::Result<Option<ImportLine>> {
        if matches!(self.header, Header::Unread) {
            let record = self.records.next_record()?;
            let number = record.as_ref().map_or(1, |record| record.line);
            let empty = || Err("the file is empty; begin it with the names of the columns".to_owned());
            match record.map_or_else(empty, columns) {
                Ok(columns) => self.header = Header::Read(columns),
                Err(problem) => {
                    self.header = Header::Invalid;
                    return Ok(Some(ImportLine { number, group: unreadable(problem) }));
                }
            }
        }
        let Header::Read(columns) = &self.header else { return Ok(None) };
        let record = self.records.next_record()?;
        Ok(record.map(|record| ImportLine { number: record.line, group: group(columns, record) }))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<ImportLine>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().transpose()
    }
}

fn columns(header: Record) -> Result<Columns, String> {
    let names: Vec<String> = header.fields()?.into_iter().map(|field| field.text).collect();
    Columns::parse(&names)
}

fn group(columns: &Columns, record: Record) -> ImportGroup {
    match record.fields() {
        Ok(fields) if fields.len() == columns.all.len() => {
            import_group(input(columns, fields), columns.parents)
        }
        Ok(fields) => {
            let (given, wanted) = (fields.len(), columns.all.len());
            unreadable(format!(
                "it has {given} fields and the header {wanted}; quote fields that contain commas"
            ))
        }
        Err(problem) => unreadable(problem),
    }
}

fn input(columns: &Columns, record: Vec<CsvField>) -> ImportInput {
    let mut input = ImportInput::default();
    let mut erpnext_name = FieldInput::Absent;
    let fields = &mut input.fields;
    for (column, csv) in columns.all.iter().zip(record) {
        match column {
            Column::Id => input.id = csv.value(),
            Column::CreatedAt => input.created_at = csv.value(),
            Column::UpdatedAt => input.updated_at = csv.value(),
            Column::Field(Field::ParentId) => fields.parent_id = csv.value(),
            Column::Field(Field::IsGroup) => fields.is_group = csv.boolean(&mut fields.violations),
            Column::Field(Field::CustomerGroupName) => fields.customer_group_name = csv.value(),
            Column::Field(Field::Text(text)) => fields.texts[*text] = csv.text(columns.parents),
            Column::ErpnextName => erpnext_name = csv.value(),
            Column::ErpnextOrder => {}
        }
    }
    if let FieldInput::Value(name) = erpnext_name {
        check_erpnext_name(&name, fields);
    }
    input
}

/// Checks that ERPNext's key of a group is its name, because children refer to their parent by name. If the column had
/// an id of this service, that id would be lost.
fn check_erpnext_name(name: &str, fields: &mut GroupInput) {
    if let FieldInput::Value(given) = &fields.customer_group_name
        && name.trim() != given.trim()
    {
        let (name, given) = (excerpt(name), excerpt(given));
        let description = format!(
            "ERPNext's ID is {name} and customer_group_name {given}; give both the name, or leave ID out"
        );
        let violation = Violation::new(field::CUSTOMER_GROUP_NAME, ViolationKind::Invalid, description);
        fields.violations.push(violation);
    }
}

/// The records of a file.
struct Records<R> {
    source: R,
    parser: Reader,
    /// The number of the next line, from 1.
    line: i64,
}

struct Record {
    line: i64,
    fields: Vec<RawField>,
    /// The bytes of all fields, and one more for each.
    size: usize,
}

/// A field as bytes.
#[derive(Default)]
struct RawField {
    bytes: Vec<u8>,
    is_quoted: bool,
}

/// A field as text.
struct CsvField {
    text: String,
    is_quoted: bool,
}

impl<R: BufRead> Records<R> {
    fn next_record(&mut self) -> io::Result<Option<Record>> {
        self.skip_ends_of_lines()?;
        let mut record = Record { line: self.line, fields: Vec::new(), size: 0 };
        let mut field = RawField::default();
        let mut output = [0; 1024];
        loop {
            let input = self.source.fill_buf()?;
            let (result, taken, written) = self.parser.read_field(input, &mut output);
            let taken_bytes = &input[..taken];
            field.is_quoted |= taken_bytes.contains(&b'"');
            self.line += taken_bytes.iter().map(|byte| i64::from(*byte == b'\n')).sum::<i64>();
            self.source.consume(taken);
            record.size += written;
            if record.size <= MAX_LINE {
                field.bytes.extend_from_slice(&output[..written]);
            }
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => {
                    record.size += 1;
                    let field = std::mem::take(&mut field);
                    if record.size <= MAX_LINE {
                        record.fields.push(field);
                    }
                    if record_end {
                        return Ok(Some(record));
                    }
                }
                ReadFieldResult::End => return Ok(None),
            }
        }
    }

    /// Skips blank lines, so that the line of a record is the one on which it begins.
    fn skip_ends_of_lines(&mut self) -> io::Result<()> {
        while let Some(byte @ (b'\r' | b'\n')) = self.source.fill_buf()?.first().copied() {
            self.line += i64::from(byte == b'\n');
            self.source.consume(1);
        }
        Ok(())
    }
}

impl Record {
    fn fields(self) -> Result<Vec<CsvField>, String> {
        if self.size > MAX_LINE {
            return Err(too_long());
        }
        let text = |RawField { bytes, is_quoted }| {
            String::from_utf8(bytes).map(|text| CsvField { text, is_quoted }).map_err(|_| not_utf8())
        };
        self.fields.into_iter().map(text).collect()
    }
}

impl CsvField {
    /// The value of a field that cannot be an empty text.
    fn value(self) -> FieldInput<String> {
        if self.text.is_empty() { FieldInput::Null } else { FieldInput::Value(self.text) }
    }

    /// The value of a field that can be an empty text. In ERPNext's files, which name parents by their names, absent values
    /// have quotation marks too.
    fn text(self, parents: Parents) -> FieldInput<String> {
        match parents {
            Parents::ById if self.is_quoted => FieldInput::Value(self.text),
            Parents::ById | Parents::ByName => self.value(),
        }
    }

    fn boolean(self, found: &mut Vec<Violation>) -> FieldInput<bool> {
        match self.text.as_str() {
            "" => FieldInput::Null,
            "true" | "1" => FieldInput::Value(true),
            "false" | "0" => FieldInput::Value(false),
            other => {
                let description =
                    format!("is_group is {}; give true or 1, false or 0, or nothing", excerpt(other));
                found.push(Violation::new(field::IS_GROUP, ViolationKind::Invalid, description));
                FieldInput::Absent
            }
        }
    }
}

pub(super) fn write_header(file: &mut impl Write) -> io::Result<()> {
    let names: Vec<_> = own_columns().map(|(name, _)| name).collect();
    writeln!(file, "{}", names.join(","))
}

/// Writes a group. Texts are written as they are, even if a spreadsheet takes one that begins with `=` for a formula.
pub(super) fn write(group: &CustomerGroup, file: &mut impl Write) -> io::Result<()> {
    let CustomerGroup { id, updated_at, parent_id, is_group, customer_group_name, texts } = group;
    write!(file, "{id},{},{updated_at}", group.created_at())?;
    for field in Field::EDITABLE {
        file.write_all(b",")?;
        match field {
            Field::ParentId => parent_id.iter().try_for_each(|parent| write!(file, "{parent}"))?,
            Field::IsGroup => write!(file, "{is_group}")?,
            Field::CustomerGroupName => write_text(Some(customer_group_name.as_str()), file)?,
            Field::Text(text) => write_text(texts[text].as_ref().map(Text::as_str), file)?,
        }
    }
    file.write_all(b"\n")
}

/// Writes a text, in quotation marks if necessary.
fn write_text(text: Option<&str>, file: &mut impl Write) -> io::Result<()> {
    match text {
        None => Ok(()),
        Some(text) if text.is_empty() || text.contains(['"', ',', '\r', '\n']) || text.trim() != text => {
            write!(file, "\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => file.write_all(text.as_bytes()),
    }
}
