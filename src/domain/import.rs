//! Customer groups in import files.

use super::id_generator::MAX_LEAD;
use super::{
    CustomerGroup, Field, FieldInput, GroupId, GroupInput, Name, NewGroup, Timestamp, Violation,
    ViolationKind, Violations, excerpt, field,
};

/// The fields in a line of a file: well-formed, not yet checked.
#[derive(Debug, Clone, Default)]
pub struct ImportInput {
    /// The id, which the group keeps. Without one it gets a new one.
    pub id: FieldInput<String>,
    /// The creation time, which must be the one in the id. Ignored without an id, as in a create.
    pub created_at: FieldInput<String>,
    /// The time of the last update; the creation time if absent. Ignored without an id, as in a create.
    pub updated_at: FieldInput<String>,
    /// The editable fields, and the violations found while reading.
    pub fields: GroupInput,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportLine {
    /// Its number in the file, from 1.
    pub number: i64,
    /// The group in it.
    pub group: ImportGroup,
}

/// The group in a line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportGroup {
    /// A valid group. Whether its parent exists and its id is free is checked by the store.
    Valid {
        /// The group, still without a parent if the file names parents by their names.
        group: CustomerGroup,
        /// The name of its parent.
        parent_name: Option<Name>,
        /// The fields that an update sets.
        given: GivenFields,
        /// The identity by which an update finds the group.
        identity: Identity,
    },
    /// An invalid group, with the parts that other lines may refer to.
    Invalid {
        /// The reason.
        problem: String,
        /// Its id, or a new one.
        id: GroupId,
        /// Its name.
        name: Option<Name>,
    },
}

/// The use of stored groups by an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportMode {
    /// Nothing: all groups of the file are new.
    Create,
    /// Sets the given fields of those in the file.
    Update(Option<Within>),
}

/// The subtree that an update may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within {
    /// Its uppermost group.
    pub id: GroupId,
    /// Whether groups below it that the file lacks are deleted.
    pub prune: bool,
}

/// The identity by which an update finds a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Its id.
    Id,
    /// Its name, in a file that names parents by name.
    Name,
    /// Its name and its parent, in a line without an id of a file with ids.
    Place,
}

impl Identity {
    /// The name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Place => "place",
        }
    }
}

/// The fields that a line gives, as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GivenFields(pub(crate) i32);

impl GivenFields {
    /// The bit of a field.
    pub(crate) fn bit(field: Field) -> i32 {
        1 << field.position()
    }

    /// The fields of an input that are not absent.
    pub(crate) fn of(input: &GroupInput) -> Self {
        let GroupInput { parent_id, is_group, customer_group_name, texts, violations: _ } = input;
        let is_given = |field: &Field| match field {
            Field::ParentId => *parent_id != FieldInput::Absent,
            Field::IsGroup => *is_group != FieldInput::Absent,
            Field::CustomerGroupName => *customer_group_name != FieldInput::Absent,
            Field::Text(text) => texts[*text] != FieldInput::Absent,
        };
        Self(Field::EDITABLE.into_iter().filter(is_given).map(Self::bit).sum())
    }

    /// Adds a field.
    pub(crate) fn and(self, field: Field) -> Self {
        Self(self.0 | Self::bit(field))
    }

    /// Whether a field is given.
    pub(crate) fn has(self, field: Field) -> bool {
        self.0 & Self::bit(field) != 0
    }
}

impl ImportInput {
    /// Checks the input by the rules of a create. Reports every violation.
    pub fn parse(self) -> Result<CustomerGroup, Violations> {
        let new = NewGroup::parse(self.fields).map(NewGroup::into_group);
        let FieldInput::Value(id) = self.id else { return new };
        match (version(&id, self.created_at, self.updated_at), new) {
            (Ok((id, updated_at)), Ok(group)) => Ok(CustomerGroup { id, updated_at, ..group }),
            (Ok(_), Err(violations)) | (Err(violations), Ok(_)) => Err(violations),
            (Err(of_version), Err(others)) => Err(of_version.and(others)),
        }
    }
}

/// Checks the id and the times.
fn version(
    id: &str,
    created_at: FieldInput<String>,
    updated_at: FieldInput<String>,
) -> Result<(GroupId, Timestamp), Violations> {
    let invalid = |field, description| Violation::new(field, ViolationKind::Invalid, description);
    let Some(parsed) = GroupId::parse(id) else {
        let id = excerpt(id);
        let description =
            format!("id {id} is not the id of a customer group; correct it, or leave it out for a new one");
        return Err(invalid(field::ID, description).into());
    };
    let (id, created) = (parsed, parsed.created_at());
    let mut found = Vec::new();
    let now = Timestamp::now();
    if is_future(created, now) {
        let description = format!(
            "id {} is of {created}, which is in the future (it is {now}); correct it, or leave it out for a new one",
            excerpt(&id.to_string())
        );
        found.push(invalid(field::ID, description));
    }
    if time(field::CREATED_AT, created_at, &mut found).is_some_and(|time| time != created) {
        let description = format!("created_at is not {created}, the time inside the id; leave it out");
        found.push(invalid(field::CREATED_AT, description));
    }
    let updated = time(field::UPDATED_AT, updated_at, &mut found).unwrap_or(created);
    if updated < created {
        let description =
            format!("updated_at is {updated}, before the creation at {created}; correct it, or leave it out");
        found.push(invalid(field::UPDATED_AT, description));
    } else if is_future(updated, now) && !is_future(created, now) {
        let description = format!(
            "updated_at is {updated}, which is in the future (it is {now}); correct it, or leave it out"
        );
        found.push(invalid(field::UPDATED_AT, description));
    }
    Violations::of(found).map_or(Ok((id, updated)), Err)
}

/// Whether a time is later than another one by more than the clocks of replicas may differ.
fn is_future(time: Timestamp, now: Timestamp) -> bool {
    u128::try_from(time.milliseconds() - now.milliseconds()).is_ok_and(|lead| lead > MAX_LEAD)
}

fn time(field: &str, value: FieldInput<String>, found: &mut Vec<Violation>) -> Option<Timestamp> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TextField;

    const ID: &str = "customer-group_01h455vb4pex5vsknk084sn02q";
    const CREATED: &str = "2023-06-30T03:34:18.518Z";

    fn text(text: &str) -> FieldInput<String> {
        FieldInput::Value(text.to_owned())
    }

    fn input(id: &str) -> ImportInput {
        ImportInput { id: text(id), fields: GroupInput::named("Export"), ..ImportInput::default() }
    }

    #[test]
    fn a_group_keeps_its_id_and_its_version() {
        let input = ImportInput {
            created_at: text(CREATED),
            updated_at: text("2024-01-15T09:30:00.123Z"),
            ..input(ID)
        };
        let group = input.parse().unwrap();
        assert_eq!(group.id.to_string(), ID);
        assert_eq!(group.updated_at.to_string(), "2024-01-15T09:30:00.123Z");
    }

    #[test]
    fn a_group_without_times_was_last_updated_when_it_was_created() {
        assert_eq!(input(ID).parse().unwrap().updated_at.to_string(), CREATED);
    }

    #[test]
    fn a_group_without_an_id_is_a_new_one_whatever_its_times() {
        let input = ImportInput { id: FieldInput::Null, updated_at: text("yesterday"), ..input(ID) };
        let group = input.parse().unwrap();
        assert_eq!(group.updated_at, group.created_at());
        assert_ne!(group.id.to_string(), ID);
    }

    #[test]
    fn an_id_or_an_update_in_the_future_is_refused() {
        let of = |milliseconds: i64| {
            let bits = u128::try_from(milliseconds).unwrap() << 80 | 7 << 76 | 0b10 << 62;
            GroupId::from_uuid(uuid::Uuid::from_u128(bits)).unwrap()
        };
        let now = Timestamp::now().milliseconds();
        assert!(input(&of(now + 5_000).to_string()).parse().is_ok());
        let violations = input(&of(now + 60_000).to_string()).parse().unwrap_err();
        let violation = violations.only().unwrap();
        assert_eq!(violation.field, "id");
        assert!(violation.description.contains("in the future"), "{}", violation.description);
        let updated = ImportInput { updated_at: text("9999-01-01T00:00:00Z"), ..input(ID) };
        assert_eq!(updated.parse().unwrap_err().only().unwrap().field, "updated_at");
    }

    #[test]
    fn every_violation_is_reported_in_the_order_of_the_fields() {
        let mut fields = GroupInput::named(" ");
        fields.texts[TextField::PaymentTerms] = text("\u{7}");
        let input = ImportInput {
            created_at: text("2023-06-30T03:34:18.519Z"),
            updated_at: text("2023-06-30T03:34:18.517Z"),
            fields,
            ..input(ID)
        };
        let violations = input.parse().unwrap_err();
        let fields: Vec<_> = violations.as_slice().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["created_at", "updated_at", "customer_group_name", "payment_terms"]);
        assert_eq!(super::tests::input("nobody").parse().unwrap_err().only().unwrap().field, "id");
    }

    #[test]
    fn a_time_that_cannot_be_kept_is_refused() {
        for time in ["", "yesterday", "2024-01-15", "2024-01-15T09:30:00", "2024-01-15T09:30:00.1234Z"] {
            let input = ImportInput { updated_at: text(time), ..input(ID) };
            assert_eq!(input.parse().unwrap_err().only().unwrap().field, "updated_at", "{time}");
        }
        let elsewhere = ImportInput { updated_at: text("2024-01-15T10:30:00+01:00"), ..input(ID) };
        assert_eq!(elsewhere.parse().unwrap().updated_at.to_string(), "2024-01-15T09:30:00.000Z");
    }
}
