//! What was found, as lines for an operator.

/// The most findings of a kind that are told one by one.
const TOLD: usize = 20;

/// The findings of one kind.
pub(super) struct Findings {
    kind: &'static str,
    told: Vec<String>,
    more: u64,
}

impl Findings {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, told: Vec::new(), more: 0 }
    }

    /// Keeps a finding: which id, what is wrong, and what to do.
    pub(super) fn add(&mut self, finding: String) {
        if self.told.len() < TOLD {
            self.told.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// A line each, and one for those that are not told.
    pub(super) fn into_lines(self) -> impl Iterator<Item = String> {
        let Self { kind, told, more } = self;
        let rest = (more > 0).then(|| format!("{kind}: and {more} more"));
        told.into_iter().map(move |finding| format!("{kind}: {finding}")).chain(rest)
    }
}

impl Extend<String> for Findings {
    fn extend<T: IntoIterator<Item = String>>(&mut self, findings: T) {
        findings.into_iter().for_each(|finding| self.add(finding));
    }
}
