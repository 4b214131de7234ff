//! Customer groups from a file: from what a line says to what may be stored.

use std::fmt;

use super::violation::{Violation, ViolationKind, Violations, excerpt, field};
use super::{CustomerGroup, Draft, Field, GroupId, Name, NewGroup, Timestamp};

/// What a line of a file says of a group, as it was read: of the right shape, not yet checked.
#[derive(Debug, Clone, Default)]
pub struct ImportDraft {
    /// The id that the group keeps; without one it gets a new one.
    pub id: Field<String>,
    /// When it was created, which its id says too. Without an id it is ignored, as in a create.
    pub created_at: Field<String>,
    /// When it was last updated; without it, when it was created. Without an id it is ignored, as in a create.
    pub updated_at: Field<String>,
    /// The other fields, and what was found wrong while reading.
    pub fields: Draft,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportLine {
    /// Its number in the file; the first is 1.
    pub number: i64,
    /// The group in it.
    pub group: ImportGroup,
}

/// The group in a line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportGroup {
    /// One that may be stored, if its parent exists, and no other group has its id.
    Valid {
        /// The group. It has no parent yet where the file names parents by their names.
        group: CustomerGroup,
        /// The name of its parent.
        parent_name: Option<Name>,
    },
    /// One in which something is wrong, with what could be read of it: others may name it as their parent.
    Invalid {
        /// What is wrong.
        problem: String,
        /// Its id, or a new one.
        id: GroupId,
        /// Its name.
        name: Option<Name>,
    },
}

/// What is wrong with the lines of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportProblems {
    told: Vec<(i64, String)>,
    count: u64,
}

impl ImportDraft {
    /// Reads the draft as a group, by the rules of a create.
    ///
    /// # Errors
    ///
    /// Every violation of the draft. Whether the parent exists, and no other group has the id, is not known here.
    pub fn parse(self) -> Result<CustomerGroup, Violations> {
        let new = NewGroup::parse(self.fields).map(NewGroup::into_group);
        let Field::Value(id) = self.id else { return new };
        match (version(&id, self.created_at, self.updated_at), new) {
            (Ok((id, updated_at)), Ok(group)) => Ok(CustomerGroup { id, updated_at, ..group }),
            (Ok(_), Err(violations)) | (Err(violations), Ok(_)) => Err(violations),
            (Err(of_version), Err(others)) => Err(of_version.and(others)),
        }
    }
}

/// Reads which group it is and when it was last updated.
fn version(
    id: &str,
    created_at: Field<String>,
    updated_at: Field<String>,
) -> Result<(GroupId, Timestamp), Violations> {
    let invalid = |field, description| Violation::new(field, ViolationKind::Invalid, description);
    let Some(parsed) = GroupId::parse(id) else {
        let id = excerpt(id);
        let description =
            format!("id {id} is no id of a customer group; correct it, or leave it out for a new one");
        return Err(invalid(field::ID, description).into());
    };
    let (id, created) = (parsed, parsed.created_at());
    let mut found = Vec::new();
    if time(field::CREATED_AT, created_at, &mut found).is_some_and(|time| time != created) {
        let description = format!("created_at is not {created}, the time inside the id; leave it out");
        found.push(invalid(field::CREATED_AT, description));
    }
    let updated = time(field::UPDATED_AT, updated_at, &mut found).unwrap_or(created);
    if updated < created {
        let description =
            format!("updated_at is {updated}, before the creation at {created}; correct it, or leave it out");
        found.push(invalid(field::UPDATED_AT, description));
    }
    Violations::of(found).map_or(Ok((id, updated)), Err)
}

fn time(field: &str, value: Field<String>, found: &mut Vec<Violation>) -> Option<Timestamp> {
    let text = value.value()?;
    let time = Timestamp::parse(&text);
    if time.is_none() {
        let text = excerpt(&text);
        let description =
            format!("{field} is {text}; give a time in whole milliseconds, such as 2024-01-15T09:30:00.123Z");
        found.push(Violation::new(field, ViolationKind::Invalid, description));
    }
    time
}

impl ImportProblems {
    /// The most problems that are told one by one.
    pub const TOLD: usize = 100;

    /// Adds a problem of a line after those before.
    pub fn add(&mut self, line: i64, problem: String) {
        self.count += 1;
        if self.told.len() < Self::TOLD {
            self.told.push((line, problem));
        }
    }

    /// Adds problems of one kind: the first of them, and how many there are in all.
    pub fn add_all(&mut self, first: Vec<(i64, String)>, count: u64) {
        self.count += count;
        self.told.extend(first);
        self.told.sort();
        self.told.truncate(Self::TOLD);
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl fmt::Display for ImportProblems {
    /// A line each in the order of the file, for the first [`ImportProblems::TOLD`], and one for the others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (line, problem) in &self.told {
            writeln!(f, "line {line}: {problem}")?;
        }
        match self.count - self.told.len() as u64 {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "customer-group_01h455vb4pex5vsknk084sn02q";
    const CREATED: &str = "2023-06-30T03:34:18.518Z";

    fn text(text: &str) -> Field<String> {
        Field::Value(text.to_owned())
    }

    fn draft(id: &str) -> ImportDraft {
        let fields = Draft { customer_group_name: text("Export"), ..Draft::default() };
        ImportDraft { id: text(id), fields, ..ImportDraft::default() }
    }

    #[test]
    fn a_group_keeps_its_id_and_its_version() {
        let draft = ImportDraft {
            created_at: text(CREATED),
            updated_at: text("2024-01-15T09:30:00.123Z"),
            ..draft(ID)
        };
        let group = draft.parse().unwrap();
        assert_eq!(group.id.to_string(), ID);
        assert_eq!(group.updated_at.to_string(), "2024-01-15T09:30:00.123Z");
    }

    #[test]
    fn a_group_without_times_was_last_updated_when_it_was_created() {
        assert_eq!(draft(ID).parse().unwrap().updated_at.to_string(), CREATED);
    }

    #[test]
    fn a_group_without_an_id_is_a_new_one_whatever_its_times() {
        let draft = ImportDraft { id: Field::Null, updated_at: text("yesterday"), ..draft(ID) };
        let group = draft.parse().unwrap();
        assert_eq!(group.updated_at, group.created_at());
        assert_ne!(group.id.to_string(), ID);
    }

    #[test]
    fn every_violation_is_reported_in_the_order_of_the_fields() {
        let draft = ImportDraft {
            created_at: text("2023-06-30T03:34:18.519Z"),
            updated_at: text("2023-06-30T03:34:18.517Z"),
            fields: Draft {
                customer_group_name: text(" "),
                payment_terms: text("\u{7}"),
                ..Draft::default()
            },
            ..draft(ID)
        };
        let violations = draft.parse().unwrap_err();
        let fields: Vec<_> = violations.as_slice().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["created_at", "updated_at", "customer_group_name", "payment_terms"]);
        assert_eq!(super::tests::draft("nobody").parse().unwrap_err().only().unwrap().field, "id");
    }

    #[test]
    fn a_time_that_cannot_be_kept_is_refused() {
        for time in ["", "yesterday", "2024-01-15", "2024-01-15T09:30:00", "2024-01-15T09:30:00.1234Z"] {
            let draft = ImportDraft { updated_at: text(time), ..draft(ID) };
            assert_eq!(draft.parse().unwrap_err().only().unwrap().field, "updated_at", "{time}");
        }
        let elsewhere = ImportDraft { updated_at: text("2024-01-15T10:30:00+01:00"), ..draft(ID) };
        assert_eq!(elsewhere.parse().unwrap().updated_at.to_string(), "2024-01-15T09:30:00.000Z");
    }

    #[test]
    fn the_first_problems_of_the_file_are_told_and_the_others_counted() {
        let mut problems = ImportProblems::default();
        for line in 51..=200 {
            problems.add(line, "odd".to_owned());
        }
        problems.add_all((1..=50).map(|line| (line, "even".to_owned())).collect(), 60);
        let told = problems.to_string();
        let lines: Vec<_> = told.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[99]), (101, "line 1: even", "line 100: odd"));
        assert_eq!(lines[100], "and 110 more");
    }
}
