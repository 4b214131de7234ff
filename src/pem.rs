//! Certificates and keys from files in PEM, and the cryptography that both ends of the service use.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What is in a file.
#[derive(PartialEq, Eq)]
pub(crate) struct Pem {
    path: PathBuf,
    text: Vec<u8>,
}

impl Pem {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read(path).map_err(|error| {
            format!("{} cannot be read ({error}); give a file that this user may read", path.display())
        })?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// At least one certificate, in the order of the file.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&self.text).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => Err(self.lacks("certificate", "CERTIFICATE")),
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(format!("{} is no PEM ({error})", self.path.display())),
        }
    }

    /// The private key, which has no password.
    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>, String> {
        PrivateKeyDer::from_pem_slice(&self.text).map_err(|error| match error {
            pem::Error::NoItemsFound => self.lacks("private key without a password", "PRIVATE KEY"),
            error => format!("{} is no PEM ({error})", self.path.display()),
        })
    }

    /// The certificates as ones that others are signed by.
    pub(crate) fn roots(&self) -> Result<Arc<RootCertStore>, String> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| {
                format!("{} has a certificate that signs no others ({error})", self.path.display())
            })?;
        }
        Ok(Arc::new(roots))
    }

    fn lacks(&self, what: &str, label: &str) -> String {
        let path = self.path.display();
        format!("{path} has no {what}; give a file in PEM, which has a line -----BEGIN {label}-----")
    }
}

/// The algorithms, all of one library.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
