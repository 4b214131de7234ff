//! References between the entries of a batch create.

use std::collections::HashMap;
use std::iter::successors;

use super::{EntryInput, FieldInput, Text, Violation, ViolationKind, excerpt, field};

/// Finds for each entry the index of the one that its `parent_reference` names, and all violations.
pub(super) fn links(entries: &[EntryInput]) -> (Vec<Option<usize>>, Vec<(usize, Violation)>) {
    let mut found = Vec::new();
    let mut indexes = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let Some(reference) = &entry.reference else { continue };
        let first = *indexes.entry(reference.as_str()).or_insert(index);
        found.extend(check_reference(reference, index, first).map(|violation| (index, violation)));
    }
    let mut links = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        links.push(find_parent(entry, &indexes).unwrap_or_else(|violation| {
            found.push((index, violation));
            None
        }));
    }
    for (index, entry) in entries.iter().enumerate() {
        let mut above = successors(links[index], |above| links[*above]).take(entries.len());
        if let (Some(reference), true) = (&entry.parent_reference, above.any(|above| above == index)) {
            let problem = "is the entry itself or one below it; give one outside of its own subtree";
            found.push((index, parent_reference(reference, ViolationKind::ParentCycle, problem)));
        }
    }
    (links, found)
}

/// `first` is the index of the first entry with this reference.
fn check_reference(reference: &str, index: usize, first: usize) -> Option<Violation> {
    let invalid = |problem: String| {
        let description = format!("{} {problem}", field::REFERENCE);
        Some(Violation::new(field::REFERENCE, ViolationKind::Invalid, description))
    };
    if reference.is_empty() {
        let max = Text::MAX_CHARACTERS;
        return invalid(format!("is empty; give it 1 to {max} characters, or leave it out"));
    }
    if first < index {
        let (requests, shown) = (field::REQUESTS, excerpt(reference));
        return invalid(format!(
            "{shown} is also the reference of {requests}[{first}]; give each entry its own"
        ));
    }
    Text::parse(field::REFERENCE, reference.to_owned()).err()
}

fn find_parent(entry: &EntryInput, indexes: &HashMap<&str, usize>) -> Result<Option<usize>, Violation> {
    let Some(reference) = &entry.parent_reference else { return Ok(None) };
    let parent_id = entry.customer_group.as_ref().map(|input| &input.parent_id);
    if let Some(FieldInput::Value(_)) = parent_id {
        let problem = format!("and {} are both given; give one of them", field::PARENT_ID);
        return Err(parent_reference(reference, ViolationKind::Invalid, &problem));
    }
    let problem = "is not the reference of an entry; correct it, or leave it out for a root";
    let index = indexes.get(reference.as_str()).copied();
    index.map(Some).ok_or_else(|| parent_reference(reference, ViolationKind::ParentNotFound, problem))
}

fn parent_reference(reference: &str, kind: ViolationKind, problem: &str) -> Violation {
    let name = field::PARENT_REFERENCE;
    Violation::new(name, kind, format!("{name} {} {problem}", excerpt(reference)))
}
