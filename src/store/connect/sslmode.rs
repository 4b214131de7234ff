//! TLS parameters of a connection string, with [libpq]'s meaning. The client library's parser does not support all of
//! them.
//!
//! [libpq]: https://www.postgresql.org/docs/current/libpq-ssl.html

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::SslMode;

use super::Tls;
use super::tls::{Check, Identity, Roots};

/// The values of the parameters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TlsParameters {
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    sslcert: Option<String>,
    sslkey: Option<String>,
    gssencmode: Option<String>,
    /// The problem of the first parameter that is not supported.
    problem: Option<String>,
    /// Whether the parameter before is a password.
    is_after_password: bool,
}

/// The parameters of the client library.
const OF_CLIENT: [&str; 18] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

/// Splits the parameters off a connection string or URI. A text that cannot be parsed is returned as it is: the client
/// library rejects it. The error names the parameter or the scheme that is not supported.
pub(super) fn split(text: &str) -> Result<(String, TlsParameters), String> {
    let mut taken = TlsParameters::default();
    let rest = match text.split_once("://") {
        Some(("postgres" | "postgresql", _)) => split_uri(text, &mut taken),
        Some((scheme, _))
            if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) =>
        {
            return Err(format!("it begins with {scheme}://; use postgres://"));
        }
        Some(_) | None => split_pairs(text, &mut taken),
    };
    if let Some(problem) = taken.problem.take() {
        return Err(problem);
    }
    match taken.gssencmode.as_deref() {
        None | Some("disable" | "prefer") => {}
        Some(mode) => {
            return Err(format!("gssencmode={mode} is not supported; use gssencmode=disable and sslmode"));
        }
    }
    Ok(match rest {
        Some(rest) => (rest, taken),
        None => (text.to_owned(), TlsParameters::default()),
    })
}

fn split_uri(text: &str, taken: &mut TlsParameters) -> Option<String> {
    // A password may contain a question mark.
    let user = text.find('@').unwrap_or(0);
    let query = text[user..].find('?').map_or(text.len(), |place| user + place);
    let (rest, query) = text.split_at(query);
    let mut kept = Vec::new();
    for pair in query.split(['?', '&']).skip(1) {
        let place = pair.split_once('=').and_then(|(name, value)| Some((taken.place(name)?, value)));
        match place {
            Some((place, value)) => *place = Some(percent_decode_str(value).decode_utf8().ok()?.into_owned()),
            None => kept.push(pair),
        }
    }
    let separator = if kept.is_empty() { "" } else { "?" };
    Some(format!("{rest}{separator}{}", kept.join("&")))
}

fn split_pairs(text: &str, taken: &mut TlsParameters) -> Option<String> {
    let (mut rest, mut kept) = (text, String::new());
    while !rest.trim_start().is_empty() {
        let (name, value) = rest.split_once('=')?;
        let (value, after) = read_value(value.trim_start())?;
        match taken.place(name.trim()) {
            Some(place) => *place = Some(value),
            None => kept.push_str(&rest[..rest.len() - after.len()]),
        }
        rest = after;
    }
    Some(kept)
}

/// Returns the value at the beginning of a text, and the rest.
fn read_value(text: &str) -> Option<(String, &str)> {
    let (inner, is_quoted) = text.strip_prefix('\'').map_or((text, false), |inner| (inner, true));
    let (mut chars, mut value) = (inner.chars(), String::new());
    loop {
        let after = chars.as_str();
        match chars.next() {
            Some('\\') => value.extend(chars.next()),
            Some('\'') if is_quoted => return Some((value, chars.as_str())),
            Some(white) if white.is_whitespace() && !is_quoted => return Some((value, after)),
            Some(other) => value.push(other),
            None => return (!is_quoted).then_some((value, after)),
        }
    }
}

impl TlsParameters {
    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        let is_after_password = std::mem::replace(&mut self.is_after_password, name == "password");
        match name {
            "sslmode" => Some(&mut self.sslmode),
            "sslrootcert" => Some(&mut self.sslrootcert),
            "sslcert" => Some(&mut self.sslcert),
            "sslkey" => Some(&mut self.sslkey),
            "gssencmode" => Some(&mut self.gssencmode),
            known if OF_CLIENT.contains(&known) => None,
            _ => {
                let problem = if is_after_password {
                    // The name may be a part of the password.
                    "its password has a space, or an unknown parameter follows it; write password='…'"
                        .to_owned()
                } else {
                    format!("it has the parameter {name:?}, which is not supported; remove it")
                };
                self.problem.get_or_insert(problem);
                None
            }
        }
    }

    /// Parses the values and reads the files that they name.
    pub(super) fn parse(self) -> Result<(SslMode, Tls), String> {
        let is_system = self.sslrootcert.as_deref() == Some("system");
        let mode = self.sslmode.as_deref().unwrap_or(if is_system { "verify-full" } else { "prefer" });
        if is_system && mode != "verify-full" {
            return Err(format!(
                "sslrootcert=system trusts certificates that anyone can get; use it with sslmode=verify-full, not {mode}"
            ));
        }
        let roots = match self.sslrootcert {
            Some(_) if is_system => Roots::of_system().map(Some)?,
            file => file.map(|file| Roots::File(file.into())),
        };
        let missing = || {
            format!(
                "sslmode={mode} needs a sslrootcert; name the file with the certificate that signed the server's, or use \
                 system for the system's certificates"
            )
        };
        let (mode, check) = match (mode, roots) {
            ("disable", _) => return Ok((SslMode::Disable, Tls::default())),
            ("prefer", _) => (SslMode::Prefer, Check::None),
            ("require", None) => (SslMode::Require, Check::None),
            ("require" | "verify-ca", Some(roots)) => (SslMode::Require, Check::Signer(roots)),
            ("verify-full", Some(roots)) => (SslMode::Require, Check::SignerAndHost(roots)),
            ("verify-ca" | "verify-full", None) => return Err(missing()),
            (other, _) => {
                return Err(format!(
                    "{other:?} is not a valid sslmode; use disable, prefer, require, verify-ca or verify-full"
                ));
            }
        };
        let identity = match (self.sslcert, self.sslkey) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(Identity { cert: PathBuf::from(cert), key: PathBuf::from(key) }),
            (Some(_), None) | (None, Some(_)) => {
                return Err("sslcert and sslkey belong together; set both or none".to_owned());
            }
        };
        Ok((mode, Tls::new(check, identity)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(sslmode: &str, sslrootcert: &str) -> TlsParameters {
        TlsParameters {
            sslmode: Some(sslmode.to_owned()),
            sslrootcert: Some(sslrootcert.to_owned()),
            ..TlsParameters::default()
        }
    }

    #[test]
    fn parameters_are_split_off_at_any_place() {
        for (text, rest) in [
            (
                "postgres://u:a?b@h/d?sslmode=verify-ca&connect_timeout=3&sslrootcert=%2Fa+b%20c",
                "postgres://u:a?b@h/d?connect_timeout=3",
            ),
            ("postgresql://h?sslrootcert=/a+b%20c&sslmode=verify-ca", "postgresql://h"),
            (
                "host=h sslmode = verify-ca user='a\\'sslmode=b' sslrootcert='/a+b c'",
                "host=h user='a\\'sslmode=b'",
            ),
            ("sslmode=verify-ca sslrootcert=/a+b\\ c host=h", " host=h"),
        ] {
            assert_eq!(split(text), Ok((rest.to_owned(), given("verify-ca", "/a+b c"))), "{text}");
        }
    }

    #[test]
    fn an_invalid_text_is_returned_as_it_is() {
        for text in ["host='h sslmode=require", "sslmode", "postgres://h?sslmode=%ff"] {
            assert_eq!(split(text), Ok((text.to_owned(), TlsParameters::default())));
        }
    }

    #[test]
    fn an_unknown_scheme_or_parameter_is_named_without_its_value() {
        for (text, named) in [
            ("mysql://user:secret@h/d", "mysql://"),
            ("postgres://h/d?sslcrl=secret&passfile=x", "\"sslcrl\""),
            ("host=h passfile=secret", "\"passfile\""),
            ("host=h password=very secret=1", "its password has a space"),
            ("postgres://h/d?gssencmode=require", "gssencmode=require"),
        ] {
            let problem = split(text).unwrap_err();
            assert!(problem.contains(named) && !problem.contains("secret"), "{problem}");
        }
        for text in ["postgres://h/d?gssencmode=disable", "host=h gssencmode=prefer"] {
            split(text).unwrap();
        }
    }

    #[test]
    fn the_default_is_to_prefer_encryption() {
        assert_eq!(TlsParameters::default().parse().unwrap().0, SslMode::Prefer);
    }

    #[test]
    fn no_file_is_read_without_encryption() {
        assert_eq!(given("disable", "/nowhere").parse().unwrap().0, SslMode::Disable);
    }
}
