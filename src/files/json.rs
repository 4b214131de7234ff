//! The JSON object of a customer group, in requests, responses and NDJSON files.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::{self, Display};

use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::domain::{
    CustomerGroup, Field, FieldInput, GroupInput, ImportInput, Text, Texts, Violation, ViolationKind, cut,
    excerpt, field,
};

/// The customer group object: always all fields, an unset one as null, in the documented order.
#[derive(Debug)]
pub(crate) struct CustomerGroupObject<'a>(&'a CustomerGroup);

impl<'a> From<&'a CustomerGroup> for CustomerGroupObject<'a> {
    fn from(group: &'a CustomerGroup) -> Self {
        Self(group)
    }
}

impl Serialize for CustomerGroupObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let CustomerGroup { id, updated_at, parent_id, is_group, customer_group_name, texts } = self.0;
        let mut object = serializer.serialize_map(Some(field::OUTPUT_ONLY.len() + Field::EDITABLE.len()))?;
        object.serialize_entry(field::ID, &AsText(id))?;
        object.serialize_entry(field::CREATED_AT, &AsText(id.created_at()))?;
        object.serialize_entry(field::UPDATED_AT, &AsText(updated_at))?;
        for field in Field::EDITABLE {
            match field {
                Field::ParentId => object.serialize_entry(field.name(), &parent_id.map(AsText)),
                Field::IsGroup => object.serialize_entry(field.name(), is_group),
                Field::CustomerGroupName => {
                    object.serialize_entry(field.name(), customer_group_name.as_str())
                }
                Field::Text(text) => {
                    object.serialize_entry(field.name(), &texts[text].as_ref().map(Text::as_str))
                }
            }?;
        }
        object.end()
    }
}

/// A value that is written as its text.
#[derive(Debug)]
pub(crate) struct AsText<T>(pub(crate) T);

impl<T: Display> Serialize for AsText<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The entries of a JSON object in their order, with unparsed values.
pub(crate) struct Entries(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

impl Entries {
    /// The known fields, with a violation for each other one.
    pub(crate) fn fields(self, known: &[&str], found: &mut Vec<Violation>) -> FieldMap<Box<RawValue>> {
        let mut fields = FieldMap::default();
        for (name, value) in self.0 {
            fields.add("field", known, name, value, found);
        }
        fields
    }
}

/// Reads the object of a create or an update, without the output-only fields.
pub(crate) fn group_input(mut object: Entries, mut found: Vec<Violation>) -> GroupInput {
    object.0.retain(|(name, _)| !field::OUTPUT_ONLY.contains(&name.as_str()));
    let fields = object.fields(&Field::EDITABLE.map(Field::name), &mut found);
    editable(fields, found)
}

/// Reads an object of a file, where output-only fields count.
pub(super) fn import_input(json: &str) -> Result<ImportInput, String> {
    let object: Entries = serde_json::from_str(json).map_err(|error| {
        // The line number of serde_json is always 1. The caller knows the one in the file.
        let (message, column) = (error.to_string(), error.column());
        let place = format!(" at line {} column {column}", error.line());
        format!("invalid JSON: {} at column {column}", message.strip_suffix(&place).unwrap_or(&message))
    })?;
    let mut found = Vec::new();
    let known = [&field::OUTPUT_ONLY[..], &Field::EDITABLE.map(Field::name)].concat();
    let mut fields = object.fields(&known, &mut found);
    let mut text = |name| fields.read(name, "a string or null", &mut found);
    let (id, created_at, updated_at) = (text(field::ID), text(field::CREATED_AT), text(field::UPDATED_AT));
    Ok(ImportInput { id, created_at, updated_at, fields: editable(fields, found) })
}

fn editable(mut fields: FieldMap<Box<RawValue>>, mut found: Vec<Violation>) -> GroupInput {
    // In the documented order, which the violations follow.
    let parent_id = fields.read(field::PARENT_ID, "a string or null", &mut found);
    let is_group = fields.read(field::IS_GROUP, "true, false or null", &mut found);
    let mut text = |name| fields.read(name, "a string or null", &mut found);
    GroupInput {
        parent_id,
        is_group,
        customer_group_name: text(field::CUSTOMER_GROUP_NAME),
        texts: Texts::from_fn(|field| text(field.name())),
        violations: found,
    }
}

/// A violation for a value of the wrong type.
pub(crate) fn type_mismatch(name: &str, expected: &str, value: &RawValue) -> Violation {
    let description = format!("{name} is {}; give {expected}", cut(value.get()));
    Violation::new(name, ViolationKind::Invalid, description)
}

/// Values by name. A name that is given more than once has no value.
pub(crate) struct FieldMap<V>(BTreeMap<String, Option<V>>);

impl<V> Default for FieldMap<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> FieldMap<V> {
    /// Adds a value. An unknown or repeated name is a violation, once for each name.
    pub(crate) fn add(
        &mut self,
        kind: &str,
        known: &[&str],
        name: String,
        value: V,
        found: &mut Vec<Violation>,
    ) {
        if !known.contains(&name.as_str()) {
            let description = format!("there is no {kind} of this name; leave it out");
            report(found, &name, ViolationKind::Unknown, &description);
            return;
        }
        match self.0.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(Some(value));
            }
            Entry::Occupied(mut entry) => {
                entry.insert(None);
                let description = format!("the {kind} is given twice; give it once");
                report(found, entry.key(), ViolationKind::Invalid, &description);
            }
        }
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<V> {
        self.0.remove(name).flatten()
    }
}

impl FieldMap<Box<RawValue>> {
    /// Parses a value. One of the wrong type is a violation.
    pub(crate) fn read<T: DeserializeOwned>(
        &mut self,
        name: &str,
        expected: &str,
        found: &mut Vec<Violation>,
    ) -> FieldInput<T> {
        let Some(value) = self.take(name) else { return FieldInput::Absent };
        match serde_json::from_str(value.get()) {
            Ok(None) => FieldInput::Null,
            Ok(Some(value)) => FieldInput::Value(value),
            Err(_) => {
                found.push(type_mismatch(name, expected, &value));
                FieldInput::Absent
            }
        }
    }
}

/// Adds a violation, unless the name has one already or there are enough.
pub(crate) fn report(found: &mut Vec<Violation>, name: &str, kind: ViolationKind, problem: &str) {
    const MAX: usize = 10;
    let is_reported = found.iter().any(|violation| violation.field == cut(name));
    if found.len() < MAX && !is_reported {
        found.push(Violation::new(cut(name), kind, format!("{}: {problem}", excerpt(name))));
    }
}
