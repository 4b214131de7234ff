//! The ids of a batch read.

use std::collections::HashSet;

use super::{MAX_BATCH, Violation, ViolationKind, Violations, excerpt, field, header_budget};

/// The ids of a batch read: well-formed, not yet checked.
#[derive(Debug, Clone, Default)]
pub struct IdList {
    /// The texts, or the reason why one could not be read. Ids after [`MAX_BATCH`] + 1 may be left out.
    pub ids: Vec<Result<String, Violation>>,
    /// Violations outside of the ids.
    pub violations: Vec<Violation>,
}

impl IdList {
    /// Returns 1 to [`MAX_BATCH`] texts. Any text is accepted: one that is not an id names no group.
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
        Violations::of(found).map_or(Ok(ids), |violations| Err(violations.abridged()))
    }
}

/// Checks the length of a list, unless reading it has failed already.
pub(super) fn check_count(name: &str, count: usize, found: &[Violation]) -> Option<Violation> {
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
                format!("{name} has more than {MAX_BATCH} entries; send the others in another call");
            Some(Violation::new(name, ViolationKind::Invalid, description))
        }
    }
}

/// Names each missing id once: the first ones by their text, the rest by their index, so that all fit into an error.
pub(crate) fn name_missing(ids: &[String], is_missing: impl Fn(&str) -> bool) -> String {
    const NAMED: usize = 16;
    let mut seen = HashSet::new();
    let missing = ids.iter().enumerate().filter(|(_, id)| is_missing(id) && seen.insert(id.as_str()));
    let indexes: Vec<usize> = missing.map(|(index, _)| index).collect();
    let names = |named: usize| {
        let (by_text, by_index) = indexes.split_at(named.min(indexes.len()));
        let mut names: Vec<String> = by_text.iter().map(|index| excerpt(&ids[*index])).collect();
        if !by_index.is_empty() {
            names.push(format!("any of {}[{}]", field::IDS, ranges(by_index)));
        }
        names.join(" or ")
    };
    let fits = |text: &String| header_budget::of_message(text) <= header_budget::MAX;
    (1..=NAMED).rev().map(names).find(fits).unwrap_or_else(|| names(0))
}

/// Writes growing numbers as in `20-37,40`.
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

    #[test]
    fn runs_of_numbers_are_compressed() {
        for (numbers, text) in
            [(&[7][..], "7"), (&[0, 1, 2, 3], "0-3"), (&[1, 3, 4, 9, 10, 12], "1,3-4,9-10,12"), (&[], "")]
        {
            assert_eq!(ranges(numbers), text);
        }
    }
}
