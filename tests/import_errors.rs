//! The `import` command on invalid files: every mistake is reported, and nothing is imported.

use customer_groups::testing::GroupId;

use crate::import::{count, imported, refused, run, text};
use crate::support::{Api, Calls, TestDatabase, UNKNOWN_ID, named};
use crate::verify::assert_consistent;

/// An id of the year 2100.
const FUTURE_ID: &str = "customer-group_03qcpc7p00e4hr000004hmasw9";

/// One invalid line each, and a part of the message for it.
fn wrong_lines() -> Vec<(&'static str, String, &'static str)> {
    let long = "n".repeat(256);
    let endless = "n".repeat(70_000);
    let own = [
        ("a,b", "it has 2 fields and the header 6"),
        (",,,,,,x", "it has 7 fields and the header 6"),
        (",,,yes,,", "customer_group_name is required"),
        ("nobody,,name,,,", "id \"nobody\" is not the id of a customer group"),
        (",nobody,name,,,", "parent_id \"nobody\" is not a customer group"),
        (
            &format!(",{UNKNOWN_ID},name,,,"),
            "is not a customer group; give the id of one, or null for a root",
        ),
        (&format!("{UNKNOWN_ID},{UNKNOWN_ID},name,,,"), "the group is its own parent"),
        (",,\"a\nb\",,,", "customer_group_name has the control character U+000A"),
        (",,\u{200b},,,", "customer_group_name has only invisible characters: \\u{200b}"),
        (",,\u{202e}gpj,,,", "customer_group_name has the bidirectional control U+202E"),
        (",,name,,\u{2066}a,", "parent_customer_group has the bidirectional control U+2066"),
        (&format!(",,{long},,,"), "customer_group_name has 256 characters"),
        (&format!(",,name,,{long},"), "parent_customer_group has 256 characters"),
        (",,name,x,,", "is_group is \"x\"; give true, yes or 1, false, no or 0, or nothing"),
        (&format!("{FUTURE_ID},,name,,,"), "which is in the future"),
        (
            &format!("{UNKNOWN_ID},,name,,,2020-01-01T00:00:00Z"),
            "before the creation at 2023-06-30T03:34:18.518Z",
        ),
        (&format!("{UNKNOWN_ID},,name,,,soon"), "updated_at is \"soon\"; give a time"),
        (&format!(",,{endless},,,"), "it has more than 65536 bytes"),
    ];
    let own = own.into_iter().map(|(line, problem)| {
        let header = "id,parent_id,customer_group_name,is_group,parent_customer_group,updated_at";
        ("csv", format!("{header}\n{line}\n"), problem)
    });
    let by_name = [
        ("Export,ID of another,", "ERPNext's ID is \"ID of another\" and customer_group_name \"Export\""),
        ("Export,Export,nobody", "is not the name of a group in the file or in the database"),
        ("Export,Export,Export", "the group is its own parent"),
    ];
    let by_name = by_name.into_iter().map(|(line, problem)| {
        ("csv", format!("Customer Group Name,ID,Parent Customer Group\n{line}\n"), problem)
    });
    let objects = [
        ("nonsense", "invalid JSON: expected ident at column 2"),
        ("[]", "invalid JSON: invalid type: sequence, expected a JSON object"),
        (r#"{"parent_id":null}"#, "customer_group_name is required"),
        (r#"{"customer_group_name":5}"#, "customer_group_name is 5; give a string or null"),
        (r#"{"customer_group_name":"a","colour":"red"}"#, "\"colour\": there is no field of this name"),
        (r#"{"customer_group_name":"a","is_group":1}"#, "is_group is 1; give true, false or null"),
        (r#"{"customer_group_name":"a","customer_group_name":"b"}"#, "the field is given twice"),
        (&format!(r#"{{"customer_group_name":"{endless}"}}"#), "it has more than 65536 bytes"),
    ];
    let objects = objects.into_iter().map(|(line, problem)| {
        ("ndjson", format!("{{\"customer_group_name\":\"first\"}}\n{line}\n"), problem)
    });
    own.chain(by_name).chain(objects).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_line_is_reported_with_its_mistake_and_nothing_is_imported() {
    let database = TestDatabase::create().await;
    for (format, file, expected) in wrong_lines() {
        let problems = refused(&database, format, &file);
        let [(2, problem)] = problems.as_slice() else { panic!("{expected}: {problems:?}") };
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
    assert_eq!(count(&database).await, 0);
    assert_consistent(&database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_header_is_the_only_mistake_reported() {
    let database = TestDatabase::create().await;
    for (file, expected) in [
        ("", "the file is empty; begin it with the names of the columns"),
        ("\n\r\n", "the file is empty"),
        ("name;parent\na;b\n", "there is no column \"parent\"; the column customer_group_name is missing"),
        (
            "customer_group_name,Customer Group Name\na,b\n",
            "the column \"Customer Group Name\" is given twice",
        ),
        (
            "customer_group_name,colour\na,red\n",
            "there is no column \"colour\"; the columns are id, created_at",
        ),
    ] {
        let problems = refused(&database, "csv", file);
        assert!(problems.len() == 1 && problems[0].1.contains(expected), "{problems:?}");
    }
    let problems = refused(&database, "csv", b"customer_group_name,\xff\na,b\n");
    assert_eq!(problems, [(1, "it is not in UTF-8; save the file in UTF-8".to_owned())]);
    imported(&database, "csv", "customer_group_name\n");
    imported(&database, "ndjson", "");
    assert_eq!(count(&database).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_invalid_lines_are_reported_together_and_no_group_for_the_mistake_of_another() {
    let api = Api::start().await;
    let there = api.client().await.create(named("there")).await.unwrap();
    let [a, b, c] = [0, 1, 2].map(|_| GroupId::generate().to_string());
    let mut file = "id,parent_id,customer_group_name\n".to_owned();
    for line in [
        &format!("{a},,\u{7}"),
        // The parent has a mistake of its own.
        &format!("{b},{a},below"),
        &format!("{b},,twice"),
        "",
        &format!("{},,existing", there.id),
        &format!(",{c},orphan"),
        ",,\"over\ntwo lines\"",
        ",,fine",
    ] {
        file.push_str(line);
        file.push('\n');
    }
    let mut file = file.into_bytes();
    file.extend(b",,Caf\xe9\n");
    let problems = refused(&api.database, "csv", &file);
    let expected = [
        (2, "customer_group_name has the control character U+0007; leave it out".to_owned()),
        (4, format!("id {b} is also in line 3; give each id once")),
        (
            6,
            format!(
                "id {} exists already; leave the line out, or its id for a group beside that one, or update it with \
                 --update",
                there.id
            ),
        ),
        (7, format!("parent_id {c:?} is not a customer group; give the id of one, or null for a root")),
        (8, "customer_group_name has the control character U+000A; leave it out".to_owned()),
        (11, "it is not in UTF-8; save the file in UTF-8".to_owned()),
    ];
    assert_eq!(problems, expected);
    assert_eq!(count(&api.database).await, 1);
    assert_consistent(&api.database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cycles_are_reported_by_their_lines_without_the_groups_below_them() {
    let database = TestDatabase::create().await;
    let file = "customer_group_name,parent_customer_group\n\
                root,\nbelow a cycle,c\nc,a\na,b\nb,c\nfine,root\nd,e\ne,d\n";
    let remedy = "and the last below the first; give one of them another parent, or none";
    let expected = [
        (4, format!("the groups in lines 4, 5, 6 are each below the next, 3 in all, {remedy}")),
        (8, format!("the groups in lines 8, 9 are each below the next, 2 in all, {remedy}")),
    ];
    assert_eq!(refused(&database, "csv", file), expected);
    assert_eq!(count(&database).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ambiguous_name_in_the_file_identifies_no_parent() {
    let database = TestDatabase::create().await;
    let twins = "customer_group_name,parent_customer_group\ntwin,\ntwin,\n";
    let problem = "parent_customer_group \"twin\" is the name of 2 groups in the file; give parents by parent_id instead";
    assert_eq!(refused(&database, "csv", format!("{twins}child,twin\n")), [(4, problem.to_owned())]);
    imported(&database, "csv", twins);
    assert_eq!(count(&database).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_with_and_without_ids_cannot_be_mixed() {
    let database = TestDatabase::create().await;
    let file = "{\"customer_group_name\":\"a\"}\n{\"customer_group_name\":\"b\",\"parent_id\":null}\n";
    let problems = refused(&database, "ndjson", file);
    assert!(problems.len() == 1 && problems[0].0 == 2, "{problems:?}");
    assert!(problems[0].1.contains("the first object has no id and no parent_id"), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_hundred_of_many_invalid_lines_are_reported() {
    let database = TestDatabase::create().await;
    let lines: Vec<String> = (0..150).map(|number| format!(",{UNKNOWN_ID},{number}\n,x,\n")).collect();
    let file = format!("id,parent_id,customer_group_name\n{}", lines.concat());
    let output = run(&["import", "-", "--format", "csv"], &database, file.as_bytes());
    let said = text(output.stdout);
    let said: Vec<_> = said.lines().collect();
    assert_eq!((output.status.code(), said.len()), (Some(1), 102));
    assert!(said[0].starts_with("line 2: parent_id") && said[99].starts_with("line 101: "), "{said:#?}");
    assert_eq!(said[100..], ["and 200 more", "300 things are wrong with the file, and nothing was imported"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_an_import_does_not_depend_on_the_shape_of_its_tree() {
    const GROUPS: usize = 20_000;
    let file = |parent: &dyn Fn(usize) -> Option<usize>, order: &dyn Fn(usize) -> usize| {
        let lines = (0..GROUPS).map(order).map(|number| {
            let parent = parent(number).map_or_else(String::new, |parent| format!("group {parent:06}"));
            format!("group {number:06},{parent}\n")
        });
        format!("customer_group_name,parent_customer_group\n{}", lines.collect::<String>())
    };
    let chain = |number: usize| number.checked_sub(1);
    let star = |number: usize| (number > 0).then_some(0);
    let tree = |number: usize| number.checked_sub(1).map(|parent| parent / 10);
    let (down, up) = (|number: usize| number, |number: usize| GROUPS - 1 - number);
    let mut times = Vec::new();
    for file in [file(&star, &down), file(&tree, &up), file(&chain, &down), file(&chain, &up)] {
        let database = TestDatabase::create().await;
        let said = imported(&database, "csv", file);
        let seconds = said.split_whitespace().rev().nth(1).unwrap().parse::<f64>().unwrap();
        times.push(seconds);
        assert_eq!(count(&database).await, 20_000);
    }
    // Quadratic time would be minutes; the allowance is for a busy machine.
    let fastest = times.iter().copied().fold(f64::MAX, f64::min);
    assert!(times.iter().all(|time| *time < 5.0 * fastest + 3.0), "{times:?}");
}
