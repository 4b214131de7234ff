//! Filters of the list of all groups.

use super::text::is_blank;
use super::{
    FieldInput, GroupId, Name, Page, PageRequest, Violation, ViolationKind, Violations, excerpt, field,
};

/// The text for no parent, for parameters that have no null.
const NO_PARENT: &str = "null";

/// Selects the groups that meet all conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// The group directly above: any if absent, none (a root) if null.
    pub parent_id: FieldInput<GroupId>,
    /// A part of the name, in any case and composition; `None` for every name.
    pub customer_group_name: Option<Name>,
}

/// The parameters of the list of all groups: well-formed, not yet checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// The page, and the violations found while reading.
    pub page: PageRequest,
    /// The id of the group above, or `null` for the roots, if given.
    pub parent_id: Option<String>,
    /// The text to find in names, with the white space around it, if given.
    pub customer_group_name: Option<String>,
}

impl ListRequest {
    /// Checks the parameters. Reports every violation.
    pub fn parse(self) -> Result<(Page, GroupFilter), Violations> {
        let Self { page, parent_id, customer_group_name } = self;
        let mut found = Vec::new();
        let filter = GroupFilter {
            parent_id: parent_id.map_or(FieldInput::Absent, |text| parent(&text, &mut found)),
            customer_group_name: customer_group_name.and_then(|text| part_of_name(&text, &mut found)),
        };
        found.extend(page.violations);
        let page = PageRequest { violations: found, ..page }.parse()?;
        Ok((page, filter))
    }
}

fn parent(text: &str, found: &mut Vec<Violation>) -> FieldInput<GroupId> {
    if text == NO_PARENT {
        return FieldInput::Null;
    }
    GroupId::parse(text).map_or_else(
        || {
            let (field, text) = (field::PARENT_ID, excerpt(text));
            let description = format!(
                "{field} {text} is not the id of a customer group; give that of the group above, or {NO_PARENT} for the roots"
            );
            found.push(Violation::new(field, ViolationKind::Invalid, description));
            FieldInput::Absent
        },
        FieldInput::Value,
    )
}

fn part_of_name(text: &str, found: &mut Vec<Violation>) -> Option<Name> {
    let field = field::CUSTOMER_GROUP_NAME;
    if is_blank(text) {
        let description =
            format!("{field} has no text to find; give a part of a name, or leave it out for every name");
        found.push(Violation::new(field, ViolationKind::Invalid, description));
        return None;
    }
    Name::stored(field, text).map_err(|violation| found.push(violation)).ok()
}
