//! Encodings of text files: UTF-8, and UTF-16 with a byte order mark, as spreadsheets save "Unicode text".

use std::io::{self, BufRead, BufReader, Cursor, Read};

/// The bytes that are decoded at once.
const CHUNK: usize = 8 << 10;

/// A byte that UTF-8 never has. It stands for what cannot be decoded, so that its line is reported.
const INVALID: u8 = 0xff;

/// Returns a file in UTF-8, without its byte order mark.
pub(super) fn decoded(mut source: impl BufRead + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut start = Vec::new();
    source.by_ref().take(3).read_to_end(&mut start)?;
    let rest = |mark: usize| Cursor::new(start[mark..].to_vec());
    Ok(match start.as_slice() {
        [0xef, 0xbb, 0xbf] => Box::new(source),
        [0xff, 0xfe, ..] => Box::new(Utf16::reader(rest(2).chain(source), u16::from_le_bytes)),
        [0xfe, 0xff, ..] => Box::new(Utf16::reader(rest(2).chain(source), u16::from_be_bytes)),
        _ => Box::new(rest(0).chain(source)),
    })
}

/// Decodes UTF-16.
struct Utf16<R> {
    source: R,
    unit: fn([u8; 2]) -> u16,
    /// The first half of a pair whose second half is in the next chunk.
    half: Option<u16>,
    decoded: Cursor<Vec<u8>>,
}

impl<R: Read> Utf16<R> {
    fn reader(source: R, unit: fn([u8; 2]) -> u16) -> BufReader<Self> {
        BufReader::new(Self { source, unit, half: None, decoded: Cursor::default() })
    }

    fn decode_chunk(&mut self) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(CHUNK);
        self.source.by_ref().take(CHUNK as u64).read_to_end(&mut bytes)?;
        let mut units: Vec<u16> = self.half.take().into_iter().collect();
        let pairs = bytes.chunks_exact(2);
        let is_cut = !pairs.remainder().is_empty();
        units.extend(pairs.filter_map(|pair| pair.try_into().ok()).map(self.unit));
        if bytes.len() == CHUNK {
            self.half = units.pop_if(|unit| (0xd800..0xdc00).contains(unit));
        }
        let mut decoded = Vec::with_capacity(units.len() * 2);
        for character in char::decode_utf16(units) {
            match character {
                Ok(character) => decoded.extend(character.encode_utf8(&mut [0; 4]).bytes()),
                Err(_) => decoded.push(INVALID),
            }
        }
        decoded.extend(is_cut.then_some(INVALID));
        self.decoded = Cursor::new(decoded);
        Ok(())
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoded.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        self.decode_chunk()?;
        self.decoded.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: Vec<u8>) -> Vec<u8> {
        let mut text = Vec::new();
        decoded(Cursor::new(bytes)).unwrap().read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn text_in_utf_16_is_decoded_also_where_a_pair_is_in_two_chunks() {
        let text = format!("a{}\u{1f333} Größe", "\u{1f333}".repeat(CHUNK));
        let encode = |bytes: fn(u16) -> [u8; 2]| {
            std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect::<Vec<u8>>()
        };
        assert_eq!(read(encode(u16::to_le_bytes)), text.as_bytes());
        assert_eq!(read(encode(u16::to_be_bytes)), text.as_bytes());
    }

    #[test]
    fn what_is_not_utf_16_makes_its_line_invalid() {
        assert_eq!(read(vec![0xff, 0xfe, b'a', 0, 0, 0xd8, b'b', 0]), b"a\xffb");
        assert_eq!(read(vec![0xff, 0xfe, b'a', 0, b'b']), b"a\xff");
    }

    #[test]
    fn only_a_byte_order_mark_at_the_start_is_removed() {
        assert_eq!(read("\u{feff}a\u{feff}".into()), "a\u{feff}".as_bytes());
        assert_eq!(read(b"a".to_vec()), b"a");
        assert_eq!(read(Vec::new()), b"");
    }
}
