//! The resource.

use super::{Etag, GroupId, Name, Text, Timestamp};

/// A node of the tree by which customers are sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerGroup {
    /// Its id, which also says when it was created.
    pub id: GroupId,
    /// When it was last updated; when it was created until then.
    pub updated_at: Timestamp,
    /// The group above; `None` for a root.
    pub parent_id: Option<GroupId>,
    /// Whether it is meant to hold other groups. It forbids nothing.
    pub is_group: bool,
    /// The name for people.
    pub customer_group_name: Name,
    /// A reference into another system. It never moves a node.
    pub parent_customer_group: Option<Text>,
    /// A reference into another system.
    pub default_price_list: Option<Text>,
    /// A reference into another system.
    pub payment_terms: Option<Text>,
}

impl CustomerGroup {
    /// When it was created: the millisecond inside its id.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.id.created_at()
    }

    /// Its version.
    #[must_use]
    pub fn etag(&self) -> Etag {
        Etag::new(self.updated_at)
    }
}

/// A list of customer groups, or a page of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The groups of the page.
    pub data: Vec<CustomerGroup>,
    /// Whether a further group exists past the page.
    pub has_more: bool,
    /// The exact number of groups in the whole list, never negative. The contract counts in 32 bits.
    pub total: i32,
}
