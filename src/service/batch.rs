//! Use cases for many customer groups at once.

use std::collections::HashSet;

use super::audit::{Action, AuditEntry};
use super::{Service, Writer};
use crate::domain::{
    BatchInput, CustomerGroup, Digest, GroupId, IdList, IdempotencyKey, NewBatch, Violation, name_missing,
};
use crate::error::Error;
use crate::store::BatchCreateOutcome;

#[derive(Debug)]
pub(crate) struct BatchCreated {
    /// As they were created, in the order of the request.
    pub(crate) groups: Vec<CustomerGroup>,
    /// Whether an earlier batch create made them.
    pub(crate) replayed: bool,
}

impl Service {
    /// Creates customer groups, all or none. A repeated batch with the same idempotency key and API key within 24 hours
    /// returns the first response. The error has every invalid field of every entry, also unknown parents.
    pub(crate) async fn batch_create(
        &self,
        writer: &Writer,
        mut input: BatchInput,
        key: Result<Option<IdempotencyKey>, Violation>,
    ) -> Result<BatchCreated, Error> {
        let key = key.unwrap_or_else(|violation| {
            input.violations.push(violation);
            None
        });
        let (violations, is_parsed) = match NewBatch::parse(input) {
            Ok(new) => {
                let entry = AuditEntry::begin(writer, Action::Create, new.groups().map(|group| group.id));
                let inserted = self.store.insert_batch(&new, writer.principal.digest, key.as_ref()).await;
                match entry.end(inserted, |insertion| *insertion == BatchCreateOutcome::New)? {
                    BatchCreateOutcome::New => {
                        return Ok(BatchCreated { groups: new.into_groups(), replayed: false });
                    }
                    BatchCreateOutcome::Replayed(ids) => {
                        return Ok(BatchCreated { groups: new.into_earlier(&ids), replayed: true });
                    }
                    BatchCreateOutcome::ParentMissing => (new.into_violations(), true),
                }
            }
            Err(violations) => (violations, false),
        };
        let parents = violations.parents();
        let missing = match self.store.missing(&parents, writer.principal.digest).await {
            Ok(missing) => missing,
            Err(error) if is_parsed => return Err(error),
            // Refused by parsing, which needs no database.
            Err(_) => HashSet::new(),
        };
        let violations = violations.with_missing(&missing);
        Err(violations.map_or_else(|| Error::internal("a missing parent exists"), Error::Invalid))
    }

    /// Returns the customer groups with these ids, in their order. The error has every id that no group has.
    pub(crate) async fn batch_get(&self, ids: IdList, caller: Digest) -> Result<Vec<CustomerGroup>, Error> {
        let ids = ids.parse()?;
        let parsed: Vec<GroupId> = ids.iter().filter_map(|id| GroupId::parse(id)).collect();
        let found = self.store.get_batch(&parsed, caller).await?;
        let find = |id: &str| GroupId::parse(id).and_then(|id| found.get(&id));
        let groups: Option<Vec<_>> = ids.iter().map(|id| find(id).cloned()).collect();
        groups.ok_or_else(|| Error::NotFound(name_missing(&ids, |id| find(id).is_none())))
    }
}
