//! What a customer group is, without I/O and without wire types.
//!
//! Values are made by parsing, so one that exists is valid. Parsing reports every violation at once.

mod batch;
mod draft;
mod etag;
mod filter;
mod freshness;
mod group;
mod id;
mod idempotency;
mod import;
mod page;
mod room;
mod text;
mod violation;

pub(crate) use batch::name_missing;
pub use batch::{BatchDraft, BatchViolations, EntryDraft, IdList, MAX_BATCH, NewBatch};
pub use draft::{Change, Changes, Draft, Field, NewGroup};
pub use etag::{Etag, IfMatch};
pub use filter::{Filter, ListRequest};
pub use freshness::Freshness;
pub use group::{CustomerGroup, List};
pub use id::{GroupId, KeyId, REQUEST_ID, Timestamp, request_id};
pub use idempotency::{Fingerprint, IdempotencyKey};
pub use import::{ImportDraft, ImportGroup, ImportLine, ImportProblems};
pub use page::{Page, PageRequest};
pub use text::{Name, Text};
pub use violation::{Violation, ViolationKind, Violations, field};
pub(crate) use violation::{cut, excerpt};
