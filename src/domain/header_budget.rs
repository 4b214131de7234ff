//! The size limit of errors, so that they fit into response headers.
//!
//! Clients on gRPC's C core refuse a response with more than 8 KiB of headers. A gRPC error consists of headers: one
//! with the percent-encoded message, and one with the message and the violated fields in base64.

/// The most bytes of headers for the texts of an error. The rest of the 8 KiB is for other headers.
pub(super) const MAX: usize = 7_000;

/// The bytes of headers for a message.
pub(super) fn of_message(text: &str) -> usize {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"#%<>`?{}".contains(byte);
    let plain = text.bytes().filter(is_plain).count();
    plain + 3 * (text.len() - plain) + base64(text.len())
}

/// The bytes of headers for a violation, in the message and in the details.
pub(super) fn of_violation(field: &str, description: &str) -> usize {
    /// The separator in the message, and the tags and lengths in the details.
    const OVERHEAD: usize = 20;
    of_message(description) + base64(field.len() + description.len()) + OVERHEAD
}

fn base64(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}
