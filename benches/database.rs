//! The groups that the benchmark uses, and the database's own throughput by `pgbench`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use customer_groups::testing::GroupId;
use futures_util::{SinkExt, StreamExt};
use tokio_postgres::Client;
use uuid::Uuid;

/// Ten children a node, seven levels.
pub const MILLION: u32 = 1_111_111;

/// Ten children a node, four levels.
pub const THOUSAND: u32 = 1_111;

/// All ids have the same time. Their last digits are a decimal number, so that pgbench can generate them,
/// too.
const FIRST: u128 = 0x0189_0a5d_ac96_774b_8cce_0000_0000_0000;
const TAIL: u64 = 100_000_000_000;

/// The columns of a group that the service reads.
pub const COLUMNS: &str = "id, updated_at, parent_id, is_group, customer_group_name, parent_customer_group,
    default_price_list, payment_terms";

/// The length of the header of a binary COPY.
const COPY_HEAD: usize = 19;

/// The id of the group with this number.
pub fn uuid(number: u32) -> Uuid {
    let digits = (TAIL + u64::from(number)).to_string();
    let tail = u128::from_str_radix(&digits, 16).expect("decimal digits are hexadecimal ones");
    Uuid::from_u128(FIRST | tail)
}

pub fn id(number: u32) -> String {
    GroupId::from_uuid(uuid(number)).expect("a UUIDv7").to_string()
}

/// The number of the parent.
pub fn parent(number: u32) -> Option<u32> {
    number.checked_sub(1).map(|number| number / 10)
}

/// Inserts this many groups into the table.
pub async fn fill(sql: &Client, count: u32) {
    sql.batch_execute("truncate customer_group").await.expect("an empty table");
    let copy = "copy customer_group (id, parent_id, updated_at, is_group, customer_group_name,
                                     default_price_list, payment_terms) from stdin";
    let mut rows = Box::pin(sql.copy_in(copy).await.expect("COPY"));
    let mut text = String::new();
    for number in 0..count {
        let above = parent(number).map_or_else(|| "\\N".to_owned(), |above| uuid(above).to_string());
        let id = uuid(number);
        writeln!(text, "{id}\t{above}\t2023-06-30 00:00:00+00\tf\tgroup {number}\tStandard\tNet 30")
            .expect("a text takes more");
        if text.len() > 1 << 16 {
            rows.send(Bytes::from(std::mem::take(&mut text))).await.expect("rows are taken");
        }
    }
    rows.send(Bytes::from(text)).await.expect("rows are taken");
    assert_eq!(rows.as_mut().finish().await.expect("COPY ends"), u64::from(count));
    sql.batch_execute("vacuum analyze customer_group").await.expect("a vacuum");
    sql.batch_execute("checkpoint").await.expect("a checkpoint");
}

/// Deletes the groups that were created since the table was filled, so that every round starts with the same
/// groups.
pub async fn reset(sql: &Client, count: u32) {
    sql.execute("delete from customer_group where id > $1", &[&uuid(count - 1)]).await.expect("a delete");
    for statement in ["vacuum analyze customer_group", "vacuum customer_group_count", "checkpoint"] {
        sql.batch_execute(statement).await.expect(statement);
    }
    let total = "select sum(groups)::bigint from customer_group_count";
    let total: i64 = sql.query_one(total, &[]).await.expect("the number of groups").get(0);
    assert_eq!(total, i64::from(count));
}

/// Reads all groups except the root, as fast as PostgreSQL sends them.
pub async fn copy_out(sql: &Client, count: u32) -> Duration {
    let copy = format!(
        "copy (select {COLUMNS} from customer_group where id <> '{}')
        to stdout (format binary)",
        uuid(0)
    );
    let begun = Instant::now();
    let mut rows = Box::pin(sql.copy_out(&copy).await.expect("COPY"));
    let mut number = 0;
    while let Some(print_row) = rows.next().await {
        // The first row follows the file header.
        let print_row = print_row.expect("a row");
        number += u32::from(
            print_row.starts_with(&[0, 8]) || print_row.starts_with(b"PGCOPY") && print_row.len() > COPY_HEAD,
        );
    }
    assert_eq!(number, count - 1);
    begun.elapsed()
}

/// A script for pgbench that sets `id` to the id of a random group.
pub fn script(count: u32, statement: &str) -> String {
    let last = TAIL + u64::from(count) - 1;
    let id = "('01890a5d-ac96-774b-8cce-' || :n)::uuid";
    format!("\\set n random({TAIL}, {last})\n{};\n", statement.replace(":id", id))
}

/// The throughput of pgbench with 16 clients and prepared statements, in transactions a second.
pub fn pgbench(socket: &Path, script: &str, time: Duration) -> f64 {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), script).expect("the script");
    let seconds = time.as_secs().max(1).to_string();
    let output = Command::new(program())
        .args(["-n", "-M", "prepared", "-c", "16", "-j", "2", "-T", &seconds, "-U", "customer_groups", "-h"])
        .arg(socket)
        .arg("-f")
        .arg(file.path())
        .arg("postgres")
        .output()
        .expect("pgbench");
    let printed = String::from_utf8_lossy(&output.stdout);
    let rate = printed.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    rate.expect("a rate")
}

/// The pgbench beside the PostgreSQL that the service uses.
fn program() -> PathBuf {
    if let Some(folder) = std::env::var_os("PG_BIN_DIR") {
        return Path::new(&folder).join("pgbench");
    }
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = debian.map(|entry| entry.path().join("bin/pgbench")).filter(|path| path.exists()).max();
    newest.unwrap_or_else(|| "pgbench".into())
}
