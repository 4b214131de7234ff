//! TLS for callers. Certificates can be replaced while the server runs.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, ServerConfig};

use crate::domain::Timestamp;
use crate::pem::{Pem, provider};

/// The interval at which the files are read again. Their content is compared, so that symbolic links work.
const PERIOD: Duration = Duration::from_secs(1);

/// The paths of the certificates and the key.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate chain, without the root.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities that sign callers' certificates; without it, callers need no certificate.
    pub client_ca: Option<PathBuf>,
}

/// The TLS settings. All clones share the current certificate.
#[derive(Clone)]
pub struct Tls {
    files: Arc<TlsFiles>,
    initial: Arc<Contents>,
    current: watch::Sender<Arc<ServerConfig>>,
    /// The end of the validity of the current certificate, in seconds since 1970.
    not_after: Arc<AtomicU64>,
}

/// The content of the files, or why they cannot be read.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Result<Pem, String>,
    key: Result<Pem, String>,
    client_ca: Option<Result<Pem, String>>,
}

impl Tls {
    /// Reads the files. The errors are all problems, each with the name of its setting first.
    pub fn open(files: TlsFiles) -> Result<Self, Vec<String>> {
        let initial = files.read();
        let current = watch::Sender::new(Arc::new(initial.parse()?));
        let not_after = Arc::new(AtomicU64::new(initial.not_after()));
        Ok(Self { files: Arc::new(files), initial: Arc::new(initial), current, not_after })
    }

    /// Reloads the files whenever they change. If the new files are invalid, logs the problems once and keeps the
    /// previous certificate.
    pub(super) async fn watch(self) {
        let mut seen = self.initial.clone();
        seen.warn_of_validity();
        loop {
            sleep(PERIOD).await;
            match self.reload(&mut seen).await {
                None => {}
                Some(Ok(())) => {
                    tracing::info!("certificate reloaded");
                    seen.warn_of_validity();
                }
                Some(Err(problems)) => {
                    tracing::warn!(
                        problems = problems.join("; "),
                        "certificate not reloaded; the old one stays"
                    );
                }
            }
        }
    }

    /// Reloads the files if they have changed since `seen`; `None` if not.
    async fn reload(&self, seen: &mut Arc<Contents>) -> Option<Result<(), Vec<String>>> {
        let files = self.files.clone();
        let found = spawn_blocking(move || files.read()).await.ok().filter(|found| *found != **seen)?;
        let parsed = found.parse();
        *seen = Arc::new(found);
        Some(parsed.map(|config| {
            self.current.send_replace(Arc::new(config));
            self.not_after.store(seen.not_after(), Ordering::Relaxed);
        }))
    }

    /// The end of the validity of the current certificate, in seconds since 1970, for the metrics.
    pub(super) fn not_after(&self) -> Arc<AtomicU64> {
        self.not_after.clone()
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.borrow().clone().into()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.fmt(f)
    }
}

impl TlsFiles {
    fn read(&self) -> Contents {
        Contents {
            cert: Pem::read(&self.cert),
            key: Pem::read(&self.key),
            client_ca: self.client_ca.as_deref().map(Pem::read),
        }
    }
}

impl Contents {
    /// The end of the validity of the server's certificate, in seconds since 1970; 0 if it is not known.
    fn not_after(&self) -> u64 {
        self.cert.as_ref().ok().and_then(|cert| cert.validity().ok()).map_or(0, |validity| *validity.end())
    }

    /// Warns of certificates that are not valid now, or not for long.
    fn warn_of_validity(&self) {
        let now = u64::try_from(Timestamp::now().seconds()).unwrap_or_default();
        for (setting, pem) in [("TLS_CERT", Some(&self.cert)), ("TLS_CLIENT_CA", self.client_ca.as_ref())] {
            let Some(Ok(pem)) = pem else { continue };
            match pem.validity().map(|validity| problem(&validity, now)) {
                Ok(None) => {}
                Ok(Some(problem)) => tracing::warn!("{setting}: a certificate {problem}; replace the file"),
                Err(problem) => tracing::warn!("{setting}: {problem}"),
            }
        }
    }

    fn parse(&self) -> Result<ServerConfig, Vec<String>> {
        let cert = self.cert.as_ref().map_err(String::clone).and_then(Pem::certificates);
        let key = self.key.as_ref().map_err(String::clone).and_then(Pem::key);
        let roots = self.client_ca.as_ref().map(|ca| ca.as_ref().map_err(String::clone).and_then(Pem::roots));
        let (cert, key, roots) = match (cert, key, roots.transpose()) {
            (Ok(cert), Ok(key), Ok(roots)) => (cert, key, roots),
            (cert, key, roots) => {
                let problems =
                    [("TLS_CERT", cert.err()), ("TLS_KEY", key.err()), ("TLS_CLIENT_CA", roots.err())];
                let problems =
                    problems.into_iter().filter_map(|(setting, problem)| Some((setting, problem?)));
                return Err(problems.map(|(setting, problem)| format!("{setting}: {problem}")).collect());
            }
        };
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let config = config.map_err(config_errors)?;
        let config = match roots {
            None => config.with_no_client_auth(),
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
                config.with_client_cert_verifier(
                    verifier.map_err(|error| vec![format!("TLS_CLIENT_CA: it cannot be used: {error}")])?,
                )
            }
        };
        let mut config = config.with_single_cert(cert, key).map_err(config_errors)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Describes why a certificate is not valid now, or will not be soon. The times are in seconds since 1970.
fn problem(validity: &RangeInclusive<u64>, now: u64) -> Option<String> {
    const SOON: u64 = 14 * 24 * 60 * 60;
    let time = |seconds: u64| {
        let time =
            i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_milliseconds(seconds * 1000));
        time.map_or_else(|| format!("{seconds} s after 1970"), |time| time.to_string())
    };
    let (start, end) = (*validity.start(), *validity.end());
    if now > end {
        Some(format!("has expired: it was valid until {}", time(end)))
    } else if now < start {
        Some(format!("is not valid before {}", time(start)))
    } else if end - now < SOON {
        Some(format!("expires soon: it is valid until {}", time(end)))
    } else {
        None
    }
}

fn config_errors(error: rustls::Error) -> Vec<String> {
    vec![match error {
        rustls::Error::InconsistentKeys(_) => {
            "TLS_KEY: it is not the key of the first certificate in TLS_CERT; give the one that is".to_owned()
        }
        error => format!(
            "TLS_CERT: it cannot be used with TLS_KEY: {error}; keys are RSA of 2048 to 4096 bits, ECDSA on P-256 or \
             P-384, or Ed25519"
        ),
    }]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    #[test]
    fn a_certificate_that_is_not_valid_now_or_soon_is_a_problem() {
        const DAY: u64 = 24 * 60 * 60;
        let validity = 10 * DAY..=100 * DAY;
        for (now, problem_now) in [
            (10 * DAY - 1, Some("is not valid before 1970-01-11T00:00:00.000Z")),
            (10 * DAY, None),
            (86 * DAY, None),
            (86 * DAY + 1, Some("expires soon: it is valid until 1970-04-11T00:00:00.000Z")),
            (100 * DAY, Some("expires soon: it is valid until 1970-04-11T00:00:00.000Z")),
            (100 * DAY + 1, Some("has expired: it was valid until 1970-04-11T00:00:00.000Z")),
        ] {
            assert_eq!(problem(&validity, now).as_deref(), problem_now);
        }
    }

    #[tokio::test]
    async fn unusable_files_are_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let CertifiedKey { cert: own, signing_key } = generate_simple_self_signed(Vec::new()).unwrap();
        fs::write(&cert, own.pem()).unwrap();
        fs::write(&key, signing_key.serialize_pem()).unwrap();
        let tls = Tls::open(TlsFiles { cert: cert.clone(), key, client_ca: None }).unwrap();
        let mut seen = tls.initial.clone();
        assert!(tls.reload(&mut seen).await.is_none());

        fs::write(&cert, "no certificate").unwrap();
        let problems = tls.reload(&mut seen).await.unwrap().unwrap_err();
        assert!(problems[0].starts_with("TLS_CERT: "), "{problems:?}");
        assert!(tls.reload(&mut seen).await.is_none());

        fs::write(&cert, own.pem()).unwrap();
        tls.reload(&mut seen).await.unwrap().unwrap();
        assert!(tls.reload(&mut seen).await.is_none());
    }
}
