//! The use cases: the only way from a face to the store.

mod batch;

use std::sync::Arc;

pub use batch::BatchCreated;

use crate::audit::{Action, Change};
use crate::auth::Writer;
use crate::domain::{
    Changes, CustomerGroup, Draft, Freshness, GroupId, IdempotencyKey, IfMatch, List, ListRequest, NewGroup,
    PageRequest, Violation, Violations,
};
use crate::error::Error;
pub use crate::store::Groups;
use crate::store::{Insertion, ParentCheck, Store};

/// What can be done with customer groups. Cheap to clone.
///
/// Every use case can also end in [`Error::Overloaded`], [`Error::Unavailable`], [`Error::Timeout`] and
/// [`Error::Internal`], and one that writes in [`Error::Interrupted`].
#[derive(Debug, Clone)]
pub struct Service {
    /// Shared, since each call over REST has a clone.
    store: Arc<Store>,
}

/// The answer to a create.
#[derive(Debug)]
pub struct Created {
    /// The group as it was created.
    pub group: CustomerGroup,
    /// Whether an earlier create made it.
    pub replayed: bool,
}

impl Service {
    /// The use cases over a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store: Arc::new(store) }
    }

    /// One customer group.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn get(&self, id: &str) -> Result<CustomerGroup, Error> {
        self.store.get(parse(id)?).await
    }

    /// A page of all customer groups that a filter leaves, the most recently created first.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a page or a filter that cannot be.
    pub async fn list(&self, request: ListRequest, freshness: Freshness) -> Result<List, Error> {
        let (page, filter) = request.parse()?;
        self.store.list(page, &filter, freshness).await
    }

    /// The direct children of a customer group, the most recently created first.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Invalid`] for a page that cannot be.
    pub async fn children(&self, id: &str, page: PageRequest, freshness: Freshness) -> Result<Groups, Error> {
        let page = page.parse_unbounded()?;
        self.store.children(parse(id)?, page, freshness).await
    }

    /// The ancestors of a customer group, its parent first.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Invalid`] for a page that cannot be.
    pub async fn ancestors(
        &self,
        id: &str,
        page: PageRequest,
        freshness: Freshness,
    ) -> Result<Groups, Error> {
        let page = page.parse_unbounded()?;
        self.store.ancestors(parse(id)?, page, freshness).await
    }

    /// Everything below a customer group, level by level, and the children of one group together, the most recently
    /// created first.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Invalid`] for a page that cannot be.
    pub async fn descendants(
        &self,
        id: &str,
        page: PageRequest,
        freshness: Freshness,
    ) -> Result<Groups, Error> {
        let page = page.parse_unbounded()?;
        self.store.descendants(parse(id)?, page, freshness).await
    }

    /// Creates a customer group. The same create under the same idempotency key of the same API key creates
    /// none again for 24 hours, and gets the first answer.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with every violated field, an unknown parent among them;
    /// [`Error::IdempotencyKeyReused`] when the key was used for another create.
    pub async fn create(
        &self,
        writer: &Writer,
        mut draft: Draft,
        key: Result<Option<IdempotencyKey>, Violation>,
    ) -> Result<Created, Error> {
        let key = key.unwrap_or_else(|violation| {
            draft.violations.push(violation);
            None
        });
        let parent = draft.parent();
        match NewGroup::parse(draft) {
            Ok(new) => {
                let key = key.as_ref().map(|key| (writer.principal().digest, key));
                let change = Change::begin(writer, Action::Create, [new.group().id]);
                let inserted = self.store.insert(&new, key).await;
                Ok(match change.end(inserted, |insertion| *insertion == Insertion::New)? {
                    Insertion::New => Created { group: new.into_group(), replayed: false },
                    Insertion::Earlier(id) => Created { group: new.into_earlier(id), replayed: true },
                })
            }
            Err(violations) => {
                let check = self.store.check_parent(None, parent).await?;
                Err(with_parent(violations, &check).into())
            }
        }
    }

    /// Changes the fields of a customer group that the draft names, and moves it when `parent_id` is one of
    /// them. A draft that names none changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Invalid`] with every violated field, a parent that is unknown or below
    /// the group among them; [`Error::EtagMismatch`] when it is in another version than the change is for.
    pub async fn update(
        &self,
        writer: &Writer,
        id: &str,
        draft: Draft,
        if_match: &IfMatch,
    ) -> Result<CustomerGroup, Error> {
        let group_id = parse(id)?;
        let parent = draft.parent();
        match Changes::parse(draft) {
            Ok(changes) if changes.is_empty() => {
                let group = self.store.get(group_id).await?;
                if if_match.allows(group.etag()) { Ok(group) } else { Err(Error::EtagMismatch(group_id)) }
            }
            Ok(changes) => {
                let change = Change::begin(writer, Action::Update(&changes), [group_id]);
                let updated = self.store.update(group_id, &changes, if_match).await;
                change.end(updated, |_| true)
            }
            Err(violations) => {
                let check = self.store.check_parent(Some(group_id), parent).await?;
                if check.child_exists {
                    Err(with_parent(violations, &check).into())
                } else {
                    Err(Error::not_found(id))
                }
            }
        }
    }

    /// Deletes a customer group.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::HasChildren`], [`Error::EtagMismatch`] when it is in another version than
    /// the delete is for.
    pub async fn delete(&self, writer: &Writer, id: &str, if_match: &IfMatch) -> Result<GroupId, Error> {
        let id = parse(id)?;
        let change = Change::begin(writer, Action::Delete, [id]);
        let deleted = self.store.delete(id, if_match).await;
        change.end(deleted, |()| true)?;
        Ok(id)
    }
}

/// A text that is no id names no customer group.
fn parse(id: &str) -> Result<GroupId, Error> {
    GroupId::parse(id).ok_or_else(|| Error::not_found(id))
}

/// Adds what only the database could tell to what parsing found, so that all of it is reported at once.
fn with_parent(violations: Violations, check: &ParentCheck) -> Violations {
    match &check.violation {
        Some(violation) => violations.with_first(violation.clone()),
        None => violations,
    }
}
