//! Reports of many problems.

use std::fmt;

/// The first problems in order, and the number of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    limit: usize,
    /// Each with its place in the order.
    first: Vec<(i64, String)>,
    count: u64,
}

impl Report {
    /// An empty report that keeps this many problems.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, first: Vec::new(), count: 0 }
    }

    /// Adds a problem whose place is after those of the others.
    pub(crate) fn add(&mut self, place: i64, problem: String) {
        self.count += 1;
        if self.first.len() < self.limit {
            self.first.push((place, problem));
        }
    }

    /// Adds problems at any places: the first of them, and their number.
    pub(crate) fn add_all(&mut self, first: Vec<(i64, String)>, count: u64) {
        self.count += count;
        self.first.extend(first);
        self.first.sort();
        self.first.truncate(self.limit);
    }

    /// Whether there are no problems.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The number of all problems.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The most problems that are kept.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// One line for each of the first problems, and one for the number of the others.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let more = self.count - self.first.len() as u64;
        let more = (more > 0).then(|| format!("and {more} more"));
        self.first.iter().map(|(_, problem)| problem.clone()).chain(more)
    }
}

impl Extend<String> for Report {
    fn extend<T: IntoIterator<Item = String>>(&mut self, problems: T) {
        problems.into_iter().for_each(|problem| self.add(0, problem));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_problems_in_order_are_kept_and_the_others_counted() {
        let problem = |line: i64| (line, format!("line {line}"));
        let mut report = Report::new(100);
        for (line, text) in (51..=200).map(problem) {
            report.add(line, text);
        }
        report.add_all((1..=50).map(problem).collect(), 60);
        let text = report.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[99]), (101, "line 1", "line 100"));
        assert_eq!(lines[100], "and 110 more");
    }
}
