//! The form of ERPNext's Data Export: notes, then rows that describe the columns, each with its title in the first column,
//! then the groups, whose first column is empty.

use super::columns::{Column, Columns, find};
use crate::domain::{excerpt, field};
use crate::files::erpnext::ErpnextColumn;

/// The most lines before the names of the columns.
const MAX_LINES: usize = 40;

/// Separates the columns of the group from those of its child tables.
const SEPARATOR: &str = "~";

/// The lines before the names of the columns. Their texts are translated, so they are recognised by their form.
#[derive(Default)]
pub(super) struct Preamble {
    lines: usize,
    /// The line of the first text, and the text.
    first: Option<(i64, String)>,
}

impl Preamble {
    /// The columns, if this is the row with their names: the title and the fields of ERPNext.
    pub(super) fn header(names: &[String]) -> Option<Result<Columns, String>> {
        let (title, names) = names.split_first()?;
        let is_header =
            title.trim().ends_with(':') && names.iter().any(|name| name == field::CUSTOMER_GROUP_NAME);
        is_header.then(|| {
            let of_group = names.iter().take_while(|name| *name != SEPARATOR);
            let of_group: Vec<String> = [String::new()].into_iter().chain(of_group.cloned()).collect();
            let mut columns = Columns::parse(&of_group)?;
            for name in &names[of_group.len() - 1..] {
                columns.all.push(Column::Erpnext(ErpnextColumn::OfRow));
                if name != SEPARATOR && !name.trim().is_empty() {
                    columns.ignored.push(format!("{name} of a child table"));
                }
            }
            Ok(columns)
        })
    }

    /// Whether a line can stand before the names of the columns. Takes it up if so.
    pub(super) fn contains(&mut self, line: i64, names: &[String]) -> bool {
        let mut given = names.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
        let (first, others) = (given.next(), given.count());
        let is_title =
            first.is_none_or(|first| first.ends_with(':') || (others == 0 && find(first).is_none()));
        if !is_title || self.lines == MAX_LINES {
            return false;
        }
        self.lines += 1;
        if let Some(first) = first.filter(|_| self.first.is_none()) {
            self.first = Some((line, first.to_owned()));
        }
        true
    }

    /// The problem of a file that ends before the names of the columns.
    pub(super) fn problem(self) -> Option<(i64, String)> {
        let (line, text) = self.first?;
        let names = [text.clone()];
        let problem = Columns::parse(&names).err().unwrap_or_else(|| excerpt(&text));
        Some((line, problem))
    }
}
