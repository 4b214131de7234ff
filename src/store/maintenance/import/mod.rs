//! Imports of customer groups from a file: all of them, or none.
//!
//! The lines are copied into a temporary table, checked there by statements over all of them, and stored by one
//! statement.

mod checks;
mod names;

use std::pin::Pin;
use std::time::SystemTime;

use deadpool_postgres::Object;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::domain::{Field, GroupId, ImportGroup, ImportLine, Name, Report};
use crate::store::Store;
use crate::store::connect::CircuitBreaker;
use crate::store::errors::{StartupError, pg_message};
use crate::store::groups::insert;
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
    rows: Pin<Box<BinaryCopyInWriter>>,
    groups: u64,
    problems: Report,
}

/// A checked import without problems. If it is dropped before its end, nothing is changed.
pub struct SoundImport {
    connection: Object,
    /// The number of groups.
    pub groups: u64,
}

impl Store {
    /// Begins an import, on a connection of its own.
    pub async fn import(&self) -> Result<Import, StartupError> {
        let pool = self.database.pool(&self.options, 1, &CircuitBreaker::default())?;
        let connection = pool.get_anyway().await?;
        connection.batch_execute(BEGIN).await?;
        connection.batch_execute(&create_table()).await?;
        let copy = connection.copy_in(COPY).await?;
        let types: Vec<Type> = table_columns().map(|(_, column_type)| column_type).collect();
        let rows = Box::pin(BinaryCopyInWriter::new(copy, &types));
        Ok(Import { connection, rows, groups: 0, problems: Report::new(LISTED) })
    }
}

/// The columns of the temporary table: those of a group between `line` and `parent_name`.
fn table_columns() -> impl Iterator<Item = (&'static str, Type)> {
    [("line", Type::INT8)].into_iter().chain(named_columns()).chain([("parent_name", Type::TEXT)])
}

fn create_table() -> String {
    let columns = joined(table_columns().map(|(name, column_type)| format!("{name} {column_type}")));
    format!("create temporary table customer_group_import ({columns}) on commit drop")
}

/// Stores the lines. A parent may come after its children, because the foreign key is checked at the end of the
/// statement. No concurrent move can close a cycle with the new groups, because it does not see them yet.
fn insert_all() -> String {
    let columns = joined(named_columns().map(|(name, _)| name.to_owned()));
    insert(&format!("select {columns} from customer_group_import"))
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
                ImportGroup::Valid { group, parent_name } => {
                    self.groups += 1;
                    let columns = values(&group).map_err(|error| StartupError::Other(error.to_string()))?;
                    self.write(number, columns, parent_name.as_ref()).await?;
                }
                // Other lines may name it as their parent.
                ImportGroup::Invalid { problem, id, name } => {
                    self.problems.add(number, format!("line {number}: {problem}"));
                    self.write(number, only(id, name.as_ref()), None).await?;
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
    ) -> Result<(), StartupError> {
        let parent_name = parent_name.map(Name::as_str);
        let mut row: Vec<&(dyn ToSql + Sync)> = vec![&line];
        row.extend(borrowed(&columns));
        row.push(&parent_name);
        Ok(self.rows.as_mut().write(&row).await?)
    }

    /// Checks all lines, against each other and against the stored groups. Returns the problems if there are any.
    pub async fn check(mut self) -> Result<Result<SoundImport, Report>, StartupError> {
        self.rows.as_mut().finish().await?;
        self.connection.batch_execute("analyze customer_group_import").await?;
        names::resolve(&self.connection, &mut self.problems).await?;
        checks::run(&self.connection, &mut self.problems).await?;
        let Self { connection, groups, problems, .. } = self;
        Ok(if problems.is_empty() { Ok(SoundImport { connection, groups }) } else { Err(problems) })
    }
}

impl SoundImport {
    /// Stores the groups. On an error nothing is stored, unless the connection broke while PostgreSQL committed.
    pub async fn store(self) -> Result<(), StartupError> {
        self.connection.batch_execute(LOOK_UP_BY_INDEX).await?;
        let conflicts = [SqlState::FOREIGN_KEY_VIOLATION, SqlState::UNIQUE_VIOLATION];
        match self.connection.execute(&insert_all(), &[]).await {
            Err(error) if error.code().is_some_and(|state| conflicts.contains(state)) => {
                return Err(StartupError::Outrun(pg_message(&error)));
            }
            inserted => inserted?,
        };
        Ok(self.connection.batch_execute("commit").await?)
    }
}
