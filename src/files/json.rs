//! The JSON object of a customer group, in requests, responses and NDJSON files.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::domain::{
    CustomerGroup, Field, FieldInput, GroupInput, ImportInput, Text, Texts, Violation, ViolationKind, cut,
    excerpt, field,
};

use super::columns::{Column, own_columns};
use super::erpnext;

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
        let mut object = serializer.serialize_map(Some(field::OUTPUT_ONLY.len() + Field::EDITABLE.len()))?;
        own_columns().try_for_each(|(_, column)| entry(&mut object, self.0, column))?;
        object.end()
    }
}

/// An object with some fields of a group.
pub(super) struct SelectedFields<'a>(pub(super) &'a CustomerGroup, pub(super) &'a [Column]);

impl Serialize for SelectedFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.1.len()))?;
        self.1.iter().try_for_each(|column| entry(&mut object, self.0, *column))?;
        object.end()
    }
}

/// Writes a field.
fn entry<M: SerializeMap>(object: &mut M, group: &CustomerGroup, column: Column) -> Result<(), M::Error> {
    let CustomerGroup { id, updated_at, parent_id, is_group, customer_group_name, texts } = group;
    let name = column.name();
    match column {
        Column::Id => object.serialize_entry(name, &AsText(id)),
        Column::CreatedAt => object.serialize_entry(name, &AsText(id.created_at())),
        Column::UpdatedAt => object.serialize_entry(name, &AsText(updated_at)),
        Column::Field(Field::ParentId) => object.serialize_entry(name, &parent_id.map(AsText)),
        Column::Field(Field::IsGroup) => object.serialize_entry(name, is_group),
        Column::Field(Field::CustomerGroupName) => object.serialize_entry(name, customer_group_name.as_str()),
        Column::Field(Field::Text(text)) => {
            object.serialize_entry(name, &texts[text].as_ref().map(Text::as_str))
        }
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
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

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

/// Reads an object of a file, where output-only fields count. Adds the fields that are not imported to `ignored`.
pub(super) fn import_input(json: &str, ignored: &mut BTreeSet<String>) -> Result<ImportInput, String> {
    let object: Entries = serde_json::from_str(json).map_err(|error| {
        // The line number of serde_json is always 1. The caller knows the one in the file.
        let (message, column) = (error.to_string(), error.column());
        let place = format!(" at line {} column {column}", error.line());
        format!("invalid JSON: {} at column {column}", message.strip_suffix(&place).unwrap_or(&message))
    })?;
    if object.has(erpnext::NAME) && !object.has(field::ID) && !object.has(field::PARENT_ID) {
        return Ok(erpnext_input(object, ignored));
    }
    let mut found = Vec::new();
    let known = [&field::OUTPUT_ONLY[..], &Field::EDITABLE.map(Field::name)].concat();
    let mut fields = object.fields(&known, &mut found);
    let mut text = |name| fields.read(name, "a string or null", &mut found);
    let (id, created_at, updated_at) = (text(field::ID), text(field::CREATED_AT), text(field::UPDATED_AT));
    Ok(ImportInput { id, created_at, updated_at, fields: editable(fields, found) })
}

/// Reads an object of ERPNext's API, which names its parent by name. There an empty text is absent, and true is 1.
fn erpnext_input(mut object: Entries, ignored: &mut BTreeSet<String>) -> ImportInput {
    let mut found = Vec::new();
    object.0.retain(|(name, _)| {
        let is_standard = erpnext::is_standard_field(name);
        if is_standard && !ignored.contains(name) {
            ignored.insert(name.clone());
        }
        !is_standard
    });
    for (name, value) in &mut object.0 {
        let json = match (name.as_str(), value.get()) {
            (_, "\"\"") => "null",
            (field::IS_GROUP, "1") => "true",
            (field::IS_GROUP, "0") => "false",
            (_, _) => continue,
        };
        if let Ok(json) = RawValue::from_string(json.to_owned()) {
            *value = json;
        }
    }
    let known = [&[erpnext::NAME][..], &Field::EDITABLE.map(Field::name)].concat();
    let mut fields = object.fields(&known, &mut found);
    let key = fields.read(erpnext::NAME, "a string", &mut found);
    let mut fields = editable(fields, found);
    // Without other fields the API returns only the keys: then the parents are not known.
    if fields.customer_group_name != FieldInput::Absent {
        erpnext::take_name(key, &mut fields);
    }
    ImportInput { fields, ..ImportInput::default() }
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
