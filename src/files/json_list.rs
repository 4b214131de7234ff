//! A JSON list of all objects: `[…]`, or the answer of an API with the list in `data`.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Cursor, Read};

use super::line_counter::LineCounter;
use super::{ImportLines, MAX_LINE, Parents, import_group, json, ndjson, not_utf8, too_long, unreadable};
use crate::domain::{FieldInput, ImportGroup, ImportInput, ImportLine, Violation, ViolationKind, field};

/// Reads a list, if the file begins with one, and otherwise one object a line.
pub(super) fn lines<R: BufRead + Send + 'static>(mut source: R) -> io::Result<Box<dyn ImportLines>> {
    let mut start = Vec::new();
    let mut beginning = Vec::new();
    let is_list = loop {
        let Some(byte) = source.fill_buf()?.first().copied() else { break false };
        source.consume(1);
        start.push(byte);
        if !byte.is_ascii_whitespace() {
            beginning.push(byte);
        }
        if beginning == b"[" || beginning == b"{\"data\":[" {
            break true;
        }
        if !b"{\"data\":[".starts_with(&beginning) || start.len() > MAX_LINE {
            break false;
        }
    };
    if !is_list {
        return Ok(Box::new(ndjson::Lines::new(Cursor::new(start).chain(source))));
    }
    let mut lines = LineCounter::new();
    lines.count(&start);
    let is_in_data = beginning.len() > 1;
    Ok(Box::new(List { source, lines, is_in_data, state: State::First, objects: Objects::default() }))
}

/// The objects of a file.
#[derive(Default)]
pub(super) struct Objects {
    /// Known after the first object.
    parents: Option<Parents>,
    ignored: BTreeSet<String>,
}

impl Objects {
    /// Reads an object of which at most one byte more than [`MAX_LINE`] is given.
    pub(super) fn read(&mut self, object: &[u8]) -> ImportGroup {
        if object.len() > MAX_LINE {
            return unreadable(too_long());
        }
        str::from_utf8(object).map_or_else(|_| unreadable(not_utf8()), |object| self.group(object))
    }

    fn group(&mut self, object: &str) -> ImportGroup {
        let mut input = match json::import_input(object, &mut self.ignored) {
            Ok(input) => input,
            Err(problem) => return unreadable(problem),
        };
        let parents = *self.parents.get_or_insert_with(|| parents(&input));
        if parents == Parents::ByName && self::parents(&input) == Parents::ById {
            input.fields.violations.push(Violation::new(
                field::PARENT_ID,
                ViolationKind::Invalid,
                "the first object has no id and no parent_id, so that parents are named by parent_customer_group; \
                 give that one a parent_id, which may be null, or leave both out here",
            ));
        }
        import_group(input, parents)
    }

    pub(super) fn ignored(&self) -> Vec<String> {
        self.ignored.iter().cloned().collect()
    }
}

fn parents(input: &ImportInput) -> Parents {
    match (&input.id, &input.fields.parent_id) {
        (FieldInput::Absent, FieldInput::Absent) => Parents::ByName,
        (FieldInput::Null | FieldInput::Value(_), _) | (_, FieldInput::Null | FieldInput::Value(_)) => {
            Parents::ById
        }
    }
}

/// The objects of a list.
struct List<R> {
    source: R,
    lines: LineCounter,
    is_in_data: bool,
    state: State,
    objects: Objects,
}

/// The next part of a list.
enum State {
    /// An object, or the end.
    First,
    /// A comma and an object, or the end.
    Further,
    /// Nothing.
    Over,
}

impl<R: BufRead> List<R> {
    fn next_line(&mut self) -> io::Result<Option<ImportLine>> {
        let mut byte = self.next_byte()?;
        let wants_object = matches!((&self.state, byte), (State::Further, Some(b',')));
        match self.state {
            State::Over => return Ok(None),
            State::Further if wants_object => byte = self.next_byte()?,
            State::Further if byte == Some(b']') => return self.end(),
            State::Further => return Ok(Some(self.fail("a comma or the end of the list is missing"))),
            State::First => {}
        }
        let number = self.lines.line;
        match byte {
            Some(b'{') => {}
            Some(b']') if !wants_object => return self.end(),
            _ => return Ok(Some(self.fail("the list has something else than an object"))),
        }
        self.state = State::Further;
        let group = match self.object()? {
            None => return Ok(Some(self.fail("the file ends within an object"))),
            Some(object) => self.objects.read(&object),
        };
        Ok(Some(ImportLine { number, group }))
    }

    /// The next byte that is not white space.
    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.take()? {
                Some(byte) if byte.is_ascii_whitespace() => {}
                byte => return Ok(byte),
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<u8>> {
        let byte = self.source.fill_buf()?.first().copied();
        if let Some(byte) = byte {
            self.source.consume(1);
            self.lines.count(&[byte]);
        }
        Ok(byte)
    }

    /// Reads an object after its first brace; of one that is too long, only one byte more than the limit is returned.
    fn object(&mut self) -> io::Result<Option<Vec<u8>>> {
        let (mut object, mut depth) = (vec![b'{'], 1);
        let (mut is_text, mut is_escaped) = (false, false);
        while depth > 0 {
            let Some(byte) = self.take()? else { return Ok(None) };
            if object.len() <= MAX_LINE {
                object.push(byte);
            }
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_text => is_escaped = true,
                b'"' => is_text = !is_text,
                b'{' if !is_text => depth += 1,
                b'}' if !is_text => depth -= 1,
                _ => {}
            }
        }
        Ok(Some(object))
    }

    /// Checks that the file ends, and that it has the whole list of an API.
    fn end(&mut self) -> io::Result<Option<ImportLine>> {
        self.state = State::Over;
        let number = self.lines.line;
        let mut rest = Vec::new();
        self.source.by_ref().take(MAX_LINE as u64).read_to_end(&mut rest)?;
        let rest = String::from_utf8_lossy(&rest);
        let text = if self.is_in_data { format!("{{\"data\":[]{rest}") } else { format!("[]{rest}") };
        let problem = match serde_json::from_str::<serde_json::Value>(&text) {
            Err(_) => "the file is not valid JSON after the list",
            Ok(answer) if answer["has_more"] == true => {
                "has_more is true: the file has only a part of the list"
            }
            Ok(_) => return Ok(None),
        };
        Ok(Some(ImportLine { number, group: unreadable(problem) }))
    }

    fn fail(&mut self, problem: &str) -> ImportLine {
        self.state = State::Over;
        ImportLine { number: self.lines.line, group: unreadable(format!("invalid JSON: {problem}")) }
    }
}

impl<R: BufRead> Iterator for List<R> {
    type Item = io::Result<ImportLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if matches!(self.state, State::Over) { None } else { self.next_line().transpose() }
    }
}

impl<R: BufRead + Send> ImportLines for List<R> {
    fn ignored(&self) -> Vec<String> {
        self.objects.ignored()
    }
}
