//! The connection preface of HTTP/2.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

/// RFC 9113, section 3.4.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Waits until the first bytes of a connection are the complete preface or differ from it. The HTTP library waits for
/// them
/// without a timeout.
pub(super) async fn await_preface(stream: &TcpStream) -> io::Result<()> {
    /// Bytes that have arrived already do not wake a reader again.
    const PAUSE: Duration = Duration::from_millis(10);

    let mut bytes = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut bytes).await?;
        let is_part = (1..PREFACE.len()).contains(&length)
            && bytes.get(..length).is_some_and(|received| PREFACE.starts_with(received));
        if !is_part {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}
