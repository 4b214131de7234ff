//! Imports of customer groups from a file: all of them, or none.
//!
//! The lines are copied into a temporary table. Statements over all of them find the groups that they update, plan the
//! changes and check them. The plan is stored by one statement for each kind of change.

mod checks;
mod matches;
mod names;
mod plan;
mod within;

pub use plan::ImportPlan;

use std::pin::Pin;
use std::time::SystemTime;

use deadpool_postgres::Object;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::domain::{
    Field, GivenFields, GroupId, Identity, ImportGroup, ImportLine, ImportMode, Name, Report,
};
use crate::store::Store;
use crate::store::connect::CircuitBreaker;
use crate::store::errors::{StartupError, pg_message};
use crate::store::groups::MOVE_LOCK;
use crate::store::groups::rows::{Value, borrowed, joined, named_columns, values};

/// Disables the timeouts, because the statements and the input can be slow. Configures the planner for statements over
/// whole tables.
const BEGIN: &str = "
    begin;
    set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0;
    set local enable_seqscan = on;
    set local enable_hashjoin = on;
    set local work_mem = '64MB'";

const COPY: &str = "copy customer_group_import from stdin (format binary)";

/// Makes the foreign key check use the index: its plan may have been made when the table was empty.
const LOOK_UP_BY_INDEX: &str = "set local enable_seqscan = off";

/// The most problems that are reported one by one.
const LISTED: usize = 100;

/// An import under way. If it is dropped before its end, nothing is changed.
pub struct Import {
    connection: Object,
    mode: ImportMode,
    rows: Pin<Box<BinaryCopyInWriter>>,
    problems: Report,
}

/// A checked import without problems. If it is dropped before its end, nothing is changed.
pub struct SoundImport {
    pub(super) connection: Object,
    /// The numbers of changes.
    pub plan: ImportPlan,
}

impl Store {
    /// Begins an import, on a connection of its own.
    pub async fn import(&self, mode: ImportMode) -> Result<Import, StartupError> {
        let pool = self.database.pool(&self.options, 1, &CircuitBreaker::default())?;
        let connection = pool.get_anyway().await?;
        connection.batch_execute(BEGIN).await?;
        connection.batch_execute(&create_table()).await?;
        let copy = connection.copy_in(COPY).await?;
        let types: Vec<Type> = table_columns().map(|(_, column_type)| column_type).collect();
        let rows = Box::pin(BinaryCopyInWriter::new(copy, &types));
        Ok(Import { connection, mode, rows, problems: Report::new(LISTED) })
    }
}

/// The columns of the temporary table: those of a group between the number of its line and what only an import has. An
/// invalid line has no identity.
fn table_columns() -> impl Iterator<Item = (&'static str, Type)> {
    let own = [("parent_name", Type::TEXT), ("given", Type::INT4), ("identity", Type::TEXT)];
    [("line", Type::INT8)].into_iter().chain(named_columns()).chain(own)
}

fn create_table() -> String {
    let columns = joined(table_columns().map(|(name, column_type)| format!("{name} {column_type}")));
    format!("create temporary table customer_group_import ({columns}) on commit drop")
}

/// The columns of an invalid group: its id, its name, and null for the others.
fn only(id: GroupId, name: Option<&Name>) -> Vec<Value<'_>> {
    let mut columns: Vec<Value<'_>> = vec![Box::new(id.uuid()), Box::new(None::<SystemTime>)];
    columns.extend(Field::EDITABLE.map(|field| -> Value<'_> {
        match field {
            Field::ParentId => Box::new(None::<Uuid>),
            Field::IsGroup => Box::new(None::<bool>),
            Field::CustomerGroupName => Box::new(name.map(Name::as_str)),
            Field::Text(_) => Box::new(None::<&str>),
        }
    }));
    columns
}

impl Import {
    /// Adds lines, in the order of the file.
    pub async fn add(&mut self, lines: Vec<ImportLine>) -> Result<(), StartupError> {
        for ImportLine { number, group } in lines {
            match group {
                ImportGroup::Valid { group, parent_name, given, identity } => {
                    let columns = values(&group).map_err(|error| StartupError::Other(error.to_string()))?;
                    self.write(number, columns, parent_name.as_ref(), given, Some(identity)).await?;
                }
                // Other lines may name it as their parent.
                ImportGroup::Invalid { problem, id, name } => {
                    self.problems.add(number, format!("line {number}: {problem}"));
                    let columns = only(id, name.as_ref());
                    self.write(number, columns, None, GivenFields::default(), None).await?;
                }
            }
        }
        Ok(())
    }

    async fn write(
        &mut self,
        line: i64,
        columns: Vec<Value<'_>>,
        parent_name: Option<&Name>,
        GivenFields(given): GivenFields,
        identity: Option<Identity>,
    ) -> Result<(), StartupError> {
        let parent_name = parent_name.map(Name::as_str);
        let mut row: Vec<&(dyn ToSql + Sync)> = vec![&line];
        row.extend(borrowed(&columns));
        let identity = identity.map(Identity::as_str);
        row.extend([&parent_name as &(dyn ToSql + Sync), &given, &identity]);
        Ok(self.rows.as_mut().write(&row).await?)
    }

    /// Plans the changes and checks them, against each other and against the stored groups. Returns the problems if there
    /// are any. With `locks`, other sessions cannot change the groups in the file until the import ends.
    pub async fn check(mut self, locks: bool) -> Result<Result<SoundImport, Report>, StartupError> {
        self.rows.as_mut().finish().await?;
        let Self { connection, mode, mut problems, .. } = self;
        connection.batch_execute("analyze customer_group_import").await?;
        let within = match mode {
            ImportMode::Create => None,
            ImportMode::Update(within) => {
                if locks {
                    connection.execute("select pg_advisory_xact_lock($1)", &[&MOVE_LOCK]).await?;
                }
                if let Some(within) = within {
                    within::find(&connection, within, &mut problems).await?;
                }
                matches::find(&connection, within, &mut problems).await?;
                if locks {
                    connection.batch_execute(matches::LOCK).await?;
                }
                within
            }
        };
        names::resolve(&connection, &mut problems).await?;
        let plan = plan::make(&connection, within).await?;
        checks::run(&connection, mode, &plan, &mut problems).await?;
        if let Some(within) = within {
            within::check(&connection, within, &mut problems).await?;
        }
        Ok(if problems.is_empty() { Ok(SoundImport { connection, plan }) } else { Err(problems) })
    }
}

impl SoundImport {
    /// Stores the changes. On an error nothing is stored, unless the connection broke while PostgreSQL committed.
    pub async fn store(self) -> Result<(), StartupError> {
        let Self { connection, plan } = self;
        connection.batch_execute(LOOK_UP_BY_INDEX).await?;
        let conflicts = [SqlState::FOREIGN_KEY_VIOLATION, SqlState::UNIQUE_VIOLATION];
        for sql in plan::statements(&plan) {
            match connection.execute(&sql, &[]).await {
                Err(error) if error.code().is_some_and(|state| conflicts.contains(state)) => {
                    return Err(StartupError::Outrun(pg_message(&error)));
                }
                changed => changed?,
            };
        }
        Ok(connection.batch_execute("commit").await?)
    }
}
