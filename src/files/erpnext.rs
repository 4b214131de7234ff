//! ERPNext's names of columns and fields: labels in English, German, French and Spanish, and what only ERPNext has.

use crate::domain::{Field, FieldInput, GroupInput, TextField, Violation, ViolationKind, excerpt, field};

/// The key of a document in ERPNext. That of a customer group is its name.
pub(super) const NAME: &str = "name";

/// Labels of the fields that are imported, and their fields.
const LABELS: [(Field, &[&str]); 5] = [
    (
        Field::CustomerGroupName,
        &[
            "Customer Group Name",
            "Kundengruppenname",
            "Name der Kundengruppe",
            "Nom du Groupe Client",
            "Nom du Groupe de Clients",
            "Nombre de la categoría de cliente",
            "Nombre del Grupo de Clientes",
        ],
    ),
    (
        Field::Text(TextField::ParentCustomerGroup),
        &[
            "Parent Customer Group",
            "Übergeordnete Kundengruppe",
            "Groupe Client Parent",
            "Groupe de Clients Parent",
            "Categoría principal de cliente",
            "Grupo de Clientes Padre",
        ],
    ),
    (Field::IsGroup, &["Is Group", "Ist Gruppe", "Est un Groupe", "Est Groupe", "Es un grupo", "Es Grupo"]),
    (
        Field::Text(TextField::DefaultPriceList),
        &[
            "Default Price List",
            "Standardpreisliste",
            "Liste des Prix par Défaut",
            "Liste de Prix par Défaut",
            "Lista de precios por defecto",
            "Lista de precios predeterminada",
        ],
    ),
    (
        Field::Text(TextField::PaymentTerms),
        &[
            "Default Payment Terms Template",
            "Standardvorlage für Zahlungsbedingungen",
            "Vorlage für Standardzahlungsbedingungen",
            "Modèle de termes de paiement par défaut",
            "Modèle de Conditions de Paiement par Défaut",
            "Plantilla de Términos de Pago Predeterminados",
            "Plantilla de términos de pago predeterminada",
        ],
    ),
];

/// Labels of the key.
const NAME_LABELS: [&str; 2] = ["ID", "Kennung"];

/// Labels of the number of a row in a report.
const SERIAL_NUMBERS: [&str; 5] = ["Sr", "Sr No", "Pos", "Nr", "No."];

/// Fields that this service has no place for, in the objects of ERPNext's API and as columns.
const STANDARD_FIELDS: [&str; 17] = [
    "owner",
    "creation",
    "modified",
    "modified_by",
    "docstatus",
    "idx",
    "doctype",
    "lft",
    "rgt",
    "old_parent",
    "_user_tags",
    "_comments",
    "_assign",
    "_liked_by",
    "_seen",
    "accounts",
    "credit_limits",
];

/// Labels of these fields.
const STANDARD_LABELS: [&str; 44] = [
    "Created By",
    "Created On",
    "Last Updated By",
    "Last Updated On",
    "Last Modified By",
    "Last Modified On",
    "Modified By",
    "Document Status",
    "Index",
    "Left",
    "Right",
    "Old Parent",
    "Tags",
    "Comments",
    "Assigned To",
    "Liked By",
    "Erstellt von",
    "Erstellt am",
    "Zuletzt aktualisiert von",
    "Zuletzt aktualisiert am",
    "Letzte Aktualisierung von",
    "Letzte Aktualisierung am",
    "Zuletzt geändert von",
    "Zuletzt geändert am",
    "Geändert von",
    "Dokumentenstatus",
    "Schlagworte",
    "Kommentare",
    "Zugewiesen zu",
    "Créé par",
    "Créé le",
    "Dernière mise à jour par",
    "Dernière mise à jour le",
    "Dernière Modification Par",
    "Dernière Modification le",
    "Statut du document",
    "Creado por",
    "Creado el",
    "Última actualización por",
    "Última actualización el",
    "Última actualización",
    "Modificado por",
    "Estado del documento",
    "Índice",
];

/// The meaning of a column that has no name of this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErpnextColumn {
    /// The key of a group.
    Name,
    /// Belongs to the group, and is ignored.
    Standard,
    /// Belongs to the row: its number, or a row of a child table. It is ignored, also where the row has nothing else.
    OfRow,
}

/// Finds an imported field by its label, in upper or lower case.
pub(super) fn field_of(label: &str) -> Option<Field> {
    let label = label.to_lowercase();
    let is_label = |labels: &[&str]| labels.iter().any(|known| known.to_lowercase() == label);
    LABELS.iter().find(|(_, labels)| is_label(labels)).map(|(field, _)| *field)
}

/// Finds another column of an ERPNext file by its label or field, in upper or lower case.
pub(super) fn column(name: &str) -> Option<ErpnextColumn> {
    let name = name.to_lowercase();
    let is_one_of = |names: &[&str]| names.iter().any(|known| known.to_lowercase() == name);
    // A column of a child table has the label of the table in parentheses.
    let is_of_child = name.split_once(" (").is_some_and(|(_, table)| table.ends_with(')'));
    if name == NAME || is_one_of(&NAME_LABELS) {
        Some(ErpnextColumn::Name)
    } else if is_of_child || is_one_of(&SERIAL_NUMBERS) {
        Some(ErpnextColumn::OfRow)
    } else if is_one_of(&STANDARD_LABELS) || is_one_of(&STANDARD_FIELDS) {
        Some(ErpnextColumn::Standard)
    } else {
        None
    }
}

/// Whether a field of an object is one of ERPNext that is ignored.
pub(super) fn is_standard_field(name: &str) -> bool {
    STANDARD_FIELDS.contains(&name)
}

/// Takes the name of a group from its key if it has no other. Otherwise both must be equal, because children refer to
/// their parent by the key. If the column had an id of this service, that id would be lost.
pub(super) fn take_name(key: FieldInput<String>, fields: &mut GroupInput) {
    let FieldInput::Value(key) = key else { return };
    match &fields.customer_group_name {
        FieldInput::Absent => fields.customer_group_name = FieldInput::Value(key),
        FieldInput::Value(given) if key.trim() != given.trim() => {
            let (key, given) = (excerpt(&key), excerpt(given));
            let description = format!(
                "ERPNext's ID is {key} and customer_group_name {given}; give both the name, or leave ID out"
            );
            let violation = Violation::new(field::CUSTOMER_GROUP_NAME, ViolationKind::Invalid, description);
            fields.violations.push(violation);
        }
        FieldInput::Null | FieldInput::Value(_) => {}
    }
}
