//! What a request shows to be let in.

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue, header};

use crate::{Dialect, InvalidConfig};

/// What a request shows to be let in. Its value appears in no `Debug` and in no error.
#[derive(Clone)]
pub struct Credential(Place);

#[derive(Clone)]
enum Place {
    Header(HeaderName, HeaderValue),
    /// Name and value, already percent-encoded.
    Query(Arc<str>, Arc<str>),
}

impl Credential {
    /// `Authorization: Bearer <token>`.
    ///
    /// # Errors
    ///
    /// `credential` if the token is empty or holds what a header cannot.
    pub fn bearer(token: impl AsRef<str>) -> Result<Self, InvalidConfig> {
        let token = non_empty(token.as_ref())?;
        Self::header(header::AUTHORIZATION.as_str(), format!("Bearer {token}"))
    }

    /// A header of its own, such as `x-api-key` or `x-goog-api-key`. The value is marked sensitive.
    ///
    /// # Errors
    ///
    /// `credential` if the name is no header name, or the value is empty or holds what a header cannot.
    pub fn header(name: impl AsRef<str>, value: impl AsRef<str>) -> Result<Self, InvalidConfig> {
        let name = name.as_ref().parse().map_err(|_| InvalidConfig::new("credential", "its header's name is invalid"))?;
        let mut value: HeaderValue = non_empty(value.as_ref())?
            .parse()
            .map_err(|_| InvalidConfig::new("credential", "its value cannot stand in a header"))?;
        value.set_sensitive(true);
        Ok(Self(Place::Header(name, value)))
    }

    /// A key, where the providers look for it who speak `dialect`: Anthropic's in `x-api-key`, Gemini's in `x-goog-api-key`, all others as a
    /// bearer token.
    ///
    /// # Errors
    ///
    /// `credential` if the key is empty or holds what a header cannot.
    pub fn of(dialect: Dialect, key: impl AsRef<str>) -> Result<Self, InvalidConfig> {
        match dialect {
            Dialect::Anthropic => Self::header("x-api-key", key),
            Dialect::Gemini => Self::header("x-goog-api-key", key),
            _ => Self::bearer(key),
        }
    }

    /// A query parameter, such as Gemini's `key`. URIs end up in logs: prefer a header where the provider takes one.
    ///
    /// # Errors
    ///
    /// `credential` if the name or the value is empty.
    pub fn query(name: impl AsRef<str>, value: impl AsRef<str>) -> Result<Self, InvalidConfig> {
        let encode = |s: &str| Ok::<Arc<str>, InvalidConfig>(percent_encode(non_empty(s)?).into());
        Ok(Self(Place::Query(encode(name.as_ref())?, encode(value.as_ref())?)))
    }

    /// The header that carries it, if a header does.
    #[must_use]
    pub fn as_header(&self) -> Option<(&HeaderName, &HeaderValue)> {
        match &self.0 {
            Place::Header(name, value) => Some((name, value)),
            Place::Query(..) => None,
        }
    }

    /// The query parameter that carries it, percent-encoded, if one does.
    #[must_use]
    pub fn as_query(&self) -> Option<(&str, &str)> {
        match &self.0 {
            Place::Query(name, value) => Some((name, value)),
            Place::Header(..) => None,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Header(name, _) => write!(f, "Credential({name}: <hidden>)"),
            Place::Query(name, _) => write!(f, "Credential(?{name}=<hidden>)"),
        }
    }
}

fn non_empty(text: &str) -> Result<&str, InvalidConfig> {
    if text.is_empty() { Err(InvalidConfig::new("credential", "is empty")) } else { Ok(text) }
}

/// Encodes all but RFC 3986's unreserved characters.
fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}
