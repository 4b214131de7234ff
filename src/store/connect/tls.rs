//! TLS of connections to PostgreSQL.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_postgres::Socket;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::pem::{Pem, provider};

/// TLS connector. Cheap to clone.
///
/// It reads its files for every connection, as libpq does, so that they can be replaced at any time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tls(Arc<Settings>);

#[derive(Debug, Default)]
struct Settings {
    check: Check,
    identity: Option<Identity>,
}

/// The checks of the server's certificate.
#[derive(Debug, Default)]
pub(super) enum Check {
    #[default]
    None,
    Signer(Roots),
    SignerAndHost(Roots),
}

/// The trusted certificates.
#[derive(Debug)]
pub(super) enum Roots {
    File(PathBuf),
    System(Arc<RootCertStore>),
}

/// The files of the client certificate and its key.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

impl Tls {
    pub(super) fn new(check: Check, identity: Option<Identity>) -> Result<Self, String> {
        let tls = Self(Arc::new(Settings { check, identity }));
        tls.config()?;
        Ok(tls)
    }

    fn config(&self) -> Result<ClientConfig, String> {
        let unusable = |error: Error| format!("sslcert: it cannot be used with this sslkey: {error}");
        let verifier: Arc<dyn ServerCertVerifier> = match &self.0.check {
            Check::None => Arc::new(NoHostnameVerifier { roots: None, provider: provider() }),
            Check::Signer(roots) => {
                Arc::new(NoHostnameVerifier { roots: Some(roots.get()?), provider: provider() })
            }
            Check::SignerAndHost(roots) => {
                let verifier = WebPkiServerVerifier::builder_with_provider(roots.get()?, provider());
                verifier.build().map_err(|error| format!("sslrootcert: it cannot be used: {error}"))?
            }
        };
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.0.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let (cert, key) = (Pem::read(&identity.cert), Pem::read(&identity.key));
                let cert = cert.and_then(|cert| cert.certificates());
                let key = key.and_then(|key| key.key());
                let cert = cert.map_err(|problem| format!("sslcert: {problem}"))?;
                let key = key.map_err(|problem| format!("sslkey: {problem}"))?;
                config.with_client_auth_cert(cert, key).map_err(unusable)?
            }
        };
        // Required by sslnegotiation=direct.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(config)
    }
}

impl Roots {
    fn get(&self) -> Result<Arc<RootCertStore>, String> {
        match self {
            Self::File(path) => {
                let roots = Pem::read(path).and_then(|pem| pem.roots());
                roots.map_err(|problem| format!("sslrootcert: {problem}"))
            }
            Self::System(roots) => Ok(roots.clone()),
        }
    }

    /// Reads the certificates that the system trusts.
    pub(super) fn of_system() -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        if roots.add_parsable_certificates(found.certs).0 == 0 {
            let why: Vec<_> = found.errors.iter().map(|error| format!(" ({error})")).collect();
            return Err(format!(
                "sslrootcert=system: the system has no certificates{}; install ca-certificates, or name a file",
                why.concat()
            ));
        }
        Ok(Self::System(Arc::new(roots)))
    }
}

type Rustls = MakeRustlsConnect;

impl MakeTlsConnect<Socket> for Tls {
    type Stream = <Rustls as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <Rustls as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Self::TlsConnect> {
        let config = self.config().map_err(io::Error::other)?;
        let Ok(connect) = MakeTlsConnect::<Socket>::make_tls_connect(&mut Rustls::new(config), host);
        Ok(connect)
    }
}

/// Certificate verifier that ignores the host name. With roots, it checks the signer of the certificate; without, it
/// checks nothing. The server must still prove that it has the private key.
#[derive(Debug)]
struct NoHostnameVerifier {
    roots: Option<Arc<RootCertStore>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for NoHostnameVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let algorithms = self.provider.signature_verification_algorithms.all;
            let certificate = ParsedCertificate::try_from(end_entity)?;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
