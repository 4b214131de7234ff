//! A customer group that is about to be created.

use super::text::missing;
use super::{
    Change, CustomerGroup, FieldInput, Fingerprint, GroupId, GroupInput, GroupPatch, Violation, Violations,
    field,
};

/// A valid new customer group with its id. Whether the parent exists is checked by the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroup(CustomerGroup);

impl NewGroup {
    /// Checks the input of a create and generates the id. An absent field means the same as null. Reports every
    /// violation, in the documented order of the fields.
    pub fn parse(mut input: GroupInput) -> Result<Self, Violations> {
        let is_reported = |violation: &Violation| violation.field == field::CUSTOMER_GROUP_NAME;
        if input.customer_group_name == FieldInput::Absent && !input.violations.iter().any(is_reported) {
            input.customer_group_name = FieldInput::Null;
        }
        let GroupPatch { parent_id, is_group, customer_group_name, texts } = GroupPatch::parse(input)?;
        let Change::Set(customer_group_name) = customer_group_name else {
            return Err(missing(field::CUSTOMER_GROUP_NAME).into());
        };
        let id = GroupId::generate();
        Ok(Self(CustomerGroup {
            id,
            updated_at: id.created_at(),
            parent_id: parent_id.value(),
            is_group: is_group.value(),
            customer_group_name,
            texts: texts.map(|_, text| text.value()),
        }))
    }

    /// The group as it will be stored.
    #[must_use]
    pub fn group(&self) -> &CustomerGroup {
        &self.0
    }

    /// The group, after it was stored.
    #[must_use]
    pub fn into_group(self) -> CustomerGroup {
        self.0
    }

    /// The group as an earlier identical create stored it, under the id that it got then.
    pub(crate) fn into_earlier(self, id: GroupId) -> CustomerGroup {
        CustomerGroup { id, updated_at: id.created_at(), ..self.0 }
    }

    /// Puts the group below another one.
    pub(super) fn below(mut self, parent: GroupId) -> Self {
        self.0.parent_id = Some(parent);
        self
    }

    /// Identifies the request for idempotency: equal for all creates that mean the same, over every protocol.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_group(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TextField;

    fn fields(violations: &Violations) -> Vec<&str> {
        violations.as_slice().iter().map(|violation| violation.field.as_str()).collect()
    }

    #[test]
    fn every_violation_is_reported_in_the_documented_order() {
        let mut input = GroupInput::named(" ");
        input.parent_id = FieldInput::Value("customer-group_abc123".to_owned());
        for field in TextField::ALL {
            input.texts[field] = FieldInput::Value("a\0".to_owned());
        }
        let texts = TextField::ALL.map(TextField::name);
        let all = [&["parent_id", "customer_group_name"][..], &texts].concat();
        assert_eq!(fields(&NewGroup::parse(input.clone()).unwrap_err()), all);
        assert_eq!(fields(&GroupPatch::parse(input).unwrap_err()), all);
    }

    #[test]
    fn a_new_group_needs_only_a_name() {
        let group = NewGroup::parse(GroupInput::named("Export")).unwrap().into_group();
        assert_eq!(group.customer_group_name.as_str(), "Export");
        assert_eq!(group.updated_at, group.created_at());
        assert_eq!((group.parent_id, group.is_group), (None, false));
        assert_eq!(fields(&NewGroup::parse(GroupInput::default()).unwrap_err()), ["customer_group_name"]);
    }
}
