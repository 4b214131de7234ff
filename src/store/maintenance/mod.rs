//! Operations on a whole database: migrations, import, export and verification.

mod cycles;
mod expiry;
mod export;
mod history;
mod import;
mod migrate;
mod name_search;
mod newest;
mod objects;
mod verify;

pub use export::Export;
pub use import::SoundImport;
pub(crate) use name_search::NameSearch;
pub use verify::verify;
