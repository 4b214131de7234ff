//! The groups in the rows of a CSV file.

use super::columns::{Column, Columns};
use super::delimiter::kind;
use super::records::{CsvField, Record};
use crate::domain::{
    Field, FieldInput, GroupInput, ImportGroup, ImportInput, Violation, ViolationKind, excerpt, field,
};
use crate::files::erpnext::{self, ErpnextColumn};
use crate::files::{self, Parents, import_group, unreadable};

/// The words for true and false, in the languages of spreadsheets and of ERPNext.
const TRUE: [&str; 9] = ["true", "1", "yes", "wahr", "ja", "vrai", "oui", "verdadero", "sí"];
const FALSE: [&str; 8] = ["false", "0", "no", "falsch", "nein", "faux", "non", "falso"];

/// Reads the rows below a header.
pub(super) struct Rows {
    columns: Columns,
    delimiter: u8,
    /// Whether rows with a title in the first column describe the columns.
    is_data_export: bool,
    /// The key of the last group in an ERPNext file: its child rows repeat it.
    last_key: Option<String>,
}

impl Rows {
    pub(super) fn new(columns: Columns, delimiter: u8) -> Self {
        Self { columns, delimiter, is_data_export: false, last_key: None }
    }

    pub(super) fn of_data_export(columns: Columns, delimiter: u8) -> Self {
        Self { is_data_export: true, ..Self::new(columns, delimiter) }
    }

    pub(super) fn ignored(&self) -> Vec<String> {
        self.columns.ignored.clone()
    }

    /// The group of a row; `None` for a row without values of a group.
    pub(super) fn group(&mut self, record: Record) -> Option<ImportGroup> {
        let mut fields = match record.fields() {
            Ok(fields) => fields,
            Err(problem) => return Some(unreadable(problem)),
        };
        let wanted = self.columns.all.len();
        let is_title = self.is_data_export && fields.first().is_some_and(|first| !first.is_blank());
        if is_title || self.is_without_group(&fields) {
            return None;
        }
        // Spreadsheets write empty columns on the right.
        while fields.len() > wanted && fields.last().is_some_and(CsvField::is_blank) {
            fields.pop();
        }
        if fields.len() != wanted {
            let (given, kind) = (fields.len(), kind(self.delimiter));
            return Some(unreadable(format!(
                "it has {given} fields and the header {wanted} in this {kind} file; quote fields that contain the \
                 delimiter, or change it by --delimiter"
            )));
        }
        self.input(fields).map(|input| import_group(input, self.columns.parents))
    }

    fn is_without_group(&self, fields: &[CsvField]) -> bool {
        let columns =
            self.columns.all.iter().map(|column| column.is_of_group()).chain(std::iter::repeat(true));
        fields.iter().zip(columns).all(|(field, is_of_group)| !is_of_group || field.is_blank())
    }

    /// The fields of a row; `None` for one that repeats the last group with another row of its child tables.
    fn input(&mut self, record: Vec<CsvField>) -> Option<ImportInput> {
        let mut input = ImportInput::default();
        let (mut key, mut has_children) = (FieldInput::Absent, false);
        for (index, (column, csv)) in self.columns.all.iter().zip(record).enumerate() {
            match column {
                Column::Own(column) => csv.put(*column, self.columns.parents, &mut input),
                Column::Erpnext(ErpnextColumn::Name) => key = csv.key(self.is_data_export),
                Column::Erpnext(ErpnextColumn::OfRow) => has_children |= !csv.is_blank(),
                Column::Erpnext(ErpnextColumn::Standard) => {}
                Column::Unnamed if csv.is_blank() => {}
                Column::Unnamed => fields_without_name(index, &csv, &mut input.fields),
            }
        }
        if let FieldInput::Value(key) = &key
            && has_children
            && self.last_key.replace(key.clone()).as_ref() == Some(key)
        {
            return None;
        }
        erpnext::take_name(key, &mut input.fields);
        Some(input)
    }
}

fn fields_without_name(index: usize, csv: &CsvField, fields: &mut GroupInput) {
    let (number, value) = (index + 1, excerpt(&csv.text));
    let description =
        format!("column {number} has the value {value} but no name; name it in the header, or empty it");
    fields.violations.push(Violation::new("", ViolationKind::Unknown, description));
}

impl CsvField {
    fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    fn put(self, column: files::Column, parents: Parents, input: &mut ImportInput) {
        let fields = &mut input.fields;
        match column {
            files::Column::Id => input.id = self.value(),
            files::Column::CreatedAt => input.created_at = self.value(),
            files::Column::UpdatedAt => input.updated_at = self.value(),
            files::Column::Field(Field::ParentId) => fields.parent_id = self.value(),
            files::Column::Field(Field::IsGroup) => fields.is_group = self.boolean(&mut fields.violations),
            files::Column::Field(Field::CustomerGroupName) => fields.customer_group_name = self.value(),
            files::Column::Field(Field::Text(text)) => fields.texts[text] = self.text(parents),
        }
    }

    /// The value of a field that cannot be an empty text.
    fn value(self) -> FieldInput<String> {
        if self.text.is_empty() { FieldInput::Null } else { FieldInput::Value(self.text) }
    }

    /// The key of a group. The Data Export puts it into further quotation marks.
    fn key(self, is_quoted: bool) -> FieldInput<String> {
        let quoted = self.text.trim().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        match quoted {
            Some(text) if is_quoted => FieldInput::Value(text.to_owned()),
            Some(_) | None => self.value(),
        }
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
        let word = self.text.trim().to_lowercase();
        if word.is_empty() {
            FieldInput::Null
        } else if TRUE.contains(&word.as_str()) {
            FieldInput::Value(true)
        } else if FALSE.contains(&word.as_str()) {
            FieldInput::Value(false)
        } else {
            let value = excerpt(&self.text);
            let description = format!("is_group is {value}; give true, yes or 1, false, no or 0, or nothing");
            found.push(Violation::new(field::IS_GROUP, ViolationKind::Invalid, description));
            FieldInput::Absent
        }
    }
}
