//! The delimiter of a CSV file, recognised from its first line.

use std::io::{self, BufRead};

use super::columns::find;
use crate::files::MAX_LINE;

/// The delimiters that are recognised, the usual one first.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// The first line of a file that is not blank, with the line ends around it.
pub(super) fn first_line(source: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let (mut line, mut is_quoted, mut is_blank) = (Vec::new(), false, true);
    while line.len() < MAX_LINE {
        let Some(byte) = source.fill_buf()?.first().copied() else { break };
        source.consume(1);
        line.push(byte);
        match byte {
            b'\r' | b'\n' if !is_quoted && !is_blank => break,
            b'\r' | b'\n' => {}
            b'"' => (is_quoted, is_blank) = (!is_quoted, false),
            _ => is_blank = false,
        }
    }
    Ok(line)
}

/// The delimiter in a line such as `sep=;`, which spreadsheets understand.
pub(super) fn declared(line: &[u8]) -> Option<u8> {
    let text = line.trim_ascii_start();
    let text = text.strip_prefix(b"\"").unwrap_or(text);
    let (name, rest) = text.split_at_checked(4)?;
    let (delimiter, rest) = rest.split_first()?;
    let is_end = matches!(rest.trim_ascii(), b"" | b"\"");
    (name.eq_ignore_ascii_case(b"sep=") && is_end && is_delimiter(*delimiter)).then_some(*delimiter)
}

/// Whether a byte can separate fields.
pub(super) fn is_delimiter(byte: u8) -> bool {
    byte == b'\t' || (byte.is_ascii_punctuation() && byte != b'"')
}

/// The delimiter by which a line has the most names of columns, or otherwise the most fields.
pub(super) fn recognised(line: &[u8]) -> u8 {
    let line = String::from_utf8_lossy(line);
    let score = |delimiter: u8| {
        let fields = split(line.trim(), delimiter);
        let known = fields.iter().filter(|field| find(field.trim_matches(['"', ' '])).is_some()).count();
        (known, fields.len())
    };
    let mut best = DELIMITERS[0];
    for delimiter in DELIMITERS {
        if score(delimiter) > score(best) {
            best = delimiter;
        }
    }
    best
}

/// Splits a line at the delimiters outside of quotation marks.
fn split(line: &str, delimiter: u8) -> Vec<&str> {
    let mut is_quoted = false;
    let separates = |character: char| {
        is_quoted ^= character == '"';
        !is_quoted && character == char::from(delimiter)
    };
    line.split(separates).collect()
}

/// The kind of file that a delimiter makes.
pub(super) fn kind(delimiter: u8) -> String {
    match delimiter {
        b',' => "comma-separated".to_owned(),
        b';' => "semicolon-separated".to_owned(),
        b'\t' => "tab-separated".to_owned(),
        other => format!("{:?}-separated", char::from(other)),
    }
}

/// Parses the delimiter of the command line.
pub(crate) fn parse_delimiter(text: &str) -> Result<u8, String> {
    match (text, text.as_bytes()) {
        ("comma", _) => Ok(b','),
        ("semicolon", _) => Ok(b';'),
        ("tab" | "\\t", _) => Ok(b'\t'),
        (_, [delimiter]) if is_delimiter(*delimiter) => Ok(*delimiter),
        _ => Err("it is not a delimiter; give comma, semicolon, tab, or one punctuation mark".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_is_recognised_by_the_names_between_it() {
        for (line, expected) in [
            ("customer_group_name", b','),
            ("customer_group_name;is_group", b';'),
            ("\"Customer Group Name\"\t\"Is Group\"\r\n", b'\t'),
            ("is_group,\"a;b;c;d\"", b','),
            ("customer_group_name,a;b;c;d", b','),
            ("Data Import Template;;;", b';'),
            ("Data Import Template", b','),
        ] {
            assert_eq!(recognised(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_line_can_declare_the_delimiter() {
        for (line, expected) in [
            ("sep=;\r\n", Some(b';')),
            ("SEP=\t\n", Some(b'\t')),
            ("\"sep=|\"\r", Some(b'|')),
            ("sep=", None),
            ("sep=;;", None),
            ("sep=a", None),
            ("separator", None),
        ] {
            assert_eq!(declared(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn the_first_line_ends_at_a_line_end_outside_of_quotation_marks() {
        for (file, expected) in [("\r\na\r\nb", "\r\na\r"), ("\"a\nb\",c\nd", "\"a\nb\",c\n"), ("a", "a")] {
            assert_eq!(first_line(&mut file.as_bytes()).unwrap(), expected.as_bytes());
        }
    }
}
