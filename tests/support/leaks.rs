//! Detection of API keys in the service's output. Everything that the tests read from it passes through
//! `watch`.

use std::io;
use std::sync::Once;

use tracing_subscriber::fmt::MakeWriter;

/// Ends the whole run if the output contains a key. A panic is not enough: the reader may be a thread whose
/// panics are ignored.
pub fn watch(written: &[u8]) {
    if has_key(written) {
        eprintln!("an API key was written: {}", String::from_utf8_lossy(written));
        std::process::exit(101);
    }
}

/// Whether the text contains a key, longer than its fixed prefix.
pub fn has_key(written: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 2] = [b"sk_test_", b"sk_live_"];
    const LENGTH: usize = 8;
    written.windows(BEGINNINGS[0].len() + LENGTH).any(|part| {
        BEGINNINGS.iter().any(|beginning| {
            let rest = part.strip_prefix(*beginning);
            rest.is_some_and(|rest| rest.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'))
        })
    })
}

/// Watches the log of the services in this process.
pub fn watch_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_env_filter("customer_groups=trace,audit=trace")
            .with_writer(Watch)
            .init();
    });
}

struct Watch;

impl io::Write for Watch {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        watch(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Watch {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
