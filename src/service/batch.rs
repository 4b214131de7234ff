//! The use cases of many customer groups at once.

use super::Service;
use crate::audit::{Action, Change};
use crate::auth::Writer;
use crate::domain::{
    BatchDraft, CustomerGroup, GroupId, IdList, IdempotencyKey, NewBatch, Violation, name_missing,
};
use crate::error::Error;
use crate::store::BatchInsertion;

/// The answer to a batch create.
#[derive(Debug)]
pub struct BatchCreated {
    /// The groups as they were created, in the order of the request.
    pub groups: Vec<CustomerGroup>,
    /// Whether an earlier batch create made them.
    pub replayed: bool,
}

impl Service {
    /// Creates customer groups, all or none. The same batch under the same idempotency key of the same API key
    /// creates none again for 24 hours, and gets the first answer.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with every violated field of every entry, unknown parents among them;
    /// [`Error::IdempotencyKeyReused`] when the key was used for another request.
    pub async fn batch_create(
        &self,
        writer: &Writer,
        mut draft: BatchDraft,
        key: Result<Option<IdempotencyKey>, Violation>,
    ) -> Result<BatchCreated, Error> {
        let key = key.unwrap_or_else(|violation| {
            draft.violations.push(violation);
            None
        });
        let violations = match NewBatch::parse(draft) {
            Ok(new) => {
                let key = key.as_ref().map(|key| (writer.principal().digest, key));
                let change = Change::begin(writer, Action::Create, new.groups().map(|group| group.id));
                let inserted = self.store.insert_batch(&new, key).await;
                match change.end(inserted, |insertion| *insertion == BatchInsertion::New)? {
                    BatchInsertion::New => {
                        return Ok(BatchCreated { groups: new.into_groups(), replayed: false });
                    }
                    BatchInsertion::Earlier(ids) => {
                        return Ok(BatchCreated { groups: new.into_earlier(&ids), replayed: true });
                    }
                    BatchInsertion::ParentMissing => new.into_violations(),
                }
            }
            Err(violations) => violations,
        };
        let missing = self.store.missing(&violations.parents()).await?;
        let violations = violations.with_missing(&missing);
        Err(violations.map_or_else(|| Error::internal("a parent is missing and exists"), Error::Invalid))
    }

    /// The customer groups with these ids, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] with every id that no group has; [`Error::Invalid`] when there are no ids or too many.
    pub async fn batch_get(&self, ids: IdList) -> Result<Vec<CustomerGroup>, Error> {
        let ids = ids.parse()?;
        let asked: Vec<GroupId> = ids.iter().filter_map(|id| GroupId::parse(id)).collect();
        let found = self.store.get_batch(&asked).await?;
        let find = |id: &str| GroupId::parse(id).and_then(|id| found.get(&id));
        let groups: Option<Vec<_>> = ids.iter().map(|id| find(id).cloned()).collect();
        groups.ok_or_else(|| Error::NotFound(name_missing(&ids, |id| find(id).is_none())))
    }
}
