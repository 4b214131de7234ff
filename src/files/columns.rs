//! Which columns a CSV file has.

use crate::domain::{excerpt, field};

use super::Parents;

/// What is in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Id,
    CreatedAt,
    UpdatedAt,
    ParentId,
    IsGroup,
    CustomerGroupName,
    ParentCustomerGroup,
    DefaultPriceList,
    PaymentTerms,
    /// What ERPNext calls a group by, which is its name.
    ErpnextName,
    /// The places in ERPNext's own order, which follow from the parents.
    ErpnextOrder,
}

/// The columns of a file of this service, in the order in which they are written.
pub(super) const OWN: [(&str, Column); 9] = [
    (field::ID, Column::Id),
    (field::CREATED_AT, Column::CreatedAt),
    (field::UPDATED_AT, Column::UpdatedAt),
    (field::PARENT_ID, Column::ParentId),
    (field::IS_GROUP, Column::IsGroup),
    (field::CUSTOMER_GROUP_NAME, Column::CustomerGroupName),
    (field::PARENT_CUSTOMER_GROUP, Column::ParentCustomerGroup),
    (field::DEFAULT_PRICE_LIST, Column::DefaultPriceList),
    (field::PAYMENT_TERMS, Column::PaymentTerms),
];

/// Other names of columns in ERPNext's exports: the labels, and the fields that a group has only there.
const OF_ERPNEXT: [(&str, Column); 10] = [
    ("ID", Column::ErpnextName),
    ("name", Column::ErpnextName),
    ("Customer Group Name", Column::CustomerGroupName),
    ("Parent Customer Group", Column::ParentCustomerGroup),
    ("Is Group", Column::IsGroup),
    ("Default Price List", Column::DefaultPriceList),
    ("Default Payment Terms Template", Column::PaymentTerms),
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
    /// Reads a header.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub(super) fn parse(header: &[String]) -> Result<Self, String> {
        let mut problems = Vec::new();
        let mut all = Vec::new();
        for name in header.iter().map(|name| name.trim()) {
            match OWN.iter().chain(&OF_ERPNEXT).find(|(known, _)| *known == name) {
                None => problems.push(format!("there is no column {}", excerpt(name))),
                Some((_, column)) if *column != Column::ErpnextOrder && all.contains(column) => {
                    problems.push(format!("the column {} is given twice; give it once", excerpt(name)));
                }
                Some((_, column)) => all.push(*column),
            }
        }
        if !all.contains(&Column::CustomerGroupName) {
            problems.push(format!("the column {} is missing", field::CUSTOMER_GROUP_NAME));
        }
        if !problems.is_empty() {
            let known = OWN.map(|(name, _)| name).join(", ");
            return Err(format!(
                "{}; the columns are {known}, or as ERPNext labels them",
                problems.join("; ")
            ));
        }
        let has_ids = all.contains(&Column::Id) || all.contains(&Column::ParentId);
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
    fn all_that_is_wrong_with_a_header_is_told_at_once_with_the_columns_that_there_are() {
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
