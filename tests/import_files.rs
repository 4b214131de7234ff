//! The `import` command on the files of spreadsheets and of ERPNext.

use crate::import::{exported, imported, pairs, refused, run, tree};
use crate::support::{Api, Calls, Program, TestDatabase, named};
use crate::verify::assert_consistent;

/// A group of a populated database.
const OTHER: &str = "Other";

/// An empty database, and one with a group that no file names.
async fn databases() -> [TestDatabase; 2] {
    let api = Api::start().await;
    api.client().await.create(named(OTHER)).await.unwrap();
    [TestDatabase::create().await, api.database.clone()]
}

/// The tree of a database without the group that it had before.
async fn imported_tree(database: &TestDatabase) -> Vec<(String, Option<String>)> {
    let mut tree = tree(database).await;
    tree.retain(|(name, _)| name != OTHER);
    tree
}

/// Imports a file into an empty and into a populated database, and compares the trees.
async fn yields(format: &str, file: impl AsRef<[u8]>, expected: &[(&str, Option<&str>)]) {
    for database in databases().await {
        imported(&database, format, file.as_ref());
        let shown = String::from_utf8_lossy(file.as_ref()).into_owned();
        assert_eq!(imported_tree(&database).await, pairs(expected), "{shown}");
        assert_consistent(&database);
    }
}

const TOP_AND_LEAF: [(&str, Option<&str>); 2] = [("Top", None), ("Leaf", Some("Top"))];

/// The values of `is_group` in the order of creation.
fn kinds(database: &TestDatabase) -> Vec<String> {
    let file = exported(database, "csv");
    file.lines().skip(1).map(|line| line.split(',').nth(4).unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn booleans_of_any_spreadsheet_are_accepted_in_any_case_and_with_spaces() {
    let database = TestDatabase::create().await;
    let words = [
        ("TRUE", true),
        ("False", false),
        ("Yes", true),
        (" no ", false),
        ("1", true),
        ("0", false),
        ("WAHR", true),
        ("FAUX", false),
        ("Verdadero", true),
        ("SÍ", true),
    ];
    let rows: Vec<String> = words.iter().map(|(word, _)| format!("{word},name\n")).collect();
    imported(&database, "csv", format!("is_group,customer_group_name\n{}", rows.concat()));
    assert_eq!(kinds(&database), words.map(|(_, expected)| expected.to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_and_columns_without_values_are_skipped() {
    for file in [
        "customer_group_name,parent_customer_group,is_group\r\nTop,,1\r\nLeaf,Top,0\r\n,,\r\n , ,\r\n",
        "customer_group_name,parent_customer_group,is_group,,\r\nTop,,1,,\r\n\"\",\"\",\"\",,\r\nLeaf,Top,0,,\r\n",
        "customer_group_name,parent_customer_group\nTop,,,\nLeaf,Top,,\n,,,\n",
    ] {
        yields("csv", file, &TOP_AND_LEAF).await;
    }
    let database = TestDatabase::create().await;
    let problems = refused(&database, "csv", "customer_group_name,,\na,,x\n");
    assert_eq!(
        problems,
        [(2, "column 3 has the value \"x\" but no name; name it in the header, or empty it".to_owned())]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delimiters_are_recognised_from_the_header_or_given() {
    let file = "customer_group_name;parent_customer_group;is_group\r\nTop;;1\r\nLeaf;Top;0\r\n";
    for file in
        [file.to_owned(), file.replace(';', "\t"), format!("sep=;\r\n{file}"), format!("\"sep=;\"\n{file}")]
    {
        yields("csv", file, &TOP_AND_LEAF).await;
    }
    yields(
        "csv",
        "sep=,\r\ncustomer_group_name,parent_customer_group\r\nTop,\r\nLeaf,Top\r\n",
        &TOP_AND_LEAF,
    )
    .await;

    let database = TestDatabase::create().await;
    let with = |delimiter: &str, file: &str| {
        let arguments = ["import", "-", "--format", "csv", "--delimiter", delimiter];
        run(&arguments, &database, file.as_bytes())
    };
    let output = with("|", "customer_group_name|payment_terms\na|b, c; d\n");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = with(",", file);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.starts_with("line 1: this looks like a semicolon-separated file; give --delimiter ';'"),
        "{said}"
    );
    assert_eq!(with("x", file).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn utf_16_with_a_byte_order_mark_is_read() {
    let text = "\u{feff}customer_group_name\tparent_customer_group\r\nGrößte 🌳\t\r\nLeaf\tGrößte 🌳\r\n";
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let file: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
        yields("csv", file, &[("Größte 🌳", None), ("Leaf", Some("Größte 🌳"))]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_numbers_are_those_of_any_line_ends() {
    let database = TestDatabase::create().await;
    for end in ["\r", "\n", "\r\n"] {
        let file = ["customer_group_name,is_group", "Top,1", "", "\"Le\naf\",1", "Leaf,x", ""].join(end);
        let lines: Vec<_> = refused(&database, "csv", file).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [4, 6], "{end:?}");
        let file = [r#"{"customer_group_name":"Top"}"#, "", "nonsense", ""].join(end);
        let lines: Vec<_> = refused(&database, "ndjson", file).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [3], "{end:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_that_only_looks_like_a_group_is_reported_as_such() {
    let api = Api::start().await;
    api.client().await.create(named("Cafe\u{301} Bar")).await.unwrap();
    let file = "customer_group_name,parent_customer_group\nTop\u{200b},\nLeaf,Top\nother,Café\u{a0}Bar\nlost,Nowhere\n";
    let problems = refused(&api.database, "csv", file);
    let [(3, invisible), (4, composed), (5, unknown)] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(
        invisible.contains(
            "the name \"Top\\u{200b}\" differs from it only by invisible or composed characters (U+200B"
        ),
        "{invisible}"
    );
    assert!(composed.contains("(U+0065 instead of U+00E9 at character 4)"), "{composed}");
    assert!(
        unknown.ends_with("is not the name of a group in the file or in the database; correct it"),
        "{unknown}"
    );
}

/// ERPNext's usual groups.
const ERPNEXT: [(&str, Option<&str>); 3] = [
    ("All Customer Groups", None),
    ("Commercial", Some("All Customer Groups")),
    ("Individual", Some("All Customer Groups")),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_export_of_erpnext_yields_its_tree() {
    let report = "\"Sr\",\"ID\",\"Customer Group Name\",\"Parent Customer Group\",\"Is Group\",\"Created By\"\r\n\
        1,\"All Customer Groups\",\"All Customer Groups\",\"\",1,\"user@example.com\"\r\n\
        2,\"Commercial\",\"Commercial\",\"All Customer Groups\",0,\"user@example.com\"\r\n\
        3,\"Individual\",\"Individual\",\"All Customer Groups\",0,\"user@example.com\"\r\n";
    let by_field = "name,creation,modified,modified_by,owner,docstatus,idx,parent_customer_group,is_group,lft,rgt,old_parent\n\
        All Customer Groups,2024-01-01,2024-01-01,a,a,0,0,,1,1,6,\n\
        Commercial,2024-01-01,2024-01-01,a,a,0,0,All Customer Groups,0,2,3,All Customer Groups\n\
        Individual,2024-01-01,2024-01-01,a,a,0,0,All Customer Groups,0,4,5,All Customer Groups\n";
    let select_all = "\"ID\",\"Customer Group Name\",\"Parent Customer Group\",\"Is Group\",\"ID (Accounts)\",\"Company (Accounts)\"\r\n\
        \"All Customer Groups\",\"All Customer Groups\",\"\",1,\"\",\"\"\r\n\
        \"Commercial\",\"Commercial\",\"All Customer Groups\",0,\"a1\",\"Acme\"\r\n\
        \"\",\"\",\"\",\"\",\"a2\",\"Beta\"\r\n\
        \"Individual\",\"Individual\",\"All Customer Groups\",0,\"a3\",\"Acme\"\r\n\
        \"Individual\",\"Individual\",\"All Customer Groups\",0,\"a4\",\"Beta\"\r\n";
    let data_export = "\"Data Import Template\"\r\n\"Table:\",\"Customer Group\"\r\n\"\"\r\n\"\"\r\n\"Notes:\"\r\n\
        \"Please do not change the template headings.\"\r\n\"First data column must be blank.\"\r\n\"\"\r\n\
        \"DocType:\",\"Customer Group\",\"\",\"\",\"\",\"~\",\"Party Account\",\"accounts\"\r\n\
        \"Column Labels:\",\"ID\",\"Customer Group Name\",\"Parent Customer Group\",\"Is Group\",\"\",\"ID\",\"Company\"\r\n\
        \"Column Name:\",\"name\",\"customer_group_name\",\"parent_customer_group\",\"is_group\",\"~\",\"name\",\"company\"\r\n\
        \"Mandatory:\",\"Yes\",\"Yes\",\"No\",\"No\",\"\",\"Yes\",\"Yes\"\r\n\
        \"Type:\",\"Data\",\"Data\",\"Link\",\"Check\",\"\",\"Data\",\"Link\"\r\n\
        \"Info:\",\"\",\"\",\"Valid Customer Group\",\"0 or 1\",\"\",\"\",\"Valid Company\"\r\n\
        \"Start entering data below this line\"\r\n\
        \"\",\"\"\"All Customer Groups\"\"\",\"All Customer Groups\",\"\",1,\"\",\"\",\"\"\r\n\
        \"\",\"\"\"Commercial\"\"\",\"Commercial\",\"All Customer Groups\",0,\"\",\"\"\"a1\"\"\",\"Acme\"\r\n\
        \"\",\"\",\"\",\"\",\"\",\"\",\"\"\"a2\"\"\",\"Beta\"\r\n\
        \"\",\"\"\"Individual\"\"\",\"Individual\",\"All Customer Groups\",0,\"\",\"\",\"\"\r\n";
    let (_, without_notes) = data_export.split_once("headings.\"\r\n").unwrap();
    let without_notes = without_notes.split_once("\r\n").unwrap().1;
    let german = "ID,Kundengruppenname,Übergeordnete Kundengruppe,Ist Gruppe,Standardpreisliste,Erstellt von\n\
        All Customer Groups,All Customer Groups,,Ja,,a\nCommercial,Commercial,All Customer Groups,Nein,,a\n\
        Individual,Individual,All Customer Groups,Nein,,a\n";
    let french = german
        .replace("Kundengruppenname", "Nom du Groupe Client")
        .replace("Übergeordnete Kundengruppe", "Groupe Client Parent")
        .replace("Ist Gruppe", "Est un Groupe");
    let spanish = german
        .replace("Kundengruppenname", "Nombre de la categoría de cliente")
        .replace("Übergeordnete Kundengruppe", "Categoría principal de cliente")
        .replace("Ist Gruppe", "Es un grupo")
        .replace("Erstellt von", "Creado por");
    for file in [report, by_field, select_all, data_export, without_notes, german, &french, &spanish] {
        yields("csv", file, &ERPNEXT).await;
    }
    let object = |name: &str, parent: &str, is_group: u8| {
        format!(
            r#"{{"name":"{name}","owner":"a","idx":0,"docstatus":0,"customer_group_name":"{name}","parent_customer_group":"{parent}","is_group":{is_group},"default_price_list":null,"lft":1,"accounts":[{{"company":"}}]"}}]}}"#
        )
    };
    let root = "All Customer Groups";
    let objects = [object(root, "", 1), object("Commercial", root, 0), object("Individual", root, 0)];
    for file in [
        objects.join("\n"),
        format!("[{}]", objects.join(",")),
        format!("{{\n  \"data\": [\n{}\n]}}\n", objects.join(",\n")),
        format!("{{\"data\":[{}],\"has_more\":false}}", objects.join(",\r\n")),
    ] {
        yields("ndjson", file, &ERPNEXT).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_columns_that_are_not_imported_are_named_once() {
    let database = TestDatabase::create().await;
    let file = "Sr,ID,Customer Group Name,lft,Company (Accounts)\n1,a,a,1,x\n2,b,b,2,y\n";
    let output = run(&["import", "-", "--format", "csv"], &database, file.as_bytes());
    assert_eq!(Program::messages(&output), "not imported: Sr, lft, Company (Accounts)\n");
    let objects = "{\"name\":\"c\",\"customer_group_name\":\"c\",\"owner\":\"x\"}\n\
                   {\"name\":\"d\",\"customer_group_name\":\"d\",\"idx\":0,\"owner\":\"x\"}\n";
    let output = run(&["import", "-", "--format", "ndjson"], &database, objects.as_bytes());
    assert_eq!(Program::messages(&output), "not imported: idx, owner\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incomplete_list_is_refused() {
    let database = TestDatabase::create().await;
    let object = r#"{"customer_group_name":"a"}"#;
    for (file, line, expected) in [
        (format!("{{\"data\":[{object}],\n\"has_more\":true}}"), 1, "the file has only a part of the list"),
        (format!("[\n{object}\n"), 3, "a comma or the end of the list is missing"),
        (format!("[{object},]"), 1, "something else than an object"),
        (format!("[{object},\n{{\"customer"), 2, "the file ends within an object"),
        (format!("[{object}]\n[]"), 1, "not valid JSON after the list"),
        ("[1]".to_owned(), 1, "something else than an object"),
        ("[{\"name\":\"a\"}]".to_owned(), 1, "customer_group_name is required"),
    ] {
        let problems = refused(&database, "ndjson", &file);
        assert!(
            problems.len() == 1 && problems[0].0 == line && problems[0].1.contains(expected),
            "{file}: {problems:?}"
        );
    }
    imported(&database, "ndjson", "[]");
}
