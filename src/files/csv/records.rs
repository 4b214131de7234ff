//! The records of a CSV file (RFC 4180), in constant memory.

use std::io::{self, BufRead, Cursor, Read};

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

use super::delimiter::{declared, first_line, recognised};
use crate::files::line_counter::LineCounter;
use crate::files::{MAX_LINE, not_utf8, too_long};

/// The records of a file.
pub(super) struct Records<R> {
    source: io::Chain<Cursor<Vec<u8>>, R>,
    parser: Reader,
    lines: LineCounter,
    pub(super) delimiter: u8,
    /// The delimiter that the first line suggests.
    pub(super) recognised: u8,
}

pub(super) struct Record {
    pub(super) line: i64,
    fields: Vec<RawField>,
    /// The bytes of all fields, and one more for each.
    size: usize,
}

/// A field as bytes.
#[derive(Default)]
struct RawField {
    bytes: Vec<u8>,
    is_quoted: bool,
}

/// A field as text.
pub(super) struct CsvField {
    pub(super) text: String,
    pub(super) is_quoted: bool,
}

impl<R: BufRead> Records<R> {
    /// Recognises the delimiter, unless it is given.
    pub(super) fn new(mut source: R, given: Option<u8>) -> io::Result<Self> {
        let mut start = first_line(&mut source)?;
        let mut lines = LineCounter::new();
        let mut suggested = declared(&start);
        if suggested.is_some() {
            lines.count(&start);
            start = first_line(&mut source)?;
        }
        let recognised = *suggested.get_or_insert_with(|| recognised(&start));
        let delimiter = given.unwrap_or(recognised);
        let parser = ReaderBuilder::new().delimiter(delimiter).build();
        Ok(Self { source: Cursor::new(start).chain(source), parser, lines, delimiter, recognised })
    }

    pub(super) fn next_record(&mut self) -> io::Result<Option<Record>> {
        self.skip_ends_of_lines()?;
        let mut record = Record { line: self.lines.line, fields: Vec::new(), size: 0 };
        let mut field = RawField::default();
        let mut output = [0; 1024];
        loop {
            let input = self.source.fill_buf()?;
            let (result, taken, written) = self.parser.read_field(input, &mut output);
            let taken_bytes = &input[..taken];
            field.is_quoted |= taken_bytes.contains(&b'"');
            self.lines.count(taken_bytes);
            self.source.consume(taken);
            record.size += written;
            if record.size <= MAX_LINE {
                field.bytes.extend_from_slice(&output[..written]);
            }
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => {
                    record.size += 1;
                    let field = std::mem::take(&mut field);
                    if record.size <= MAX_LINE {
                        record.fields.push(field);
                    }
                    if record_end {
                        return Ok(Some(record));
                    }
                }
                ReadFieldResult::End => return Ok(None),
            }
        }
    }

    /// Skips blank lines, so that the line of a record is the one on which it begins.
    fn skip_ends_of_lines(&mut self) -> io::Result<()> {
        while let Some(byte @ (b'\r' | b'\n')) = self.source.fill_buf()?.first().copied() {
            self.lines.count(&[byte]);
            self.source.consume(1);
        }
        Ok(())
    }
}

impl Record {
    pub(super) fn fields(self) -> Result<Vec<CsvField>, String> {
        if self.size > MAX_LINE {
            return Err(too_long());
        }
        let text = |RawField { bytes, is_quoted }| {
            String::from_utf8(bytes).map(|text| CsvField { text, is_quoted }).map_err(|_| not_utf8())
        };
        self.fields.into_iter().map(text).collect()
    }
}
