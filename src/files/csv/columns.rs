//! The columns of CSV files.

use crate::domain::{Field, TextField, excerpt, field};
use crate::files::columns::own_columns;
use crate::files::erpnext::{self, ErpnextColumn};
use crate::files::{self, Parents, column_names};

/// The content of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Own(files::Column),
    Erpnext(ErpnextColumn),
    /// A column without a name, which must have no values either.
    Unnamed,
}

const NAME: Column = Column::Own(files::Column::Field(Field::CustomerGroupName));

/// The columns of a file, in its order.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) all: Vec<Column>,
    pub(super) parents: Parents,
    /// The names of the columns that are not imported.
    pub(super) ignored: Vec<String>,
}

/// Finds a column by its name. Names of this service are exact: `id` is an id, and ERPNext's `ID` is a name.
pub(super) fn find(name: &str) -> Option<Column> {
    let own = own_columns().find(|(known, _)| *known == name).map(|(_, column)| column);
    let own = own.or_else(|| erpnext::field_of(name).map(files::Column::Field));
    own.map(Column::Own).or_else(|| erpnext::column(name).map(Column::Erpnext))
}

impl Columns {
    /// Parses a header. Reports every problem.
    pub(super) fn parse(header: &[String]) -> Result<Self, String> {
        let (mut problems, mut all, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
        for name in header.iter().map(|name| name.trim()) {
            let column = if name.is_empty() { Some(Column::Unnamed) } else { find(name) };
            match column {
                None => problems.push(format!("there is no column {}", excerpt(name))),
                Some(column) if column.is_value() && all.contains(&column) => {
                    problems.push(format!("the column {} is given twice; give it once", excerpt(name)));
                }
                Some(column) => {
                    all.push(column);
                    if column.is_ignored() {
                        ignored.push(name.to_owned());
                    }
                }
            }
        }
        // ERPNext's reports may have a group's name only as its key.
        let parent = Column::Own(files::Column::Field(Field::Text(TextField::ParentCustomerGroup)));
        let has_key = all.contains(&Column::Erpnext(ErpnextColumn::Name)) && all.contains(&parent);
        if !all.contains(&NAME) && !has_key {
            problems.push(format!("the column {} is missing", field::CUSTOMER_GROUP_NAME));
        }
        if !problems.is_empty() {
            let problems = problems.join("; ");
            return Err(format!("{problems}; the columns are {}, or the labels of ERPNext", column_names()));
        }
        let names_ids = |column: &Column| {
            matches!(column, Column::Own(files::Column::Id | files::Column::Field(Field::ParentId)))
        };
        let parents = if all.iter().any(names_ids) { Parents::ById } else { Parents::ByName };
        Ok(Self { all, parents, ignored })
    }
}

impl Column {
    /// Whether a file can have only one such column.
    fn is_value(self) -> bool {
        match self {
            Self::Own(_) | Self::Erpnext(ErpnextColumn::Name) => true,
            Self::Erpnext(ErpnextColumn::Standard | ErpnextColumn::OfRow) | Self::Unnamed => false,
        }
    }

    fn is_ignored(self) -> bool {
        match self {
            Self::Erpnext(ErpnextColumn::Standard | ErpnextColumn::OfRow) => true,
            Self::Own(_) | Self::Erpnext(ErpnextColumn::Name) | Self::Unnamed => false,
        }
    }

    /// Whether a value in the column belongs to the group of the row.
    pub(super) fn is_of_group(self) -> bool {
        match self {
            Self::Own(_) | Self::Erpnext(ErpnextColumn::Name | ErpnextColumn::Standard) | Self::Unnamed => {
                true
            }
            Self::Erpnext(ErpnextColumn::OfRow) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(header: &str) -> Result<Columns, String> {
        Columns::parse(&header.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_header_with_an_id_or_a_parent_id_names_parents_by_id() {
        for (header, parents) in [
            ("customer_group_name,parent_id", Parents::ById),
            ("id,customer_group_name,parent_customer_group", Parents::ById),
            ("parent_customer_group,customer_group_name", Parents::ByName),
            ("ID,Customer Group Name,Parent Customer Group,Is Group,lft,rgt", Parents::ByName),
        ] {
            assert_eq!(columns(header).unwrap().parents, parents, "{header}");
        }
    }

    #[test]
    fn labels_are_known_in_four_languages_and_in_any_case() {
        for header in [
            "ID,Customer Group Name,Parent Customer Group,Is Group,Default Price List,Default Payment Terms Template",
            "ID,Kundengruppenname,Übergeordnete Kundengruppe,Ist Gruppe,Standardpreisliste,ERSTELLT VON",
            "ID,Nom du Groupe Client,Groupe Client Parent,Est un groupe,Liste des prix par défaut,Créé par",
            "ID,Nombre de la categoría de cliente,Categoría principal de cliente,Es un grupo,Creado por,lft",
        ] {
            let found = columns(header).unwrap();
            assert_eq!(found.all[0], Column::Erpnext(ErpnextColumn::Name), "{header}");
            assert_eq!(found.all[1], NAME, "{header}");
            assert_eq!(found.parents, Parents::ByName, "{header}");
        }
    }

    #[test]
    fn columns_that_only_erpnext_has_are_ignored() {
        let found =
            columns("Sr,ID,Parent Customer Group,modified,Left,Company (Accounts),ID (Accounts)").unwrap();
        assert_eq!(found.ignored, ["Sr", "modified", "Left", "Company (Accounts)", "ID (Accounts)"]);
    }

    #[test]
    fn every_problem_of_a_header_is_reported_with_the_known_columns() {
        let problem = columns("id,colour,Is Group,is_group").unwrap_err();
        for part in [
            "there is no column \"colour\"",
            "the column \"is_group\" is given twice",
            "the column customer_group_name is missing",
            "the columns are id, created_at, updated_at, parent_id, is_group, customer_group_name, ",
        ] {
            assert!(problem.contains(part), "{problem}");
        }
    }
}
