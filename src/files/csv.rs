//! Comma-separated values, as RFC 4180 has them.
//!
//! A value that is not there is an empty field, and an empty text is one in quotation marks, as in PostgreSQL.

use std::fmt::Display;
use std::io::{self, BufRead, Write};

use csv_core::{ReadFieldResult, Reader};

use super::columns::{Column, Columns, OWN};
use super::{MAX_LINE, Parents, import_group, not_utf8, too_long, unreadable};
use crate::domain::{
    CustomerGroup, Draft, Field, ImportDraft, ImportGroup, ImportLine, Text, Violation, ViolationKind,
    excerpt, field,
};

/// The lines of a file after its header.
pub(super) struct Lines<R> {
    records: Records<R>,
    header: Header,
}

/// What is known of the columns.
enum Header {
    Unread,
    Read(Columns),
    /// Nothing that comes can be told.
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
            import_group(draft(columns, fields), columns.parents)
        }
        Ok(fields) => {
            let (given, wanted) = (fields.len(), columns.all.len());
            unreadable(format!(
                "it has {given} fields and the header {wanted}; quote those with commas in them"
            ))
        }
        Err(problem) => unreadable(problem),
    }
}

fn draft(columns: &Columns, record: Vec<CsvField>) -> ImportDraft {
    let mut draft = ImportDraft::default();
    let mut erpnext_name = Field::Absent;
    let fields = &mut draft.fields;
    for (column, csv) in columns.all.iter().zip(record) {
        match column {
            Column::Id => draft.id = csv.value(),
            Column::CreatedAt => draft.created_at = csv.value(),
            Column::UpdatedAt => draft.updated_at = csv.value(),
            Column::ParentId => fields.parent_id = csv.value(),
            Column::IsGroup => fields.is_group = csv.truth(&mut fields.violations),
            Column::CustomerGroupName => fields.customer_group_name = csv.value(),
            Column::ParentCustomerGroup => fields.parent_customer_group = csv.text(columns.parents),
            Column::DefaultPriceList => fields.default_price_list = csv.text(columns.parents),
            Column::PaymentTerms => fields.payment_terms = csv.text(columns.parents),
            Column::ErpnextName => erpnext_name = csv.value(),
            Column::ErpnextOrder => {}
        }
    }
    if let Field::Value(name) = erpnext_name {
        check_erpnext_name(&name, fields);
    }
    draft
}

/// Parents are named by what ERPNext calls a group, which is its name there. An id of this service in its place would be
/// lost.
fn check_erpnext_name(name: &str, fields: &mut Draft) {
    if let Field::Value(given) = &fields.customer_group_name
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
    /// The line that comes, from 1.
    line: i64,
}

struct Record {
    line: i64,
    fields: Vec<RawField>,
    /// The bytes of all, and one more for each.
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

    /// So that the line of a record is the one on which it begins.
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
    /// What it says where an empty text is no value.
    fn value(self) -> Field<String> {
        if self.text.is_empty() { Field::Null } else { Field::Value(self.text) }
    }

    /// What it says where an empty text is one. ERPNext, which names parents by their names, quotes all that is
    /// missing, too.
    fn text(self, parents: Parents) -> Field<String> {
        match parents {
            Parents::ById if self.is_quoted => Field::Value(self.text),
            Parents::ById | Parents::ByName => self.value(),
        }
    }

    fn truth(self, found: &mut Vec<Violation>) -> Field<bool> {
        match self.text.as_str() {
            "" => Field::Null,
            "true" | "1" => Field::Value(true),
            "false" | "0" => Field::Value(false),
            other => {
                let description =
                    format!("is_group is {}; give true or 1, false or 0, or nothing", excerpt(other));
                found.push(Violation::new(field::IS_GROUP, ViolationKind::Invalid, description));
                Field::Absent
            }
        }
    }
}

pub(super) fn write_header(file: &mut impl Write) -> io::Result<()> {
    writeln!(file, "{}", OWN.map(|(name, _)| name).join(","))
}

/// Writes a group. Texts are written as they are, whatever a spreadsheet makes of one that begins with `=`.
pub(super) fn write(group: &CustomerGroup, file: &mut impl Write) -> io::Result<()> {
    let (id, created, updated, is_group) = (group.id, group.created_at(), group.updated_at, group.is_group);
    let parent: &dyn Display = group.parent_id.as_ref().map_or(&"" as &dyn Display, |id| id);
    write!(file, "{id},{created},{updated},{parent},{is_group}")?;
    for text in [
        Some(group.customer_group_name.as_str()),
        group.parent_customer_group.as_ref().map(Text::as_str),
        group.default_price_list.as_ref().map(Text::as_str),
        group.payment_terms.as_ref().map(Text::as_str),
    ] {
        file.write_all(b",")?;
        write_text(text, file)?;
    }
    file.write_all(b"\n")
}

/// Writes a text, in quotation marks where it must be.
fn write_text(text: Option<&str>, file: &mut impl Write) -> io::Result<()> {
    match text {
        None => Ok(()),
        Some(text) if text.is_empty() || text.contains(['"', ',', '\r', '\n']) || text.trim() != text => {
            write!(file, "\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => file.write_all(text.as_bytes()),
    }
}
