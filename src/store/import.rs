//! Customer groups from a file: all of them, or none.
//!
//! They are copied into a temporary table, checked there by statements over all of them, and stored by one.

mod checks;
mod names;

use std::pin::Pin;
use std::time::SystemTime;

use deadpool_postgres::Object;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Values;
use super::create::insert;
use super::pool::Breaker;
use super::{OpenError, Store};
use crate::domain::{GroupId, ImportGroup, ImportLine, ImportProblems, Name, Text};

/// A statement takes as long as it takes, and so may whoever gives the lines. The checks are over whole tables, other
/// than the service's own statements.
const BEGIN: &str = "
    begin;
    set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0;
    set local enable_seqscan = on;
    set local enable_hashjoin = on;
    set local work_mem = '64MB';
    create temporary table customer_group_import (
        line bigint not null,
        id uuid not null,
        updated_at timestamptz,
        parent_id uuid,
        is_group boolean,
        customer_group_name text,
        parent_customer_group text,
        default_price_list text,
        payment_terms text,
        parent_name text
    ) on commit drop";

const COPY: &str = "copy customer_group_import from stdin (format binary)";

const COLUMNS: [Type; 10] = [
    Type::INT8,
    Type::UUID,
    Type::TIMESTAMPTZ,
    Type::UUID,
    Type::BOOL,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
];

/// The foreign key looks each parent up by a plan that is made while there may be no group yet.
const LOOK_UP_BY_INDEX: &str = "set local enable_seqscan = off";

/// A parent may come after its children, since the foreign key is checked when the statement is done. An insert closes
/// no cycle with a move at the same time, which does not see the groups yet.
const INSERT: &str = insert!(
    "select id, updated_at, parent_id, is_group, customer_group_name, parent_customer_group, default_price_list,
            payment_terms
     from customer_group_import"
);

/// An import under way. Dropped before its end, it has changed nothing.
pub struct Import {
    connection: Object,
    rows: Pin<Box<BinaryCopyInWriter>>,
    groups: u64,
    problems: ImportProblems,
}

/// An import in which nothing is wrong. Dropped before its end, it has changed nothing.
pub struct SoundImport {
    connection: Object,
    /// How many groups it has.
    pub groups: u64,
}

impl Store {
    /// Begins an import, on a connection of its own.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`].
    pub async fn import(&self) -> Result<Import, OpenError> {
        let pool = self.database.pool(&self.limits, 1, &Breaker::default())?;
        let connection = pool.get_anyway().await?;
        connection.batch_execute(BEGIN).await?;
        let copy = connection.copy_in(COPY).await?;
        let rows = Box::pin(BinaryCopyInWriter::new(copy, &COLUMNS));
        Ok(Import { connection, rows, groups: 0, problems: ImportProblems::default() })
    }
}

impl Import {
    /// Takes lines in, after those before them in the file.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`].
    pub async fn add(&mut self, lines: Vec<ImportLine>) -> Result<(), OpenError> {
        for line in lines {
            self.add_line(line).await?;
        }
        Ok(())
    }

    async fn add_line(&mut self, ImportLine { number, group }: ImportLine) -> Result<(), OpenError> {
        match group {
            ImportGroup::Valid { group, parent_name } => {
                self.groups += 1;
                self.write(&[
                    &number,
                    &group.id.uuid(),
                    &SystemTime::try_from(group.updated_at)
                        .map_err(|error| OpenError::Other(error.to_string()))?,
                    &group.parent_id.map(GroupId::uuid),
                    &group.is_group,
                    &group.customer_group_name.as_str(),
                    &group.parent_customer_group.as_ref().map(Text::as_str),
                    &group.default_price_list.as_ref().map(Text::as_str),
                    &group.payment_terms.as_ref().map(Text::as_str),
                    &parent_name.as_ref().map(Name::as_str),
                ])
                .await
            }
            // It is there for those that name it as their parent.
            ImportGroup::Invalid { problem, id, name } => {
                self.problems.add(number, problem);
                let (no_uuid, no_text) = (None::<Uuid>, None::<&str>);
                self.write(&[
                    &number,
                    &id.uuid(),
                    &None::<SystemTime>,
                    &no_uuid,
                    &None::<bool>,
                    &name.as_ref().map(Name::as_str),
                    &no_text,
                    &no_text,
                    &no_text,
                    &no_text,
                ])
                .await
            }
        }
    }

    async fn write(&mut self, row: &Values<'_>) -> Result<(), OpenError> {
        Ok(self.rows.as_mut().write(row).await?)
    }

    /// Checks all lines, against each other and against the groups that there are. Answers the problems when there are
    /// any.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`].
    pub async fn check(mut self) -> Result<Result<SoundImport, ImportProblems>, OpenError> {
        self.rows.as_mut().finish().await?;
        self.connection.batch_execute("analyze customer_group_import").await?;
        names::resolve(&self.connection, &mut self.problems).await?;
        checks::run(&self.connection, &mut self.problems).await?;
        let Self { connection, groups, problems, .. } = self;
        Ok(if problems.is_empty() { Ok(SoundImport { connection, groups }) } else { Err(problems) })
    }
}

impl SoundImport {
    /// Stores the groups.
    ///
    /// # Errors
    ///
    /// [`OpenError::Outrun`], and those of [`Store::open`]. Nothing is stored then, unless the connection broke while
    /// it was told that all is.
    pub async fn store(self) -> Result<(), OpenError> {
        self.connection.batch_execute(LOOK_UP_BY_INDEX).await?;
        let others = [SqlState::FOREIGN_KEY_VIOLATION, SqlState::UNIQUE_VIOLATION];
        match self.connection.execute(INSERT, &[]).await {
            Err(error) if error.code().is_some_and(|state| others.contains(state)) => {
                return Err(OpenError::Outrun(super::failure::said(&error)));
            }
            inserted => inserted?,
        };
        Ok(self.connection.batch_execute("commit").await?)
    }
}
