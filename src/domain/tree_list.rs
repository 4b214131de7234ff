//! Children, ancestors and descendants of one group. The list of all groups is in `filter.rs`.

/// A list of the groups around one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeList {
    /// The direct children, newest first.
    Children,
    /// The parent first, the root last.
    Ancestors,
    /// Everything below, level by level; the children of one group together, newest first.
    Descendants,
}
