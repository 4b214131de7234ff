//! Pages of lists.

use super::{CustomerGroup, GroupId, GroupList, Violation, ViolationKind, Violations, excerpt, field};

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The most objects to return; `None` for all.
    pub limit: Option<u32>,
    /// The number of objects to skip.
    pub offset: u32,
    /// The object after which to start; `None` for the beginning of the list.
    pub starting_after: Option<GroupId>,
}

impl Page {
    /// Whether it is the whole list.
    pub(crate) fn is_all(self) -> bool {
        self == Self { limit: None, offset: 0, starting_after: None }
    }

    /// Cuts the page out of a whole list, which must contain the object to start after.
    pub(crate) fn of(self, mut whole: Vec<CustomerGroup>) -> Result<GroupList, Violation> {
        let total = i32::try_from(whole.len()).unwrap_or(i32::MAX);
        let start = match self.starting_after {
            None => 0,
            Some(id) => {
                let at = whole.iter().position(|group| group.id == id);
                at.ok_or_else(Violation::not_in_list)? + 1
            }
        };
        let skipped = start.saturating_add(self.offset as usize).min(whole.len());
        let mut data = whole.split_off(skipped);
        let limit = self.limit.map_or(usize::MAX, |limit| limit as usize);
        let has_more = data.len() > limit;
        data.truncate(limit);
        Ok(GroupList { data, has_more, total })
    }
}

/// The parameters of a page: well-formed, not yet checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// The page size, if given.
    pub limit: Option<i32>,
    /// The number of objects to skip, if given.
    pub offset: Option<i32>,
    /// The id of the object to start after, if given.
    pub starting_after: Option<String>,
    /// Violations found while reading, such as unknown parameters.
    pub violations: Vec<Violation>,
}

impl PageRequest {
    pub(crate) fn new(limit: Option<i32>, offset: Option<i32>, starting_after: Option<String>) -> Self {
        Self { limit, offset, starting_after, violations: Vec::new() }
    }

    /// A page of the list of all groups: 20 objects by default, and at most 1000 (AIP-158).
    pub fn parse(self) -> Result<Page, Violations> {
        const DEFAULT_LIMIT: u32 = 20;
        const MAX_LIMIT: u32 = 1000;
        let page = self.parse_unbounded()?;
        let limit = page.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
        Ok(Page { limit: Some(limit), ..page })
    }

    /// A part of a tree list: everything by default.
    pub fn parse_unbounded(self) -> Result<Page, Violations> {
        let mut found = Vec::new();
        let limit = self.limit.and_then(|limit| count(field::LIMIT, limit, &mut found));
        let offset = self.offset.and_then(|offset| count(field::OFFSET, offset, &mut found));
        let starting_after = self.starting_after.and_then(|text| start(&text, &mut found));
        found.extend(self.violations);
        let page = Page { limit, offset: offset.unwrap_or(0), starting_after };
        Violations::of(found).map_or(Ok(page), Err)
    }
}

fn count(field: &str, number: i32, found: &mut Vec<Violation>) -> Option<u32> {
    let count = u32::try_from(number).ok();
    if count.is_none() {
        let description = format!("{field} must be 0 or more; got {number}");
        found.push(Violation::new(field, ViolationKind::Invalid, description));
    }
    count
}

fn start(text: &str, found: &mut Vec<Violation>) -> Option<GroupId> {
    let id = GroupId::parse(text);
    if id.is_none() {
        let (field, text) = (field::STARTING_AFTER, excerpt(text));
        let description = format!(
            "{field} {text} is not the id of a customer group; give that of the last object before the page"
        );
        found.push(Violation::new(field, ViolationKind::Invalid, description));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(limit: Option<i32>, offset: Option<i32>) -> PageRequest {
        PageRequest::new(limit, offset, None)
    }

    #[test]
    fn the_list_has_20_by_default_and_1000_at_most() {
        for (asked, given) in
            [(None, 20), (Some(0), 0), (Some(1000), 1000), (Some(1001), 1000), (Some(i32::MAX), 1000)]
        {
            assert_eq!(request(asked, None).parse().unwrap().limit, Some(given));
        }
    }

    #[test]
    fn a_tree_list_takes_the_limit_as_it_is() {
        for asked in [None, Some(0), Some(1001), Some(i32::MAX)] {
            let limit = request(asked, None).parse_unbounded().unwrap().limit;
            assert_eq!(limit, asked.map(i32::unsigned_abs));
        }
    }

    #[test]
    fn both_negative_numbers_are_reported() {
        let violations = request(Some(-1), Some(i32::MIN)).parse().unwrap_err();
        let fields: Vec<&str> =
            violations.as_slice().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["limit", "offset"]);
    }
}
