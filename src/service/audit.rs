//! The audit log: one line for each group that a call changed, with a log target of its own.

use std::fmt;

use super::Writer;
use crate::domain::{Field, GroupId, GroupPatch};
use crate::error::Error;

#[derive(Debug, Clone, Copy)]
pub(super) enum Action<'a> {
    Create,
    Update(&'a GroupPatch),
    Delete,
}

/// A change in progress. Dropping it writes the lines, with an unknown outcome unless [`AuditEntry::end`] has set one.
#[derive(Debug)]
pub(super) struct AuditEntry<'a> {
    writer: &'a Writer,
    action: Action<'a>,
    ids: Vec<GroupId>,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Unknown,
    Done,
    Nothing,
}

impl<'a> AuditEntry<'a> {
    pub(super) fn begin(
        writer: &'a Writer,
        action: Action<'a>,
        ids: impl IntoIterator<Item = GroupId>,
    ) -> Self {
        Self { writer, action, ids: ids.into_iter().collect(), outcome: Outcome::Unknown }
    }

    /// Writes the lines with the outcome, and returns the result of the change.
    pub(super) fn end<T>(
        mut self,
        result: Result<T, Error>,
        has_changed: impl FnOnce(&T) -> bool,
    ) -> Result<T, Error> {
        self.outcome = match &result {
            Ok(value) if has_changed(value) => Outcome::Done,
            Err(error) if error.outcome_is_unknown() => Outcome::Unknown,
            Ok(_) | Err(_) => Outcome::Nothing,
        };
        result
    }
}

impl Drop for AuditEntry<'_> {
    fn drop(&mut self) {
        let outcome = match self.outcome {
            Outcome::Unknown => "unknown",
            Outcome::Done => "done",
            Outcome::Nothing => return,
        };
        let (key, request_id) = (self.writer.principal.name(), &self.writer.request_id);
        let fields = match self.action {
            Action::Update(changes) => Some(changes.fields().map(Field::name).collect::<Vec<_>>().join(",")),
            Action::Create | Action::Delete => None,
        };
        for id in &self.ids {
            tracing::info!(
                target: "audit",
                action = %self.action,
                %id,
                fields,
                outcome,
                key,
                request_id,
                "audit"
            );
        }
    }
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update(_) => "update",
            Self::Delete => "delete",
        })
    }
}
