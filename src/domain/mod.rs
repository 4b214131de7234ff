//! The rules for customer groups, without I/O and without wire types.
//!
//! Values are created by parsing, so each one is valid. Parsing reports every violation at once.

mod api_key;
mod batch;
mod consistency;
mod etag;
mod fields;
mod filter;
mod fingerprint;
mod group;
mod header_budget;
mod id;
mod id_generator;
mod id_list;
mod idempotency;
mod import;
mod input;
mod new_group;
mod page;
mod patch;
mod references;
mod report;
mod text;
mod tree_list;
mod violation;

pub use api_key::{Digest, Key, Mode, Principal, Scope, Secret};
pub(crate) use api_key::{find_key, redacted};
pub use batch::{BatchInput, BatchViolations, EntryInput, NewBatch};
pub use consistency::{Consistency, Reader};
pub(crate) use etag::Versions;
pub use etag::{Etag, Preconditions};
pub use fields::{Field, TextField, Texts, field};
pub use filter::{GroupFilter, ListRequest};
pub use fingerprint::Fingerprint;
pub use group::{CustomerGroup, GroupList};
pub use id::{GroupId, KeyId, Timestamp, request_id};
pub(crate) use id_generator::follow;
pub use id_list::IdList;
pub(crate) use id_list::name_missing;
pub use idempotency::IdempotencyKey;
pub use import::{GivenFields, Identity, ImportGroup, ImportInput, ImportLine, ImportMode, Within};
pub use input::{FieldInput, GroupInput};
pub use new_group::NewGroup;
pub use page::{Page, PageRequest};
pub use patch::{Change, GroupPatch};
pub use report::Report;
pub use text::{Name, Text};
pub use tree_list::TreeList;
pub use violation::{Violation, ViolationKind, Violations};
pub(crate) use violation::{cut, excerpt};

/// The most customer groups in a batch create or a batch read.
pub const MAX_BATCH: usize = 1000;
