//! Who changed what: lines of the log with a target of their own, one for each group that a call changed.

use std::fmt;

use crate::auth::Writer;
use crate::domain::{Changes, GroupId};
use crate::error::Error;

/// The target of the lines, by which a filter or a reader of the log tells them from all others.
pub const TARGET: &str = "audit";

/// What is done to a group.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// It is made.
    Create,
    /// Some of its fields are changed.
    Update(&'a Changes),
    /// It is deleted.
    Delete,
}

/// A change from before it is asked of the database until it is known how it ended. When its call is given up before
/// that, the log says that its outcome is unknown.
#[derive(Debug)]
pub struct Change<'a> {
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

impl<'a> Change<'a> {
    /// The change of those groups, which begins now.
    pub fn begin(writer: &'a Writer, action: Action<'a>, ids: impl IntoIterator<Item = GroupId>) -> Self {
        Self { writer, action, ids: ids.into_iter().collect(), outcome: Outcome::Unknown }
    }

    /// Notes how it ended, whether it changed anything in the end, and writes the lines.
    ///
    /// # Errors
    ///
    /// That of the change.
    pub fn end<T>(
        mut self,
        result: Result<T, Error>,
        has_changed: impl FnOnce(&T) -> bool,
    ) -> Result<T, Error> {
        self.outcome = match &result {
            Ok(value) if has_changed(value) => Outcome::Done,
            Err(error) if error.leaves_open() => Outcome::Unknown,
            Ok(_) | Err(_) => Outcome::Nothing,
        };
        result
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let outcome = match self.outcome {
            Outcome::Unknown => "unknown",
            Outcome::Done => "done",
            Outcome::Nothing => return,
        };
        let (key, request_id) = (self.writer.principal().name(), self.writer.request_id());
        let fields = match self.action {
            Action::Update(changes) => Some(changes.fields().join(",")),
            Action::Create | Action::Delete => None,
        };
        for id in &self.ids {
            tracing::info!(
                target: TARGET,
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
