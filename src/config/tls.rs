//! The settings of TLS to callers.

use std::path::PathBuf;

use clap::Args;

use crate::server::{Tls, TlsFiles};

/// Those of the settings that say how connections from callers are encrypted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings of TLS")]
pub(super) struct Encryption {
    /// The server's certificate and those that it is signed by, in PEM; with TLS_KEY, all is served over TLS. The files
    /// may be replaced at any time
    #[arg(long = "tls-cert", env = "TLS_CERT", global = true, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// The private key of TLS_CERT, in PEM
    #[arg(long = "tls-key", env = "TLS_KEY", global = true, value_name = "FILE")]
    key: Option<PathBuf>,

    /// Certificates in PEM, one of which every caller's certificate must be signed by
    #[arg(long = "tls-client-ca", env = "TLS_CLIENT_CA", global = true, value_name = "FILE")]
    client_ca: Option<PathBuf>,
}

impl Encryption {
    /// Reads the files. What is wrong begins with the name of its setting.
    pub(super) fn parse(self) -> Result<Option<Tls>, Vec<String>> {
        let files = match (self.cert, self.key, self.client_ca) {
            (None, None, None) => return Ok(None),
            (Some(cert), Some(key), client_ca) => TlsFiles { cert, key, client_ca },
            (None, None, Some(_)) => {
                let missing = "TLS_CLIENT_CA: it needs TLS_CERT and TLS_KEY; set both, or unset it";
                return Err(vec![missing.to_owned()]);
            }
            (Some(_), None, _) | (None, Some(_), _) => {
                let missing = "TLS_CERT and TLS_KEY: one is set without the other; set both to files in PEM, or neither";
                return Err(vec![missing.to_owned()]);
            }
        };
        Tls::open(files).map(Some)
    }
}
