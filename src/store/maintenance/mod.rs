//! Operations on a whole database: migrations, import, export and verification.

mod cycles;
mod expiry;
mod export;
mod history;
mod import;
mod migrate;
mod newest;
mod objects;
mod verify;

pub use export::Export;
pub use verify::verify;
