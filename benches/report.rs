//! The report: Markdown tables with figures and their limits.

use std::fmt::{Display, Formatter, Result};
use std::process::Command;

use tokio_postgres::Client;

/// The values of a figure in all rounds.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    least: f64,
    pub median: f64,
    most: f64,
}

impl Spread {
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (figures.first().expect("a round"), figures.last().expect("a round"));
        Self { least: *least, median: figures[figures.len() / 2], most: *most }
    }
}

impl Display for Spread {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (Self { least, median, most }, digits) = (self, f.precision().unwrap_or(2));
        write!(f, "{median:.digits$}")?;
        if least < most {
            write!(f, " ({least:.digits$} to {most:.digits$})")?;
        }
        Ok(())
    }
}

/// The limit for the median.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    None,
    AtLeast(f64),
    AtMost(f64),
}

impl Limit {
    /// The limit, and whether it is met.
    pub fn of(self, figure: Spread) -> [String; 2] {
        let (limit, met) = match self {
            Self::None => return ["-".to_owned(), "-".to_owned()],
            Self::AtLeast(limit) => (format!("at least {limit}"), figure.median >= limit),
            Self::AtMost(limit) => (format!("at most {limit}"), figure.median <= limit),
        };
        [limit, if met { "yes" } else { "**no**" }.to_owned()]
    }
}

/// Prints the header of a table.
pub fn print_head(names: &[&str]) {
    println!("\n| {} |", names.join(" | "));
    println!("|{}", "---|".repeat(names.len()));
}

pub fn print_row(cells: &[&[String]]) {
    println!("| {} |", cells.concat().join(" | "));
}

/// Prints the machine, the versions and the commit.
pub async fn print_environment(sql: &Client) {
    let cores = std::thread::available_parallelism().expect("a number of cores");
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let version: String = sql.query_one("show server_version", &[]).await.expect("a version").get(0);
    let commit = git(&["rev-parse", "--short", "HEAD"]);
    let dirty = if git(&["status", "--porcelain"]).is_empty() { "" } else { "-dirty" };
    println!(
        "{cores} cores, {}; PostgreSQL {version}; commit {commit}{dirty}.",
        processor.unwrap_or("unknown")
    );
}

fn git(arguments: &[&str]) -> String {
    let output = Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output();
    let output = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    output.unwrap_or_else(|_| "unknown".to_owned())
}
