//! Many customer groups in one call: all of them, or none.

use std::collections::{HashMap, HashSet};
use std::iter::successors;

use sha2::{Digest as _, Sha256};

use super::room;
use super::violation::{Violation, ViolationKind, Violations, excerpt, field};
use super::{CustomerGroup, Draft, Field, Fingerprint, GroupId, NewGroup, Text};

/// The most customer groups that one call creates or asks for.
pub const MAX_BATCH: usize = 1000;

/// The body of a batch create as a face read it: of the right shape, not yet checked.
#[derive(Debug, Clone, Default)]
pub struct BatchDraft {
    /// The entries, or what kept the face from reading one. Of more than [`MAX_BATCH`] one more is enough.
    pub entries: Vec<Result<EntryDraft, Violation>>,
    /// What the face found wrong beside them.
    pub violations: Vec<Violation>,
}

/// An entry of a batch create.
#[derive(Debug, Clone, Default)]
pub struct EntryDraft {
    /// The new group; `None` when the face could not read it.
    pub customer_group: Option<Draft>,
    /// The caller's own name for the entry.
    pub reference: Option<String>,
    /// The name of the entry whose group is the parent.
    pub parent_reference: Option<String>,
    /// What the face found wrong with the entry itself.
    pub violations: Vec<Violation>,
}

/// Customer groups that may be created together, if those parents exist that are not among them: at least one,
/// and [`MAX_BATCH`] at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBatch {
    groups: Vec<NewGroup>,
    /// For each group the number of the one among them that is its parent.
    links: Vec<Option<usize>>,
}

/// What is wrong with a batch create, as far as it is known without the parents that entries name by id.
#[derive(Debug, Clone, Default)]
pub struct BatchViolations {
    /// With the numbers of their entries.
    entries: Vec<(usize, Violation)>,
    others: Vec<Violation>,
    /// With the numbers of the entries that name them.
    parents: Vec<(usize, GroupId)>,
}

impl NewBatch {
    /// Reads a draft as new groups and gives them their ids, in its order.
    ///
    /// # Errors
    ///
    /// Every violation of every entry. Whether the parents exist that are named by id is not known here.
    pub fn parse(draft: BatchDraft) -> Result<Self, BatchViolations> {
        let mut found = BatchViolations { others: draft.violations, ..BatchViolations::default() };
        if let Some(violation) = check_count(field::REQUESTS, draft.entries.len(), &found.others) {
            found.others.insert(0, violation);
        }
        if draft.entries.len() > MAX_BATCH {
            return Err(found);
        }
        let entries: Vec<EntryDraft> =
            draft.entries.into_iter().enumerate().map(|(number, entry)| found.entry(number, entry)).collect();
        let (links, of_links) = links(&entries);
        let mut groups = Vec::with_capacity(entries.len());
        let mut of_entries = Vec::new();
        for (number, entry) in entries.into_iter().enumerate() {
            groups.extend(entry.customer_group.and_then(|draft| found.group(number, draft)));
            of_entries.extend(entry.violations.into_iter().map(|violation| (number, violation)));
        }
        found.entries.extend(of_links.into_iter().chain(of_entries).map(in_entry));
        if !found.entries.is_empty() || !found.others.is_empty() {
            return Err(found);
        }
        let ids: Vec<GroupId> = groups.iter().map(|new| new.group().id).collect();
        let below = |(new, link): (NewGroup, &Option<usize>)| match link {
            Some(parent) => new.below(ids[*parent]),
            None => new,
        };
        Ok(Self { groups: groups.into_iter().zip(&links).map(below).collect(), links })
    }

    /// The groups as they will be stored.
    pub fn groups(&self) -> impl Iterator<Item = &CustomerGroup> {
        self.groups.iter().map(NewGroup::group)
    }

    /// The groups, once they are stored.
    #[must_use]
    pub fn into_groups(self) -> Vec<CustomerGroup> {
        self.groups.into_iter().map(NewGroup::into_group).collect()
    }

    /// The groups as the same create made them before, by the ids that they got then.
    #[must_use]
    pub fn into_earlier(self, ids: &[GroupId]) -> Vec<CustomerGroup> {
        let earlier = |((new, link), id): ((NewGroup, Option<usize>), &GroupId)| {
            let group = new.into_earlier(*id);
            match link {
                Some(parent) => CustomerGroup { parent_id: ids.get(parent).copied(), ..group },
                None => group,
            }
        };
        self.groups.into_iter().zip(self.links).zip(ids).map(earlier).collect()
    }

    /// The same for every batch create that asks for the same, and for no create of one group.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update("batch\0");
        for (new, link) in self.groups.iter().zip(&self.links) {
            let parent = match link {
                // No id begins like this.
                Some(parent) => Some(format!("[{parent}]")),
                None => new.group().parent_id.map(|id| id.to_string()),
            };
            new.write(parent, &mut hash);
        }
        Fingerprint(hash.finalize().into())
    }

    /// What can still be wrong with the batch: its parents.
    #[must_use]
    pub fn into_violations(self) -> BatchViolations {
        let named = self.groups.iter().zip(&self.links).enumerate();
        let by_id = named.filter(|(_, (_, link))| link.is_none());
        let parents = by_id.filter_map(|(number, (new, _))| Some((number, new.group().parent_id?))).collect();
        BatchViolations { parents, ..BatchViolations::default() }
    }
}

impl BatchViolations {
    /// The parents that entries name by id.
    #[must_use]
    pub fn parents(&self) -> Vec<GroupId> {
        self.parents.iter().map(|(_, parent)| *parent).collect()
    }

    /// All that is wrong when these parents do not exist, entry by entry; `None` if that is nothing.
    #[must_use]
    pub fn with_missing(self, missing: &HashSet<GroupId>) -> Option<Violations> {
        let unknown = self.parents.into_iter().filter(|(_, parent)| missing.contains(parent));
        let unknown = unknown.map(|(number, parent)| {
            let violation = Violation::parent_not_found(&parent.to_string());
            in_entry((number, violation.inside(field::CUSTOMER_GROUP)))
        });
        let mut entries: Vec<(usize, Violation)> = unknown.chain(self.entries).collect();
        entries.sort_by_key(|(number, _)| *number);
        let all = entries.into_iter().map(|(_, violation)| violation).chain(self.others).collect();
        Violations::of(all).map(Violations::abridged)
    }

    /// Takes an entry, an empty one in place of one that the face could not read.
    fn entry(&mut self, number: usize, entry: Result<EntryDraft, Violation>) -> EntryDraft {
        entry.unwrap_or_else(|violation| {
            self.entries.push((number, violation));
            EntryDraft::default()
        })
    }

    /// Takes the new group of an entry, if nothing is wrong with it.
    fn group(&mut self, number: usize, draft: Draft) -> Option<NewGroup> {
        self.parents.extend(draft.parent().map(|parent| (number, parent)));
        let violations = match NewGroup::parse(draft) {
            Ok(new) => return Some(new),
            Err(violations) => violations,
        };
        let inside = |violation: Violation| in_entry((number, violation.inside(field::CUSTOMER_GROUP)));
        self.entries.extend(violations.as_slice().iter().cloned().map(inside));
        None
    }
}

fn in_entry((number, violation): (usize, Violation)) -> (usize, Violation) {
    (number, violation.in_entry(number))
}

/// For each entry the number of the one that its `parent_reference` names, and all that is wrong with the
/// references.
fn links(entries: &[EntryDraft]) -> (Vec<Option<usize>>, Vec<(usize, Violation)>) {
    let mut found = Vec::new();
    let mut numbers = HashMap::new();
    for (number, entry) in entries.iter().enumerate() {
        let Some(reference) = &entry.reference else { continue };
        let first = *numbers.entry(reference.as_str()).or_insert(number);
        found.extend(check_reference(reference, number, first).map(|violation| (number, violation)));
    }
    let mut links = Vec::with_capacity(entries.len());
    for (number, entry) in entries.iter().enumerate() {
        let link = find_parent(entry, &numbers).unwrap_or_else(|violation| {
            found.push((number, violation));
            None
        });
        links.push(link);
    }
    for (number, entry) in entries.iter().enumerate() {
        let mut above = successors(links[number], |above| links[*above]).take(entries.len());
        if let (Some(reference), true) = (&entry.parent_reference, above.any(|above| above == number)) {
            let what = "is the entry itself or one below it; give one outside of its own subtree";
            found.push((number, parent_reference(reference, ViolationKind::ParentCycle, what)));
        }
    }
    (links, found)
}

/// What is wrong with the reference of an entry, where `first` is the number of the first one that has it.
fn check_reference(reference: &str, number: usize, first: usize) -> Option<Violation> {
    let invalid = |what: String| {
        let description = format!("{} {what}", field::REFERENCE);
        Some(Violation::new(field::REFERENCE, ViolationKind::Invalid, description))
    };
    if reference.is_empty() {
        return invalid("is empty; give it 1 to 255 characters, or leave it out".to_owned());
    }
    if first < number {
        let (requests, shown) = (field::REQUESTS, excerpt(reference));
        return invalid(format!("{shown} is that of {requests}[{first}], too; give each entry its own"));
    }
    Text::parse(field::REFERENCE, reference.to_owned()).err()
}

/// The number of the entry that another one names as its parent.
fn find_parent(entry: &EntryDraft, numbers: &HashMap<&str, usize>) -> Result<Option<usize>, Violation> {
    let Some(reference) = &entry.parent_reference else { return Ok(None) };
    let parent_id = entry.customer_group.as_ref().map(|draft| &draft.parent_id);
    if let Some(Field::Value(_)) = parent_id {
        let what = format!("and {} are both given; give one of them", field::PARENT_ID);
        return Err(parent_reference(reference, ViolationKind::Invalid, &what));
    }
    let what = "is the reference of no entry; give that of one, or none for a root";
    let number = numbers.get(reference.as_str()).copied();
    number.map(Some).ok_or_else(|| parent_reference(reference, ViolationKind::ParentNotFound, what))
}

fn parent_reference(reference: &str, kind: ViolationKind, what: &str) -> Violation {
    let name = field::PARENT_REFERENCE;
    Violation::new(name, kind, format!("{name} {} {what}", excerpt(reference)))
}

/// What is wrong with the number of things in a list, unless the face has found something wrong with the list.
fn check_count(name: &str, count: usize, found: &[Violation]) -> Option<Violation> {
    if found.iter().any(|violation| violation.field == name) {
        return None;
    }
    match count {
        0 => {
            let description = format!("{name} is required; give it 1 to {MAX_BATCH} entries");
            Some(Violation::new(name, ViolationKind::Missing, description))
        }
        1..=MAX_BATCH => None,
        _ => {
            let description =
                format!("{name} has more than {MAX_BATCH} entries; send the others in a call of their own");
            Some(Violation::new(name, ViolationKind::Invalid, description))
        }
    }
}

/// The ids of a batch get as a face read them.
#[derive(Debug, Clone, Default)]
pub struct IdList {
    /// The texts, or what kept the face from reading one. Of more than [`MAX_BATCH`] one more is enough.
    pub ids: Vec<Result<String, Violation>>,
    /// What the face found wrong beside them.
    pub violations: Vec<Violation>,
}

impl IdList {
    /// At least one text, and [`MAX_BATCH`] at most. Any text may be asked for.
    ///
    /// # Errors
    ///
    /// A violation when there are none or too many, or else for each that is no text; and what the face found.
    pub fn parse(self) -> Result<Vec<String>, Violations> {
        let mut found: Vec<Violation> =
            check_count(field::IDS, self.ids.len(), &self.violations).into_iter().collect();
        let mut ids = Vec::new();
        if found.is_empty() {
            for id in self.ids {
                match id {
                    Ok(id) => ids.push(id),
                    Err(violation) => found.push(violation),
                }
            }
        }
        found.extend(self.violations);
        match Violations::of(found) {
            None => Ok(ids),
            Some(violations) => Err(violations.abridged()),
        }
    }
}

/// Names the ids that there are none of, each once: the first by its text, and those that there is no room for
/// by their places among all.
pub(crate) fn name_missing(ids: &[String], is_missing: impl Fn(&str) -> bool) -> String {
    const NAMED: usize = 16;
    let mut seen = HashSet::new();
    let places = ids.iter().enumerate().filter(|(_, id)| is_missing(id) && seen.insert(id.as_str()));
    let places: Vec<usize> = places.map(|(place, _)| place).collect();
    let names = |named: usize| {
        let (by_text, by_place) = places.split_at(named.min(places.len()));
        let mut names: Vec<String> = by_text.iter().map(|place| excerpt(&ids[*place])).collect();
        if !by_place.is_empty() {
            names.push(format!("any of {}[{}]", field::IDS, ranges(by_place)));
        }
        names.join(" or ")
    };
    let fits = |text: &String| room::of_message(text) <= room::MAX;
    (1..=NAMED).rev().map(names).find(fits).unwrap_or_else(|| names(0))
}

/// Growing numbers, as in `20-37,40`.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|number, next| number + 1 == *next).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        alone => alone.iter().map(ToString::to_string).collect(),
    });
    runs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(reference: Option<&str>, parent_reference: Option<&str>) -> EntryDraft {
        let customer_group = Draft { customer_group_name: Field::Value("a".to_owned()), ..Draft::default() };
        EntryDraft {
            customer_group: Some(customer_group),
            reference: reference.map(str::to_owned),
            parent_reference: parent_reference.map(str::to_owned),
            violations: Vec::new(),
        }
    }

    fn batch(entries: &[EntryDraft]) -> NewBatch {
        let entries = entries.iter().cloned().map(Ok).collect();
        NewBatch::parse(BatchDraft { entries, violations: Vec::new() }).unwrap()
    }

    #[test]
    fn references_become_parents() {
        let new = batch(&[entry(None, Some("b")), entry(Some("b"), None)]);
        let groups = new.clone().into_groups();
        assert_eq!((groups[0].parent_id, groups[1].parent_id), (Some(groups[1].id), None));
        assert!(groups[0].id < groups[1].id);
        assert_eq!(new.clone().into_violations().parents(), []);
        let ids = [GroupId::generate(), GroupId::generate()];
        let earlier = new.into_earlier(&ids);
        assert_eq!((earlier[0].id, earlier[0].parent_id), (ids[0], Some(ids[1])));
        assert_eq!(earlier[1].updated_at, ids[1].created_at());
    }

    #[test]
    fn batches_have_one_fingerprint_exactly_when_they_ask_for_the_same() {
        let tree = batch(&[entry(Some("b"), None), entry(None, Some("b"))]).fingerprint();
        assert_eq!(batch(&[entry(Some("z"), None), entry(Some("y"), Some("z"))]).fingerprint(), tree);
        let single = NewGroup::parse(entry(None, None).customer_group.unwrap()).unwrap();
        let different = [
            tree,
            batch(&[entry(Some("b"), None), entry(None, None)]).fingerprint(),
            batch(&[entry(None, Some("b")), entry(Some("b"), None)]).fingerprint(),
            batch(&[entry(None, None)]).fingerprint(),
            single.fingerprint(),
        ];
        let distinct: HashSet<_> = different.iter().map(|fingerprint| fingerprint.0).collect();
        assert_eq!(distinct.len(), different.len());
    }

    #[test]
    fn runs_of_numbers_are_compressed() {
        for (numbers, text) in
            [(&[7][..], "7"), (&[0, 1, 2, 3], "0-3"), (&[1, 3, 4, 9, 10, 12], "1,3-4,9-10,12"), (&[], "")]
        {
            assert_eq!(ranges(numbers), text);
        }
    }
}
