//! NDJSON files: one object a line, in the form of the REST API.

use std::io::{self, BufRead, Write};

use super::json_list::Objects;
use super::line_counter::LineCounter;
use super::{Column, ImportLines, MAX_LINE, json};
use crate::domain::{CustomerGroup, ImportLine};

/// The lines of a file.
pub(super) struct Lines<R> {
    source: R,
    counter: LineCounter,
    objects: Objects,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, counter: LineCounter::new(), objects: Objects::default() }
    }

    /// The next line that is not blank.
    fn next_line(&mut self) -> io::Result<Option<ImportLine>> {
        loop {
            let number = self.counter.line;
            let Some(line) = self.read_line()? else { return Ok(None) };
            if line.len() > MAX_LINE || !line.trim_ascii().is_empty() {
                return Ok(Some(ImportLine { number, group: self.objects.read(&line) }));
            }
        }
    }

    /// Reads a line up to any line end; of one that is too long, only one byte more than the limit is returned.
    fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        loop {
            let input = self.source.fill_buf()?;
            if input.is_empty() {
                return Ok((!line.is_empty()).then_some(line));
            }
            let end = input.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let taken = end.map_or(input.len(), |end| end + 1);
            line.extend_from_slice(&input[..taken]);
            line.truncate(MAX_LINE + 1);
            self.counter.count(&input[..taken]);
            self.source.consume(taken);
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<ImportLine>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().transpose()
    }
}

impl<R: BufRead + Send> ImportLines for Lines<R> {
    fn ignored(&self) -> Vec<String> {
        self.objects.ignored()
    }
}

pub(super) fn write(group: &CustomerGroup, columns: &[Column], mut file: impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut file, &json::SelectedFields(group, columns))?;
    file.write_all(b"\n")
}
