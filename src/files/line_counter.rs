//! Line numbers of any kind of line ends: LF, CR LF, and CR alone.

/// The number of the current line, from 1.
#[derive(Debug)]
pub(super) struct LineCounter {
    pub(super) line: i64,
    is_after_cr: bool,
}

impl LineCounter {
    pub(super) fn new() -> Self {
        Self { line: 1, is_after_cr: false }
    }

    /// Counts the line ends in the next bytes of the file.
    pub(super) fn count(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let is_end = *byte == b'\r' || (*byte == b'\n' && !self.is_after_cr);
            self.line += i64::from(is_end);
            self.is_after_cr = *byte == b'\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_end_is_counted_once() {
        for (text, line) in [("a\nb\n", 3), ("a\rb\r", 3), ("a\r\nb\r\n", 3), ("\n\r\r\n", 4)] {
            let mut counter = LineCounter::new();
            text.as_bytes().iter().for_each(|byte| counter.count(&[*byte]));
            assert_eq!(counter.line, line, "{text:?}");
        }
    }
}
