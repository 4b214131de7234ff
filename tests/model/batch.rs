//! The batch calls of the model.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::state::{Model, Object, blank, created, refusal, set};
use super::violation::{Violations, check_key, check_text};
use crate::contract::{ApiError, CallOptions};

impl Model {
    pub(super) fn batch_create(
        &mut self,
        entries: &[Value],
        with: &CallOptions,
        given: &Value,
    ) -> Result<Value, ApiError> {
        let links = links(entries);
        let mut found = Violations::default();
        let mut is_unknown_parent = true;
        for (number, entry) in entries.iter().enumerate() {
            let mut of_group = self.check_body(&entry["customer_group"], None);
            of_group.check_new(&entry["customer_group"]);
            let only_unknown =
                of_group.0.is_empty() || of_group.is_only_unknown_parent(&entry["customer_group"]);
            let of_links = check_links(entries, number, &links);
            is_unknown_parent &= only_unknown && of_links.0.is_empty();
            for (field, code) in of_group.0 {
                found.add(&format!("requests[{number}].customer_group.{field}"), code);
            }
            for (field, code) in of_links.0 {
                found.add(&format!("requests[{number}].{field}"), code);
            }
        }
        if entries.is_empty() {
            found.add("requests", "parameter_missing");
        }
        let of_entries = found.0.len();
        check_key(with, &mut found);
        if !is_unknown_parent || entries.is_empty() || found.0.len() > of_entries {
            found.refuse()?;
        }
        let asked: Vec<Object> =
            entries.iter().map(|entry| set(&blank(), &entry["customer_group"])).collect();
        let request = json!({"groups": asked, "links": links});
        if let Some(ids) = self.replay(with, &request)? {
            let data: Vec<Object> = asked
                .iter()
                .zip(&links)
                .zip(&ids)
                .map(|((asked, link), id)| created(&under(asked, *link, &ids), id))
                .collect();
            return Ok(json!({"data": data, "replayed": true}));
        }
        found.refuse()?;
        let id_of = |number: usize| given["data"][number]["id"].as_str().unwrap_or_default().to_owned();
        let ids: Vec<String> = (0..entries.len()).map(id_of).collect();
        let data: Vec<Object> = (asked.iter().zip(&links).enumerate())
            .map(|(number, (asked, link))| self.keep_new(&under(asked, *link, &ids), &given["data"][number]))
            .collect();
        self.remember(with, request, ids);
        Ok(json!({"data": data, "replayed": false}))
    }

    pub(super) fn batch_get(&self, ids: &[String]) -> Result<Value, ApiError> {
        if ids.is_empty() {
            return Err(Violations::one("ids", "parameter_missing"));
        }
        let found: Option<Vec<&Object>> = ids.iter().map(|id| self.groups.get(id)).collect();
        found.map(|data| json!({"data": data})).ok_or_else(|| refusal("resource_missing"))
    }
}

/// The group with the parent that its entry names by reference, if any.
fn under(asked: &Object, link: Option<usize>, ids: &[String]) -> Object {
    let mut group = asked.clone();
    if let Some(parent) = link {
        group["parent_id"] = json!(ids[parent]);
    }
    group
}

/// The index of the first entry of each reference.
fn references(entries: &[Value]) -> HashMap<&str, usize> {
    let named = entries.iter().enumerate().rev();
    named.filter_map(|(number, entry)| Some((entry["reference"].as_str()?, number))).collect()
}

/// The index of the entry that is the parent of each entry, if any.
fn links(entries: &[Value]) -> Vec<Option<usize>> {
    let references = references(entries);
    let link = |entry: &Value| {
        let by_reference = references.get(entry["parent_reference"].as_str()?).copied();
        by_reference.filter(|_| !entry["customer_group"]["parent_id"].is_string())
    };
    entries.iter().map(link).collect()
}

/// Checks the references of an entry.
fn check_links(entries: &[Value], number: usize, links: &[Option<usize>]) -> Violations {
    let mut found = Violations::default();
    let entry = &entries[number];
    if let Some(reference) = entry["reference"].as_str() {
        if reference.is_empty() || references(entries)[reference] < number {
            found.add("reference", "parameter_invalid");
        } else {
            check_text("reference", entry.get("reference"), &mut found);
        }
    }
    if entry["parent_reference"].is_string() {
        let above = |number: &usize| links[*number];
        let mut chain = std::iter::successors(links[number], above).take(entries.len());
        if entry["customer_group"]["parent_id"].is_string() {
            found.add("parent_reference", "parameter_invalid");
        } else if links[number].is_none() {
            found.add("parent_reference", "parent_not_found");
        } else if chain.any(|above| above == number) {
            found.add("parent_reference", "parent_cycle");
        }
    }
    found
}
