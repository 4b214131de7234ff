//! Which of all groups a list has.

use super::violation::{Violation, ViolationKind, Violations, excerpt, field};
use super::{Field, GroupId, Name, Page, PageRequest};

/// What stands for no parent where text is all that can be given.
const NO_PARENT: &str = "null";

/// The groups for which all of this holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The group directly above: any when absent, and none, as of a root, when null.
    pub parent_id: Field<GroupId>,
    /// What the name has in it, in upper or lower case; `None` for every name.
    pub customer_group_name: Option<Name>,
}

/// What a face read of the list of all groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// The part of the list, and what the face found wrong itself.
    pub page: PageRequest,
    /// The id of the group above, or `null` for none, when given.
    pub parent_id: Option<String>,
    /// The text to look for in names, with the white space around it, when given.
    pub customer_group_name: Option<String>,
}

impl ListRequest {
    /// A page, and which groups are listed.
    ///
    /// # Errors
    ///
    /// Those of [`PageRequest::parse`], and a violation for each filter that no group could meet.
    pub fn parse(self) -> Result<(Page, Filter), Violations> {
        let mut found = Vec::new();
        let filter = Filter {
            parent_id: self.parent_id.map_or(Field::Absent, |text| parent(&text, &mut found)),
            customer_group_name: self.customer_group_name.and_then(|text| part_of_name(&text, &mut found)),
        };
        found.extend(self.page.violations);
        let page = PageRequest { violations: found, ..self.page }.parse()?;
        Ok((page, filter))
    }
}

fn parent(text: &str, found: &mut Vec<Violation>) -> Field<GroupId> {
    if text == NO_PARENT {
        return Field::Null;
    }
    GroupId::parse(text).map_or_else(
        || {
            let (field, text) = (field::PARENT_ID, excerpt(text));
            let description = format!(
                "{field} is {text}, no id of a customer group; give that of the group above, or {NO_PARENT} for the roots"
            );
            found.push(Violation::new(field, ViolationKind::Invalid, description));
            Field::Absent
        },
        Field::Value,
    )
}

fn part_of_name(text: &str, found: &mut Vec<Violation>) -> Option<Name> {
    let field = field::CUSTOMER_GROUP_NAME;
    if text.trim().is_empty() {
        let description =
            format!("{field} has no text to look for; give a part of a name, or leave it out for every name");
        found.push(Violation::new(field, ViolationKind::Invalid, description));
        return None;
    }
    Name::parse(field, text).map_err(|violation| found.push(violation)).ok()
}
