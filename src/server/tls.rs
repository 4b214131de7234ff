//! TLS to callers, with certificates that may be replaced while the server runs.

use std::fmt;
use std::io::{self, Cursor};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, join, split};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, ServerConfig};

use super::worker::PREFACE;
use crate::pem::{Pem, provider};

/// How often the files are looked at. Wherever they come from, and by whatever links, their content tells.
const PERIOD: Duration = Duration::from_secs(1);

/// What HTTP/2 is called when protocols are agreed on (RFC 9113, section 3.1).
const H2: &[u8] = b"h2";

/// Where the certificates are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate, and after it those that it is signed by, but for the last.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The certificates one of which every caller's certificate is signed by; callers need none without it.
    pub client_ca: Option<PathBuf>,
}

/// How connections from callers are encrypted. Its clones change together.
#[derive(Clone)]
pub struct Tls {
    files: Arc<TlsFiles>,
    /// What was in the files at first.
    opened: Arc<Contents>,
    current: watch::Sender<Arc<ServerConfig>>,
}

/// What is in the files.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Result<Pem, String>,
    key: Result<Pem, String>,
    client_ca: Option<Result<Pem, String>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them, each beginning with the name of its setting.
    pub fn open(files: TlsFiles) -> Result<Self, Vec<String>> {
        let opened = files.read();
        let current = watch::Sender::new(Arc::new(opened.parse()?));
        Ok(Self { files: Arc::new(files), opened: Arc::new(opened), current })
    }

    /// Takes on what the files are changed to, as long as this is polled. What cannot be used is told once, and what
    /// was in them before stays in use. Connections keep what they began with.
    pub(super) async fn watch(self) {
        let mut seen = self.opened.clone();
        loop {
            sleep(PERIOD).await;
            match self.look(&mut seen).await {
                None => {}
                Some(Ok(())) => {
                    tracing::info!("new connections get the certificate that is in TLS_CERT now");
                }
                Some(Err(problems)) => {
                    let problems = problems.join("; ");
                    tracing::warn!(
                        problems,
                        "the certificate stays as it was, since the files cannot be used"
                    );
                }
            }
        }
    }

    /// Takes on what is in the files when that is not what was seen last; `None` when it is.
    async fn look(&self, seen: &mut Arc<Contents>) -> Option<Result<(), Vec<String>>> {
        let files = self.files.clone();
        let found = spawn_blocking(move || files.read()).await.ok().filter(|found| *found != **seen)?;
        let parsed = found.parse();
        *seen = Arc::new(found);
        Some(parsed.map(|config| drop(self.current.send_replace(Arc::new(config)))))
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
        let config = config.map_err(unusable)?;
        let config = match roots {
            None => config.with_no_client_auth(),
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
                config.with_client_cert_verifier(
                    verifier.map_err(|error| vec![format!("TLS_CLIENT_CA: it cannot be used: {error}")])?,
                )
            }
        };
        let mut config = config.with_single_cert(cert, key).map_err(unusable)?;
        config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// One that is not the certificate's is the only key that can be read and not used.
fn unusable(error: rustls::Error) -> Vec<String> {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            vec![
                "TLS_KEY: it is not the key of the first certificate in TLS_CERT; give the one that is"
                    .to_owned(),
            ]
        }
        error => vec![format!("TLS_CERT: it cannot be used with TLS_KEY: {error}")],
    }
}

/// Which protocol is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Shakes hands, and waits for what HTTP/2 begins with, as it is waited for without a limit of time later. A caller
/// who asks for no protocol gets HTTP/1.1.
pub(super) async fn accept(
    acceptor: TlsAcceptor,
    stream: TcpStream,
) -> io::Result<(Protocol, impl AsyncRead + AsyncWrite + Unpin + Send + 'static)> {
    let mut stream = acceptor.accept(stream).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
    let mut begun = vec![0; if is_http2 { PREFACE.len() } else { 0 }];
    stream.read_exact(&mut begun).await?;
    let (reader, writer) = split(stream);
    let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
    Ok((protocol, join(Cursor::new(begun).chain(reader), writer)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    #[tokio::test]
    async fn what_cannot_be_used_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let CertifiedKey { cert: own, signing_key } = generate_simple_self_signed(Vec::new()).unwrap();
        fs::write(&cert, own.pem()).unwrap();
        fs::write(&key, signing_key.serialize_pem()).unwrap();
        let tls = Tls::open(TlsFiles { cert: cert.clone(), key, client_ca: None }).unwrap();
        let mut seen = tls.opened.clone();
        assert!(tls.look(&mut seen).await.is_none());

        fs::write(&cert, "no certificate").unwrap();
        let problems = tls.look(&mut seen).await.unwrap().unwrap_err();
        assert!(problems[0].starts_with("TLS_CERT: "), "{problems:?}");
        assert!(tls.look(&mut seen).await.is_none());

        fs::write(&cert, own.pem()).unwrap();
        tls.look(&mut seen).await.unwrap().unwrap();
        assert!(tls.look(&mut seen).await.is_none());
    }
}
