//! Use cases: the only path from a protocol to the store.

mod audit;
mod batch;

use std::sync::Arc;

pub(crate) use batch::BatchCreated;

use crate::domain::{
    CustomerGroup, GroupId, GroupInput, GroupList, GroupPatch, IdempotencyKey, ListRequest, NewGroup,
    PageRequest, Preconditions, Principal, Reader, Scope, TreeList, Violation, Violations,
};
use crate::error::Error;
pub(crate) use crate::store::GroupStream;
use crate::store::{CreateOutcome, ParentCheck, Store};
use audit::{Action, AuditEntry};

/// The use cases. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// Shared, because each REST call clones it.
    store: Arc<Store>,
}

/// The permission to write, in one call.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    principal: Principal,
    request_id: String,
}

impl Writer {
    pub(crate) fn new(principal: Principal, request_id: &str) -> Result<Self, Error> {
        match principal.scope {
            Scope::Read => Err(Error::KeyReadOnly),
            Scope::Write => Ok(Self { principal, request_id: request_id.to_owned() }),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Created {
    /// As it was created.
    pub(crate) group: CustomerGroup,
    /// Whether an earlier create made it.
    pub(crate) replayed: bool,
}

impl Service {
    pub(crate) fn new(store: Store) -> Self {
        Self { store: Arc::new(store) }
    }

    pub(crate) async fn get(&self, id: &str) -> Result<CustomerGroup, Error> {
        self.store.get(parse(id)?).await
    }

    /// Returns a page of all customer groups that match the filter, the most recently created first.
    pub(crate) async fn list(&self, request: ListRequest, reader: Reader) -> Result<GroupList, Error> {
        let (page, filter) = request.parse()?;
        self.store.list(page, &filter, reader).await
    }

    /// Returns the children, ancestors or descendants of a customer group.
    pub(crate) async fn tree_list(
        &self,
        list: TreeList,
        id: &str,
        page: PageRequest,
        reader: Reader,
    ) -> Result<GroupStream, Error> {
        let page = page.parse_unbounded()?;
        let id = parse(id)?;
        match list {
            TreeList::Children => self.store.children(id, page, reader).await,
            TreeList::Ancestors => self.store.ancestors(id, page, reader).await,
            TreeList::Descendants => self.store.descendants(id, page, reader).await,
        }
    }

    /// Creates a customer group. A repeated create with the same idempotency key and API key within 24 hours returns the
    /// first response. The error has every invalid field, also an unknown parent.
    pub(crate) async fn create(
        &self,
        writer: &Writer,
        mut input: GroupInput,
        key: Result<Option<IdempotencyKey>, Violation>,
    ) -> Result<Created, Error> {
        let key = key.unwrap_or_else(|violation| {
            input.violations.push(violation);
            None
        });
        let parent = input.parent();
        match NewGroup::parse(input) {
            Ok(new) => {
                let entry = AuditEntry::begin(writer, Action::Create, [new.group().id]);
                let inserted = self.store.insert(&new, writer.principal.digest, key.as_ref()).await;
                Ok(match entry.end(inserted, |insertion| *insertion == CreateOutcome::New)? {
                    CreateOutcome::New => Created { group: new.into_group(), replayed: false },
                    CreateOutcome::Replayed(id) => Created { group: new.into_earlier(id), replayed: true },
                })
            }
            Err(violations) => {
                let check = self.check_parent(writer, None, parent).await;
                Err(with_parent(violations, check).into())
            }
        }
    }

    /// Changes the fields that the input contains. A change of `parent_id` moves the group. The error has every invalid
    /// field, also a parent that is unknown or below the group.
    pub(crate) async fn update(
        &self,
        writer: &Writer,
        id: &str,
        input: GroupInput,
        preconditions: &Preconditions,
    ) -> Result<CustomerGroup, Error> {
        let group_id = parse(id)?;
        let parent = input.parent();
        match GroupPatch::parse(input) {
            Ok(patch) if patch.is_empty() => {
                let group = self.store.get(group_id).await?;
                if preconditions.allow(group.etag()) { Ok(group) } else { Err(Error::EtagMismatch(group_id)) }
            }
            Ok(patch) => {
                let entry = AuditEntry::begin(writer, Action::Update(&patch), [group_id]);
                let updated =
                    self.store.update(group_id, &patch, preconditions, writer.principal.digest).await;
                entry.end(updated, |_| true)
            }
            Err(violations) => Err(match self.check_parent(writer, Some(group_id), parent).await {
                Some(check) if !check.child_exists => Error::not_found(id),
                check => with_parent(violations, check).into(),
            }),
        }
    }

    /// Finds out more about a request that is invalid anyway; `None` when there is nothing to find out, or the database does
    /// not answer: what parsing refuses needs no database.
    async fn check_parent(
        &self,
        writer: &Writer,
        child: Option<GroupId>,
        parent: Option<GroupId>,
    ) -> Option<ParentCheck> {
        if child.is_none() && parent.is_none() {
            return None;
        }
        self.store.check_parent(child, parent, writer.principal.digest).await.ok()
    }

    pub(crate) async fn delete(
        &self,
        writer: &Writer,
        id: &str,
        preconditions: &Preconditions,
    ) -> Result<GroupId, Error> {
        let id = parse(id)?;
        let entry = AuditEntry::begin(writer, Action::Delete, [id]);
        let deleted = self.store.delete(id, preconditions, writer.principal.digest).await;
        entry.end(deleted, |()| true)?;
        Ok(id)
    }
}

fn parse(id: &str) -> Result<GroupId, Error> {
    GroupId::parse(id).ok_or_else(|| Error::not_found(id))
}

/// Adds the violation that only the database can find, so that one error reports all.
fn with_parent(violations: Violations, check: Option<ParentCheck>) -> Violations {
    match check.and_then(|check| check.violation) {
        Some(violation) => violations.with_first(violation),
        None => violations,
    }
}
