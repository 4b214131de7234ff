//! The columns of CSV files.

use super::Parents;
use crate::domain::{Field, TextField, excerpt, field};

/// The content of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Id,
    CreatedAt,
    UpdatedAt,
    Field(Field),
    /// The key of a group in ERPNext, which is its name.
    ErpnextName,
    /// Positions in ERPNext's nested set, which follow from the parents.
    ErpnextOrder,
}

/// The columns that the service writes, in this order.
pub(super) fn own_columns() -> impl Iterator<Item = (&'static str, Column)> {
    let fixed = [
        (field::ID, Column::Id),
        (field::CREATED_AT, Column::CreatedAt),
        (field::UPDATED_AT, Column::UpdatedAt),
    ];
    fixed.into_iter().chain(Field::EDITABLE.map(|field| (field.name(), Column::Field(field))))
}

/// The names of the columns that the service writes, separated by commas.
pub(crate) fn column_names() -> String {
    own_columns().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}

/// Other names of columns in ERPNext's exports: labels, and fields that only ERPNext has.
const ERPNEXT_COLUMNS: [(&str, Column); 10] = [
    ("ID", Column::ErpnextName),
    ("name", Column::ErpnextName),
    ("Customer Group Name", Column::Field(Field::CustomerGroupName)),
    ("Parent Customer Group", Column::Field(Field::Text(TextField::ParentCustomerGroup))),
    ("Is Group", Column::Field(Field::IsGroup)),
    ("Default Price List", Column::Field(Field::Text(TextField::DefaultPriceList))),
    ("Default Payment Terms Template", Column::Field(Field::Text(TextField::PaymentTerms))),
    ("lft", Column::ErpnextOrder),
    ("rgt", Column::ErpnextOrder),
    ("old_parent", Column::ErpnextOrder),
];

/// The columns of a file, in its order.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) all: Vec<Column>,
    pub(super) parents: Parents,
}

impl Columns {
    /// Parses a header. Reports every problem.
    pub(super) fn parse(header: &[String]) -> Result<Self, String> {
        let mut problems = Vec::new();
        let mut all = Vec::new();
        for name in header.iter().map(|name| name.trim()) {
            match own_columns().chain(ERPNEXT_COLUMNS).find(|(known, _)| *known == name) {
                None => problems.push(format!("there is no column {}", excerpt(name))),
                Some((_, column)) if column != Column::ErpnextOrder && all.contains(&column) => {
                    problems.push(format!("the column {} is given twice; give it once", excerpt(name)));
                }
                Some((_, column)) => all.push(column),
            }
        }
        if !all.contains(&Column::Field(Field::CustomerGroupName)) {
            problems.push(format!("the column {} is missing", field::CUSTOMER_GROUP_NAME));
        }
        if !problems.is_empty() {
            let problems = problems.join("; ");
            return Err(format!("{problems}; the columns are {}, or the labels of ERPNext", column_names()));
        }
        let has_ids = all.contains(&Column::Id) || all.contains(&Column::Field(Field::ParentId));
        Ok(Self { all, parents: if has_ids { Parents::ById } else { Parents::ByName } })
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
