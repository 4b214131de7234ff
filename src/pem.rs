//! Certificates and keys from PEM files, and the cryptography provider of all TLS connections.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// The content of a PEM file.
#[derive(PartialEq, Eq)]
pub(crate) struct Pem {
    path: PathBuf,
    text: Vec<u8>,
}

impl Pem {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read(path).map_err(|error| {
            format!("{} cannot be read ({error}); name a file that this user may read", path.display())
        })?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// Returns the certificates in the order of the file, at least one.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&self.text).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => Err(self.lacks("certificate", "CERTIFICATE")),
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(format!("{} is not valid PEM ({error})", self.path.display())),
        }
    }

    /// Returns the validity that all certificates of the file have in common, in seconds since 1970.
    pub(crate) fn validity(&self) -> Result<RangeInclusive<u64>, String> {
        let mut common = 0..=u64::MAX;
        for certificate in self.certificates()? {
            let certificate = Certificate::from_der(&certificate)
                .map_err(|error| format!("{} has no valid certificate ({error})", self.path.display()))?;
            let validity = certificate.tbs_certificate.validity;
            let seconds =
                [validity.not_before, validity.not_after].map(|time| time.to_unix_duration().as_secs());
            common = *common.start().max(&seconds[0])..=*common.end().min(&seconds[1]);
        }
        Ok(common)
    }

    /// Returns the private key. Encrypted keys are not supported.
    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>, String> {
        PrivateKeyDer::from_pem_slice(&self.text).map_err(|error| match error {
            pem::Error::NoItemsFound => self.lacks("private key without a password", "PRIVATE KEY"),
            error => format!("{} is not valid PEM ({error})", self.path.display()),
        })
    }

    /// Returns the certificates as trust anchors.
    pub(crate) fn roots(&self) -> Result<Arc<RootCertStore>, String> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| {
                format!("{} has a certificate that cannot be a trust anchor ({error})", self.path.display())
            })?;
        }
        Ok(Arc::new(roots))
    }

    fn lacks(&self, what: &str, label: &str) -> String {
        let path = self.path.display();
        format!("{path} has no {what}; name a PEM file with a line -----BEGIN {label}-----")
    }
}

/// Returns the cryptography provider.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
