//! Settings of TLS between callers and the service.

use std::path::PathBuf;

use clap::Args;

use super::{Checked, Problems};
use crate::listen::{Tls, TlsFiles};

#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsSettings {
    /// The server's certificate chain, in PEM; with TLS_KEY, the service accepts only TLS. The files are read again when
    /// they change
    #[arg(long = "tls-cert", env = "TLS_CERT", value_name = "FILE")]
    cert: Option<PathBuf>,

    /// The private key of TLS_CERT, in PEM
    #[arg(long = "tls-key", env = "TLS_KEY", value_name = "FILE")]
    key: Option<PathBuf>,

    /// CA certificates in PEM; every caller needs a certificate that one of them signed
    #[arg(long = "tls-client-ca", env = "TLS_CLIENT_CA", value_name = "FILE")]
    client_ca: Option<PathBuf>,
}

impl TlsSettings {
    /// Reads the files.
    pub(super) fn check(self, problems: &mut Problems) -> Checked<Option<Tls>> {
        let files = match (self.cert, self.key, self.client_ca) {
            (None, None, None) => return Some(None),
            (Some(cert), Some(key), client_ca) => TlsFiles { cert, key, client_ca },
            (None, None, Some(_)) => {
                let missing = "TLS_CLIENT_CA: it needs TLS_CERT and TLS_KEY; set both, or unset it";
                problems.0.push(missing.to_owned());
                return None;
            }
            (Some(_), None, _) | (None, Some(_), _) => {
                let missing = "TLS_CERT and TLS_KEY: one is set without the other; set both to files in PEM, or neither";
                problems.0.push(missing.to_owned());
                return None;
            }
        };
        Tls::open(files).map(Some).map_err(|found| problems.0.extend(found)).ok()
    }
}
