//! Fingerprints of creates, by which a repeated request is recognised.

use sha2::{Digest as _, Sha256};

use super::{CustomerGroup, Field, Text, TextField};

/// Identifies what a create asks for: the SHA-256 of `name=value` of each field that is set.
///
/// A field that is absent, null or at its default contributes nothing. So a field that is added later does not change
/// the fingerprints of older requests, and a request means the same over every protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    digest: [u8; 32],
    /// The form of the previous release. This release records it and accepts both, so that replicas of both releases
    /// recognise each other's requests. Records live for 24 hours: the next release records `digest`, the one after it
    /// drops this form.
    legacy: [u8; 32],
}

/// The parent of a new group.
pub(super) enum Parent<'a> {
    OfGroup(&'a CustomerGroup),
    /// The group of another entry of the same batch.
    Entry(usize),
}

impl Fingerprint {
    pub(super) fn of_group(group: &CustomerGroup) -> Self {
        let (mut hash, mut legacy) = (Sha256::new(), Sha256::new());
        write(group, &Parent::OfGroup(group), &mut hash);
        write_legacy(group, &Parent::OfGroup(group), &mut legacy);
        Self { digest: hash.finalize().into(), legacy: legacy.finalize().into() }
    }

    /// Never equal to the fingerprint of a create of one group.
    pub(super) fn of_batch<'a>(groups: impl Iterator<Item = (&'a CustomerGroup, Parent<'a>)>) -> Self {
        const BATCH: &str = "batch\0";
        let (mut hash, mut legacy) = (Sha256::new_with_prefix(BATCH), Sha256::new_with_prefix(BATCH));
        for (group, parent) in groups {
            write(group, &parent, &mut hash);
            // Ends the entry: no field begins with NUL.
            hash.update("\0");
            write_legacy(group, &parent, &mut legacy);
        }
        Self { digest: hash.finalize().into(), legacy: legacy.finalize().into() }
    }

    /// The digest to record: the form that both this release and the previous one recognise.
    pub(crate) fn recorded(&self) -> &[u8] {
        &self.legacy
    }

    /// Whether a recorded digest is that of the same request.
    pub(crate) fn matches(&self, recorded: &[u8]) -> bool {
        recorded == self.digest || recorded == self.legacy
    }
}

impl Parent<'_> {
    fn value(&self) -> Option<String> {
        match self {
            Self::OfGroup(group) => group.parent_id.map(|id| id.to_string()),
            // No id begins with a bracket.
            Self::Entry(number) => Some(format!("[{number}]")),
        }
    }
}

fn write(group: &CustomerGroup, parent: &Parent<'_>, hash: &mut Sha256) {
    // Each create gets its own id and time.
    let CustomerGroup { id: _, updated_at: _, parent_id: _, is_group, customer_group_name, texts } = group;
    let parent = parent.value();
    for field in Field::EDITABLE {
        let value = match field {
            Field::ParentId => parent.as_deref(),
            Field::IsGroup => is_group.then_some("true"),
            Field::CustomerGroupName => Some(customer_group_name.as_str()),
            Field::Text(text) => texts[text].as_ref().map(Text::as_str),
        };
        if let Some(value) = value {
            // No value contains NUL, so no two requests are written alike.
            hash.update(format!("{}={value}\0", field.name()));
        }
    }
}

fn write_legacy(group: &CustomerGroup, parent: &Parent<'_>, hash: &mut Sha256) {
    let text = |field| group.texts[field].as_ref().map(|text: &Text| text.as_str().to_owned());
    for value in [
        parent.value(),
        Some(group.is_group.to_string()),
        Some(group.customer_group_name.as_str().to_owned()),
        text(TextField::ParentCustomerGroup),
        text(TextField::DefaultPriceList),
        text(TextField::PaymentTerms),
    ] {
        hash.update(value.map_or_else(|| "\0".to_owned(), |text| format!("={text}\0")));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::{FieldInput, GroupId, GroupInput, NewGroup};

    fn fingerprint(input: &GroupInput) -> Fingerprint {
        NewGroup::parse(input.clone()).unwrap().fingerprint()
    }

    fn with_text(field: TextField, text: &str) -> GroupInput {
        let mut input = GroupInput::named("a");
        input.texts[field] = FieldInput::Value(text.to_owned());
        input
    }

    fn sha256(text: &str) -> [u8; 32] {
        Sha256::digest(text).into()
    }

    #[test]
    fn creates_have_one_fingerprint_exactly_when_they_ask_for_the_same() {
        let named = GroupInput::named("a");
        assert_eq!(fingerprint(&named), fingerprint(&GroupInput::named(" a ")));
        let mut unset = named.clone();
        (unset.parent_id, unset.is_group) = (FieldInput::Null, FieldInput::Value(false));
        unset.texts = unset.texts.map(|_, _| FieldInput::Null);
        assert_eq!(fingerprint(&named), fingerprint(&unset));

        let parent = FieldInput::Value(GroupId::generate().to_string());
        let mut different = vec![
            named.clone(),
            GroupInput::named("b"),
            GroupInput { is_group: FieldInput::Value(true), ..named.clone() },
            GroupInput { parent_id: parent, ..named },
        ];
        for field in TextField::ALL {
            different.extend([with_text(field, ""), with_text(field, "b")]);
        }
        let digests: HashSet<_> = different.iter().map(|input| fingerprint(input).digest).collect();
        assert_eq!(digests.len(), different.len());
    }

    #[test]
    fn only_the_fields_that_are_set_are_hashed() {
        assert_eq!(fingerprint(&GroupInput::named("a")).digest, sha256("customer_group_name=a\0"));
        let terms = fingerprint(&with_text(TextField::PaymentTerms, ""));
        assert_eq!(terms.digest, sha256("customer_group_name=a\0payment_terms=\0"));
    }

    #[test]
    fn the_form_of_earlier_versions_is_accepted() {
        let terms = fingerprint(&with_text(TextField::PaymentTerms, "t"));
        assert!(terms.matches(&sha256("\0=false\0=a\0\0\0=t\0")));
        assert!(terms.matches(&terms.digest) && terms.matches(terms.recorded()));
        assert!(!terms.matches(&sha256("\0=false\0=a\0\0\0=u\0")));
        let group = NewGroup::parse(GroupInput::named("a")).unwrap().into_group();
        let batch = Fingerprint::of_batch(
            [(&group, Parent::OfGroup(&group)), (&group, Parent::Entry(0))].into_iter(),
        );
        assert!(batch.matches(&sha256("batch\0\0=false\0=a\0\0\0\0=[0]\0=false\0=a\0\0\0\0")));
        let digest = sha256("batch\0customer_group_name=a\0\0parent_id=[0]\0customer_group_name=a\0\0");
        assert_eq!(batch.digest, digest);
    }
}
