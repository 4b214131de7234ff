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

impl TreeList {
    /// Every list.
    pub const ALL: [Self; 3] = [Self::Children, Self::Ancestors, Self::Descendants];

    /// Its name in paths: `children`, `ancestors` or `descendants`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Children => "children",
            Self::Ancestors => "ancestors",
            Self::Descendants => "descendants",
        }
    }
}
