//! Batch creates: all of the groups, or none.

use std::collections::HashSet;

use super::fingerprint::{Fingerprint, Parent};
use super::id_list::check_count;
use super::references::links;
use super::{CustomerGroup, GroupId, GroupInput, MAX_BATCH, NewGroup, Violation, Violations, field};

/// The body of a batch create: well-formed, not yet checked.
#[derive(Debug, Clone, Default)]
pub struct BatchInput {
    /// The entries, or the reason why one could not be read. Entries after [`MAX_BATCH`] + 1 may be left out.
    pub entries: Vec<Result<EntryInput, Violation>>,
    /// Violations outside of the entries.
    pub violations: Vec<Violation>,
}

/// An entry of a batch create.
#[derive(Debug, Clone, Default)]
pub struct EntryInput {
    /// The new group; `None` if it could not be read.
    pub customer_group: Option<GroupInput>,
    /// The caller's own name for the entry.
    pub reference: Option<String>,
    /// The reference of the entry whose group becomes the parent.
    pub parent_reference: Option<String>,
    /// Violations of the entry itself.
    pub violations: Vec<Violation>,
}

/// New customer groups to create together: 1 to [`MAX_BATCH`]. Whether the parents that are named by id exist is
/// checked by the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBatch {
    groups: Vec<NewGroup>,
    /// For each group the index of its parent, if the parent is in the batch.
    links: Vec<Option<usize>>,
}

/// The violations of a batch create, before the parents that are named by id are looked up.
#[derive(Debug, Clone, Default)]
pub struct BatchViolations {
    /// Each with the index of its entry.
    entries: Vec<(usize, Violation)>,
    others: Vec<Violation>,
    /// The parents that are named by id, each with the index of its entry.
    parents: Vec<(usize, GroupId)>,
}

impl NewBatch {
    /// Checks the input and generates the ids, in its order. Reports every violation of every entry.
    pub fn parse(input: BatchInput) -> Result<Self, BatchViolations> {
        let mut found = BatchViolations { others: input.violations, ..BatchViolations::default() };
        if let Some(violation) = check_count(field::REQUESTS, input.entries.len(), &found.others) {
            found.others.insert(0, violation);
        }
        if input.entries.len() > MAX_BATCH {
            return Err(found);
        }
        let entries: Vec<EntryInput> =
            input.entries.into_iter().enumerate().map(|(index, entry)| found.entry(index, entry)).collect();
        let (links, of_links) = links(&entries);
        let mut groups = Vec::with_capacity(entries.len());
        let mut of_entries = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            groups.extend(entry.customer_group.and_then(|input| found.group(index, input)));
            of_entries.extend(entry.violations.into_iter().map(|violation| (index, violation)));
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

    /// The groups, after they were stored.
    #[must_use]
    pub fn into_groups(self) -> Vec<CustomerGroup> {
        self.groups.into_iter().map(NewGroup::into_group).collect()
    }

    /// The groups as an earlier identical create stored them, under the ids that they got then.
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

    /// Identifies the request for idempotency.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_batch(self.groups().zip(&self.links).map(|(group, link)| match link {
            Some(parent) => (group, Parent::Entry(*parent)),
            None => (group, Parent::OfGroup(group)),
        }))
    }

    /// The possible violations of a batch that the store refused: its parents.
    pub(crate) fn into_violations(self) -> BatchViolations {
        let linked = self.groups.iter().zip(&self.links).enumerate();
        let by_id = linked.filter(|(_, (_, link))| link.is_none());
        let parents = by_id.filter_map(|(index, (new, _))| Some((index, new.group().parent_id?))).collect();
        BatchViolations { parents, ..BatchViolations::default() }
    }
}

impl BatchViolations {
    /// The parents that are named by id.
    pub(crate) fn parents(&self) -> Vec<GroupId> {
        self.parents.iter().map(|(_, parent)| *parent).collect()
    }

    /// All violations in the order of the entries, given the parents that do not exist; `None` if there are none.
    #[must_use]
    pub fn with_missing(self, missing: &HashSet<GroupId>) -> Option<Violations> {
        let unknown = self.parents.into_iter().filter(|(_, parent)| missing.contains(parent));
        let unknown = unknown.map(|(index, parent)| {
            let violation = Violation::parent_not_found(&parent.to_string());
            in_entry((index, violation.inside(field::CUSTOMER_GROUP)))
        });
        let mut entries: Vec<(usize, Violation)> = unknown.chain(self.entries).collect();
        entries.sort_by_key(|(index, _)| *index);
        let all = entries.into_iter().map(|(_, violation)| violation).chain(self.others).collect();
        Violations::of(all).map(Violations::abridged)
    }

    /// An empty entry takes the place of one that could not be read.
    fn entry(&mut self, index: usize, entry: Result<EntryInput, Violation>) -> EntryInput {
        entry.unwrap_or_else(|violation| {
            self.entries.push((index, violation));
            EntryInput::default()
        })
    }

    fn group(&mut self, index: usize, input: GroupInput) -> Option<NewGroup> {
        self.parents.extend(input.parent().map(|parent| (index, parent)));
        let violations = match NewGroup::parse(input) {
            Ok(new) => return Some(new),
            Err(violations) => violations,
        };
        let inside =
            |violation: &Violation| in_entry((index, violation.clone().inside(field::CUSTOMER_GROUP)));
        self.entries.extend(violations.as_slice().iter().map(inside));
        None
    }
}

fn in_entry((index, violation): (usize, Violation)) -> (usize, Violation) {
    (index, violation.in_entry(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(reference: Option<&str>, parent_reference: Option<&str>) -> EntryInput {
        EntryInput {
            customer_group: Some(GroupInput::named("a")),
            reference: reference.map(str::to_owned),
            parent_reference: parent_reference.map(str::to_owned),
            violations: Vec::new(),
        }
    }

    fn batch(entries: &[EntryInput]) -> NewBatch {
        let entries = entries.iter().cloned().map(Ok).collect();
        NewBatch::parse(BatchInput { entries, violations: Vec::new() }).unwrap()
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
        let different = [
            tree,
            batch(&[entry(Some("b"), None), entry(None, None)]).fingerprint(),
            batch(&[entry(None, Some("b")), entry(Some("b"), None)]).fingerprint(),
            batch(&[entry(None, None)]).fingerprint(),
            NewGroup::parse(GroupInput::named("a")).unwrap().fingerprint(),
        ];
        let distinct: HashSet<_> = different.iter().copied().collect();
        assert_eq!(distinct.len(), different.len());
    }
}
