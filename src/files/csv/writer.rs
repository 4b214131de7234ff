//! Writes groups as CSV.

use std::io::{self, Write};

use crate::domain::{CustomerGroup, Field, Text};
use crate::files::Column;

pub(crate) fn write_header(columns: &[Column], file: &mut impl Write) -> io::Result<()> {
    let names: Vec<_> = columns.iter().map(|column| column.name()).collect();
    writeln!(file, "{}", names.join(","))
}

/// Writes a group. Texts are written as they are, even if a spreadsheet takes one that begins with `=` for a formula.
pub(crate) fn write(group: &CustomerGroup, columns: &[Column], file: &mut impl Write) -> io::Result<()> {
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            file.write_all(b",")?;
        }
        match column {
            Column::Id => write!(file, "{}", group.id)?,
            Column::CreatedAt => write!(file, "{}", group.created_at())?,
            Column::UpdatedAt => write!(file, "{}", group.updated_at)?,
            Column::Field(Field::ParentId) => {
                group.parent_id.iter().try_for_each(|parent| write!(file, "{parent}"))?;
            }
            Column::Field(Field::IsGroup) => write!(file, "{}", group.is_group)?,
            Column::Field(Field::CustomerGroupName) => {
                write_text(Some(group.customer_group_name.as_str()), file)?;
            }
            Column::Field(Field::Text(text)) => {
                write_text(group.texts[*text].as_ref().map(Text::as_str), file)?;
            }
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
