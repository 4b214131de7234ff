//! NDJSON files: one object a line, in the form of the REST API.

use std::io::{self, BufRead, Read, Write};

use super::{MAX_LINE, Parents, import_group, json, not_utf8, too_long, unreadable};
use crate::domain::{
    CustomerGroup, FieldInput, ImportGroup, ImportInput, ImportLine, Violation, ViolationKind, field,
};

/// The lines of a file.
pub(super) struct Lines<R> {
    source: R,
    number: i64,
    /// Known after the first object.
    parents: Option<Parents>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, number: 0, parents: None }
    }

    /// The next line that is not blank.
    fn next_line(&mut self) -> io::Result<Option<ImportLine>> {
        loop {
            let mut line = Vec::new();
            self.source.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            let group = if line.len() == MAX_LINE && !line.ends_with(b"\n") {
                self.source.skip_until(b'\n')?;
                unreadable(too_long())
            } else if line.trim_ascii().is_empty() {
                continue;
            } else {
                str::from_utf8(&line).map_or_else(|_| unreadable(not_utf8()), |line| self.group(line))
            };
            return Ok(Some(ImportLine { number: self.number, group }));
        }
    }

    fn group(&mut self, line: &str) -> ImportGroup {
        let mut input = match json::import_input(line) {
            Ok(input) => input,
            Err(problem) => return unreadable(problem),
        };
        let parents = *self.parents.get_or_insert_with(|| parents(&input));
        if parents == Parents::ByName && self::parents(&input) == Parents::ById {
            input.fields.violations.push(Violation::new(
                field::PARENT_ID,
                ViolationKind::Invalid,
                "the first object has no id and no parent_id, so that parents are named by parent_customer_group; \
                 give that one a parent_id, which may be null, or leave both out here",
            ));
        }
        import_group(input, parents)
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<ImportLine>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().transpose()
    }
}

fn parents(input: &ImportInput) -> Parents {
    match (&input.id, &input.fields.parent_id) {
        (FieldInput::Absent, FieldInput::Absent) => Parents::ByName,
        (FieldInput::Null | FieldInput::Value(_), _) | (_, FieldInput::Null | FieldInput::Value(_)) => {
            Parents::ById
        }
    }
}

pub(super) fn write(group: &CustomerGroup, mut file: impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut file, &json::CustomerGroupObject::from(group))?;
    file.write_all(b"\n")
}
