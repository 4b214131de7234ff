//! The connection preface of HTTP/2, which tells the protocol of a connection. The HTTP library waits for it without a
//! timeout.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// RFC 9113, section 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads the first bytes of a connection, until they are the complete preface or differ from it. Returns whether they are
/// the preface, and the bytes.
pub(super) async fn read_preface(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(bool, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(PREFACE.len());
    while bytes.len() < PREFACE.len() && PREFACE.starts_with(&bytes) {
        let missing = (PREFACE.len() - bytes.len()) as u64;
        if stream.take(missing).read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((bytes == PREFACE, bytes))
}
