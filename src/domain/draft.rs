//! From what a caller sent to what may be written.

use sha2::{Digest as _, Sha256};

use super::text::missing;
use super::violation::{Violation, Violations, field};
use super::{CustomerGroup, Fingerprint, GroupId, Name, Text};

/// What a request says of a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Field<T> {
    /// Nothing.
    #[default]
    Absent,
    /// That it has no value.
    Null,
    /// Its value.
    Value(T),
}

impl<T> Field<T> {
    /// The value, if there is one.
    #[must_use]
    pub fn value(self) -> Option<T> {
        match self {
            Self::Absent | Self::Null => None,
            Self::Value(value) => Some(value),
        }
    }
}

/// The body of a create or an update as a face read it: of the right shape, not yet checked.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The id of the parent, in text.
    pub parent_id: Field<String>,
    /// Whether the group is meant to hold other groups.
    pub is_group: Field<bool>,
    /// The name, with the white space around it.
    pub customer_group_name: Field<String>,
    /// A reference into another system.
    pub parent_customer_group: Field<String>,
    /// A reference into another system.
    pub default_price_list: Field<String>,
    /// A reference into another system.
    pub payment_terms: Field<String>,
    /// What the face found wrong itself, such as fields that do not exist.
    pub violations: Vec<Violation>,
}

/// What an update does to a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Leaves it alone.
    #[default]
    Keep,
    /// Gives it this value.
    Set(T),
}

/// What an update changes, if the parent it names may be one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The new parent; `Set(None)` makes a root.
    pub parent_id: Change<Option<GroupId>>,
    /// The new value; null means false.
    pub is_group: Change<bool>,
    /// The new name.
    pub customer_group_name: Change<Name>,
    /// The new value; `Set(None)` for null.
    pub parent_customer_group: Change<Option<Text>>,
    /// The new value; `Set(None)` for null.
    pub default_price_list: Change<Option<Text>>,
    /// The new value; `Set(None)` for null.
    pub payment_terms: Change<Option<Text>>,
}

/// A customer group that may be created, if its parent exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroup(CustomerGroup);

impl Draft {
    /// The parent that the draft names, where its text can be an id at all.
    #[must_use]
    pub fn parent(&self) -> Option<GroupId> {
        match &self.parent_id {
            Field::Absent | Field::Null => None,
            Field::Value(text) => GroupId::parse(text),
        }
    }
}

impl Changes {
    /// Reads a draft as changes: an absent field is kept, null clears it.
    ///
    /// # Errors
    ///
    /// Every violation of the draft. Whether the parent exists is not known here.
    pub fn parse(draft: Draft) -> Result<Self, Violations> {
        let mut found = Vec::new();
        let changes = Self {
            parent_id: parent(draft.parent_id, &mut found),
            is_group: match draft.is_group {
                Field::Absent => Change::Keep,
                Field::Null => Change::Set(false),
                Field::Value(is_group) => Change::Set(is_group),
            },
            customer_group_name: name(draft.customer_group_name, &mut found),
            parent_customer_group: text(
                field::PARENT_CUSTOMER_GROUP,
                draft.parent_customer_group,
                &mut found,
            ),
            default_price_list: text(field::DEFAULT_PRICE_LIST, draft.default_price_list, &mut found),
            payment_terms: text(field::PAYMENT_TERMS, draft.payment_terms, &mut found),
        };
        found.extend(draft.violations);
        match Violations::of(found) {
            None => Ok(changes),
            Some(violations) => Err(violations),
        }
    }

    /// Whether every field is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The names of the fields that are not kept.
    #[must_use]
    pub fn fields(&self) -> Vec<&'static str> {
        let fields = [
            (field::PARENT_ID, self.parent_id == Change::Keep),
            (field::IS_GROUP, self.is_group == Change::Keep),
            (field::CUSTOMER_GROUP_NAME, self.customer_group_name == Change::Keep),
            (field::PARENT_CUSTOMER_GROUP, self.parent_customer_group == Change::Keep),
            (field::DEFAULT_PRICE_LIST, self.default_price_list == Change::Keep),
            (field::PAYMENT_TERMS, self.payment_terms == Change::Keep),
        ];
        fields.into_iter().filter(|(_, is_kept)| !is_kept).map(|(name, _)| name).collect()
    }
}

impl NewGroup {
    /// Reads a draft as a new group and gives it its id. An absent field is the same as null here.
    ///
    /// # Errors
    ///
    /// Every violation of the draft. Whether the parent exists is not known here.
    pub fn parse(mut draft: Draft) -> Result<Self, Violations> {
        let is_reported = |violation: &Violation| violation.field == field::CUSTOMER_GROUP_NAME;
        if draft.customer_group_name == Field::Absent && !draft.violations.iter().any(is_reported) {
            draft.customer_group_name = Field::Null;
        }
        let changes = Changes::parse(draft)?;
        let Change::Set(customer_group_name) = changes.customer_group_name else {
            return Err(missing(field::CUSTOMER_GROUP_NAME).into());
        };
        let id = GroupId::generate();
        Ok(Self(CustomerGroup {
            id,
            updated_at: id.created_at(),
            parent_id: changes.parent_id.value(),
            is_group: changes.is_group.value(),
            customer_group_name,
            parent_customer_group: changes.parent_customer_group.value(),
            default_price_list: changes.default_price_list.value(),
            payment_terms: changes.payment_terms.value(),
        }))
    }

    /// The group as it will be stored.
    #[must_use]
    pub fn group(&self) -> &CustomerGroup {
        &self.0
    }

    /// The group, once it is stored.
    #[must_use]
    pub fn into_group(self) -> CustomerGroup {
        self.0
    }

    /// The group as the same create made it before, by the id that it got then.
    #[must_use]
    pub fn into_earlier(self, id: GroupId) -> CustomerGroup {
        CustomerGroup { id, updated_at: id.created_at(), ..self.0 }
    }

    /// The same group, below another one.
    pub(super) fn below(mut self, parent: GroupId) -> Self {
        self.0.parent_id = Some(parent);
        self
    }

    /// The same for every create that asks for the same, whatever face it comes by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        self.write(self.0.parent_id.map(|id| id.to_string()), &mut hash);
        Fingerprint(hash.finalize().into())
    }

    /// Writes all that the create asks for, with the parent as the caller named it.
    pub(super) fn write(&self, parent: Option<String>, hash: &mut Sha256) {
        let optional = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
        for value in [
            parent,
            Some(self.0.is_group.to_string()),
            Some(self.0.customer_group_name.as_str().to_owned()),
            optional(&self.0.parent_customer_group),
            optional(&self.0.default_price_list),
            optional(&self.0.payment_terms),
        ] {
            // No text has a NUL in it, so that no two requests are written alike.
            hash.update(value.map_or_else(|| "\0".to_owned(), |text| format!("={text}\0")));
        }
    }
}

impl<T: Default> Change<T> {
    /// The value that was set; the type's default when none was.
    fn value(self) -> T {
        match self {
            Self::Keep => T::default(),
            Self::Set(value) => value,
        }
    }
}

// A field that is wrong is kept: what it would become is never seen, since a violation was found.

fn parent(value: Field<String>, found: &mut Vec<Violation>) -> Change<Option<GroupId>> {
    match value {
        Field::Absent => Change::Keep,
        Field::Null => Change::Set(None),
        Field::Value(text) => {
            let id = GroupId::parse(&text);
            if id.is_none() {
                found.push(Violation::parent_not_found(&text));
            }
            Change::Set(id)
        }
    }
}

fn name(value: Field<String>, found: &mut Vec<Violation>) -> Change<Name> {
    match value {
        Field::Absent => Change::Keep,
        Field::Null => keep(Err(missing(field::CUSTOMER_GROUP_NAME)), found),
        Field::Value(text) => keep(Name::parse(field::CUSTOMER_GROUP_NAME, &text), found),
    }
}

fn text(field: &str, value: Field<String>, found: &mut Vec<Violation>) -> Change<Option<Text>> {
    match value {
        Field::Absent => Change::Keep,
        Field::Null => Change::Set(None),
        Field::Value(text) => keep(Text::parse(field, text).map(Some), found),
    }
}

fn keep<T>(parsed: Result<T, Violation>, found: &mut Vec<Violation>) -> Change<T> {
    match parsed {
        Ok(value) => Change::Set(value),
        Err(violation) => {
            found.push(violation);
            Change::Keep
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(violations: &Violations) -> Vec<&str> {
        violations.as_slice().iter().map(|violation| violation.field.as_str()).collect()
    }

    #[test]
    fn every_violation_is_reported_in_the_documented_order() {
        let draft = Draft {
            parent_id: Field::Value("customer-group_abc123".to_owned()),
            customer_group_name: Field::Value(" ".to_owned()),
            parent_customer_group: Field::Value("a\0".to_owned()),
            default_price_list: Field::Value("p".repeat(256)),
            payment_terms: Field::Value("\u{1}".to_owned()),
            ..Draft::default()
        };
        let all = [
            "parent_id",
            "customer_group_name",
            "parent_customer_group",
            "default_price_list",
            "payment_terms",
        ];
        assert_eq!(fields(&NewGroup::parse(draft.clone()).unwrap_err()), all);
        assert_eq!(fields(&Changes::parse(draft).unwrap_err()), all);
    }

    #[test]
    fn a_new_group_needs_only_a_name() {
        let named = Draft { customer_group_name: Field::Value("Export".to_owned()), ..Draft::default() };
        let group = NewGroup::parse(named).unwrap().into_group();
        assert_eq!(group.customer_group_name.as_str(), "Export");
        assert_eq!(group.updated_at, group.created_at());
        assert_eq!((group.parent_id, group.is_group), (None, false));
        assert_eq!(fields(&NewGroup::parse(Draft::default()).unwrap_err()), ["customer_group_name"]);
    }

    #[test]
    fn creates_have_one_fingerprint_exactly_when_they_ask_for_the_same() {
        let named = Draft { customer_group_name: Field::Value("a".to_owned()), ..Draft::default() };
        let fingerprint = |draft: &Draft| NewGroup::parse(draft.clone()).unwrap().fingerprint();
        let same = Draft { customer_group_name: Field::Value(" a ".to_owned()), ..named.clone() };
        assert_eq!(fingerprint(&named), fingerprint(&same));
        let null = Draft { is_group: Field::Value(false), parent_id: Field::Null, ..named.clone() };
        assert_eq!(fingerprint(&named), fingerprint(&null));

        let text = |text: &str| Field::Value(text.to_owned());
        let different = [
            named.clone(),
            Draft { is_group: Field::Value(true), ..named.clone() },
            Draft { parent_id: text(&GroupId::generate().to_string()), ..named.clone() },
            Draft { default_price_list: text(""), ..named.clone() },
            Draft { default_price_list: text("b"), ..named.clone() },
            Draft { payment_terms: text("b"), ..named.clone() },
            Draft { parent_customer_group: text("b"), ..named.clone() },
            Draft { customer_group_name: text("b"), ..named },
        ];
        let fingerprints: std::collections::HashSet<_> =
            different.iter().map(|draft| fingerprint(draft).0).collect();
        assert_eq!(fingerprints.len(), different.len());
    }

    #[test]
    fn null_clears_and_absent_keeps() {
        let draft = Draft {
            parent_id: Field::Null,
            is_group: Field::Null,
            payment_terms: Field::Null,
            ..Draft::default()
        };
        let changes = Changes::parse(draft).unwrap();
        assert_eq!(changes.parent_id, Change::Set(None));
        assert_eq!(changes.is_group, Change::Set(false));
        assert_eq!(changes.payment_terms, Change::Set(None));
        assert_eq!(changes.default_price_list, Change::Keep);
        assert!(!changes.is_empty());
        assert!(Changes::parse(Draft::default()).unwrap().is_empty());
    }

    #[test]
    fn a_null_name_is_invalid() {
        let draft = Draft { customer_group_name: Field::Null, ..Draft::default() };
        assert_eq!(fields(&Changes::parse(draft).unwrap_err()), ["customer_group_name"]);
    }
}
