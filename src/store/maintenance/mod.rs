//! Operations on a whole database: migrations, import, export and verification.

mod cycles;
mod export;
mod import;
mod migrate;
mod verify;

pub use export::Export;
pub use verify::verify;
