//! The parameters of a connection string that say how it is encrypted, as [libpq] means them. The client's own parser
//! knows but some of them.
//!
//! [libpq]: https://www.postgresql.org/docs/current/libpq-ssl.html

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::SslMode;

use super::tls::{Check, Identity, Roots, Tls};

/// What was given of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    sslcert: Option<String>,
    sslkey: Option<String>,
}

/// Takes them out of a connection string or URI. What cannot be read is left for the client to refuse.
pub(super) fn take(text: &str) -> (String, Parameters) {
    let mut taken = Parameters::default();
    let rest = if ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
        take_of_uri(text, &mut taken)
    } else {
        take_of_string(text, &mut taken)
    };
    match rest {
        Some(rest) => (rest, taken),
        None => (text.to_owned(), Parameters::default()),
    }
}

fn take_of_uri(text: &str, taken: &mut Parameters) -> Option<String> {
    // A password may have a question mark in it.
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

fn take_of_string(text: &str, taken: &mut Parameters) -> Option<String> {
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

/// The value that a text begins with, and what comes after it.
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

impl Parameters {
    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "sslmode" => Some(&mut self.sslmode),
            "sslrootcert" => Some(&mut self.sslrootcert),
            "sslcert" => Some(&mut self.sslcert),
            "sslkey" => Some(&mut self.sslkey),
            _ => None,
        }
    }

    /// What they ask for, with all the files at hand that it needs.
    pub(super) fn parse(self) -> Result<(SslMode, Tls), String> {
        let is_system = self.sslrootcert.as_deref() == Some("system");
        let mode = self.sslmode.as_deref().unwrap_or(if is_system { "verify-full" } else { "prefer" });
        if is_system && mode != "verify-full" {
            return Err(format!(
                "anyone can have a certificate that sslrootcert=system trusts; give it with sslmode=verify-full, not {mode}"
            ));
        }
        let roots = match self.sslrootcert {
            Some(_) if is_system => Roots::of_system().map(Some)?,
            file => file.map(|file| Roots::File(file.into())),
        };
        let missing = || {
            format!(
                "sslmode={mode} needs a sslrootcert; give the file of the certificate that the server's is signed by, or \
                 system for those that the system trusts"
            )
        };
        let (mode, check) = match (mode, roots) {
            ("disable", _) => return Ok((SslMode::Disable, Tls::default())),
            ("prefer", _) => (SslMode::Prefer, Check::Nothing),
            ("require", None) => (SslMode::Require, Check::Nothing),
            ("require" | "verify-ca", Some(roots)) => (SslMode::Require, Check::Signer(roots)),
            ("verify-full", Some(roots)) => (SslMode::Require, Check::SignerAndHost(roots)),
            ("verify-ca" | "verify-full", None) => return Err(missing()),
            (other, _) => {
                return Err(format!(
                    "{other:?} is no sslmode; give disable, prefer, require, verify-ca or verify-full"
                ));
            }
        };
        let identity = match (self.sslcert, self.sslkey) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(Identity { cert: PathBuf::from(cert), key: PathBuf::from(key) }),
            (Some(_), None) | (None, Some(_)) => {
                return Err("sslcert and sslkey go together; give both, or none".to_owned());
            }
        };
        Ok((mode, Tls::new(check, identity)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(sslmode: &str, sslrootcert: &str) -> Parameters {
        Parameters {
            sslmode: Some(sslmode.to_owned()),
            sslrootcert: Some(sslrootcert.to_owned()),
            ..Parameters::default()
        }
    }

    #[test]
    fn they_are_taken_from_wherever_they_stand() {
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
            assert_eq!(take(text), (rest.to_owned(), given("verify-ca", "/a+b c")), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_as_it_is() {
        for text in ["host='h sslmode=require", "sslmode", "postgres://h?sslmode=%ff"] {
            assert_eq!(take(text), (text.to_owned(), Parameters::default()));
        }
    }

    #[test]
    fn without_any_a_connection_is_encrypted_where_the_server_offers_it() {
        assert_eq!(Parameters::default().parse().unwrap().0, SslMode::Prefer);
    }

    #[test]
    fn nothing_is_read_for_a_connection_that_is_not_to_be_encrypted() {
        assert_eq!(given("disable", "/nowhere").parse().unwrap().0, SslMode::Disable);
    }
}
