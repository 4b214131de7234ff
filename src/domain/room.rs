//! How much an error may say, whatever a caller sends.
//!
//! Clients on gRPC's C core refuse an answer whose headers have more than 8 KiB, and an error of gRPC is all in
//! headers: its message percent-encoded in one, and the same with the violated fields in base64 in another.

/// The bytes of headers that the texts of an error may take up. The others of the 8 KiB are for other headers.
pub(super) const MAX: usize = 7_000;

/// The bytes of headers that a message takes up.
pub(super) fn of_message(text: &str) -> usize {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"#%<>`?{}".contains(byte);
    let plain = text.bytes().filter(is_plain).count();
    plain + 3 * (text.len() - plain) + base64(text.len())
}

/// The bytes of headers that a violation takes up, in the message and in the details.
pub(super) fn of_violation(field: &str, description: &str) -> usize {
    /// The separator in the message, and the tags and lengths in the details.
    const AROUND: usize = 20;
    of_message(description) + base64(field.len() + description.len()) + AROUND
}

fn base64(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}
