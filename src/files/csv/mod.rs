//! CSV files (RFC 4180), also those of spreadsheets and of ERPNext.
//!
//! As in PostgreSQL, an empty field is null, and an empty field in quotation marks is an empty text.

mod columns;
mod data_export;
mod delimiter;
mod records;
mod rows;
mod writer;

pub(crate) use delimiter::parse_delimiter;
pub(super) use writer::{write, write_header};

use std::io::{self, BufRead};

use super::{ImportLines, unreadable};
use crate::domain::ImportLine;
use data_export::Preamble;
use delimiter::kind;
use records::{Record, Records};
use rows::Rows;

/// The lines of a file after its header.
pub(super) struct Lines<R> {
    records: Records<R>,
    header: Header,
}

enum Header {
    Unread,
    Read(Rows),
    /// No further line can be read.
    Invalid,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(source: R, delimiter: Option<u8>) -> io::Result<Self> {
        Ok(Self { records: Records::new(source, delimiter)?, header: Header::Unread })
    }

    fn next_line(&mut self) -> io::Result<Option<ImportLine>> {
        if matches!(self.header, Header::Unread) {
            match self.read_header()? {
                Ok(rows) => self.header = Header::Read(rows),
                Err((number, problem)) => {
                    self.header = Header::Invalid;
                    return Ok(Some(ImportLine { number, group: unreadable(problem) }));
                }
            }
        }
        let Header::Read(rows) = &mut self.header else { return Ok(None) };
        while let Some(record) = self.records.next_record()? {
            let number = record.line;
            if let Some(group) = rows.group(record) {
                return Ok(Some(ImportLine { number, group }));
            }
        }
        Ok(None)
    }

    /// Reads the names of the columns, which stand below some lines in ERPNext's Data Export. Fails with the line and its
    /// problem.
    fn read_header(&mut self) -> io::Result<Result<Rows, (i64, String)>> {
        let delimiter = self.records.delimiter;
        let mut preamble = Preamble::default();
        while let Some(record) = self.records.next_record()? {
            let number = record.line;
            let read = Record::fields(record).map_err(|problem| (number, problem));
            let names: Vec<String> = match read {
                Ok(fields) => fields.into_iter().map(|field| field.text).collect(),
                Err(problem) => return Ok(Err(problem)),
            };
            if let Some(columns) = Preamble::header(&names) {
                return Ok(columns
                    .map(|columns| Rows::of_data_export(columns, delimiter))
                    .map_err(|problem| (number, problem)));
            }
            if !preamble.contains(number, &names) {
                return Ok(columns::Columns::parse(&names)
                    .map(|columns| Rows::new(columns, delimiter))
                    .map_err(|problem| (number, self.with_delimiter(problem))));
            }
        }
        let empty = || (1, "the file is empty; begin it with the names of the columns".to_owned());
        let (number, problem) = preamble.problem().unwrap_or_else(empty);
        Ok(Err((number, self.with_delimiter(problem))))
    }

    /// Adds the delimiter to the problem of a header, if it is another one than the header suggests.
    fn with_delimiter(&self, problem: String) -> String {
        let Records { delimiter, recognised, .. } = self.records;
        if recognised == delimiter {
            return problem;
        }
        let (kind, recognised) = (kind(recognised), char::from(recognised));
        format!("this looks like a {kind} file; give --delimiter {recognised:?}, or leave it out; {problem}")
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
        match &self.header {
            Header::Read(rows) => rows.ignored(),
            Header::Unread | Header::Invalid => Vec::new(),
        }
    }
}
