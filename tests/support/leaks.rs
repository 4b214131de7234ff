//! No API key may be in anything that the service writes. What of it the tests see comes by here.

use std::io;
use std::sync::Once;

use tracing_subscriber::fmt::MakeWriter;

/// Ends the whole run when there is a key in what the service wrote: whoever reads it may be a thread whose panics
/// nobody hears of.
pub fn watch(written: &[u8]) {
    if has_key(written) {
        eprintln!("an API key was written: {}", String::from_utf8_lossy(written));
        std::process::exit(101);
    }
}

/// Whether there is more of a key than what all of them begin with.
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

/// Watches what the services in this process log.
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
