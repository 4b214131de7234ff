//! The customer group and lists of it.

use super::{Etag, GroupId, Name, Text, Texts, Timestamp};

/// A node of the tree of customer groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerGroup {
    /// Contains the creation time.
    pub id: GroupId,
    /// The time of the last update; the creation time until the first one.
    pub updated_at: Timestamp,
    /// The group above; `None` for a root.
    pub parent_id: Option<GroupId>,
    /// Whether it is meant to hold other groups. Nothing depends on it.
    pub is_group: bool,
    /// The display name.
    pub customer_group_name: Name,
    /// The optional texts.
    pub texts: Texts<Option<Text>>,
}

impl CustomerGroup {
    /// The creation time: the millisecond inside the id.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.id.created_at()
    }

    /// The version.
    #[must_use]
    pub fn etag(&self) -> Etag {
        Etag::new(self.updated_at)
    }
}

/// A list of customer groups, or a page of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupList {
    /// The groups of the page.
    pub data: Vec<CustomerGroup>,
    /// Whether more groups follow the page.
    pub has_more: bool,
    /// The exact number of groups in the whole list, never negative. The contract counts in 32 bits.
    pub total: i32,
}
