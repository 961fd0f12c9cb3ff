//! The file: what it may say, and what is wrong with it.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt, fs,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64},
    ops::Range,
    path::Path,
    time::Duration,
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use towline::Dialect;

/// All of it. There is no `[state]` yet: circuits, limits and budgets live in memory, and a section of that name will share them
/// between gateways.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    pub(crate) listen: Address,
    #[serde(default)]
    pub(crate) max_body: Size,
    pub(crate) auth: Option<Auth>,
    pub(crate) providers: BTreeMap<String, Spanned<Provider>>,
    pub(crate) models: Vec<Spanned<Model>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    pub(crate) keys_env: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    pub(crate) dialect: Speaks,
    pub(crate) base_url: Spanned<String>,
    pub(crate) api_key_env: Option<Spanned<String>>,
    pub(crate) api_key: Option<Spanned<String>>,
    pub(crate) api_keys: Option<Spanned<Vec<String>>>,
    pub(crate) requests_per_minute: Option<NonZeroU32>,
    pub(crate) burst: Option<NonZeroU32>,
    pub(crate) tokens_per_minute: Option<NonZeroU64>,
    pub(crate) circuit_breaker: Option<Spanned<Breaker>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Breaker {
    pub(crate) failure_threshold: Option<u32>,
    pub(crate) window: Option<Time>,
    pub(crate) open_for: Option<Time>,
    pub(crate) probes: Option<u32>,
    pub(crate) success_threshold: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    pub(crate) name: Spanned<String>,
    pub(crate) preset: Option<Spanned<String>>,
    pub(crate) max_elapsed: Option<Spanned<Time>>,
    pub(crate) backoff: Option<Spanned<Backoff>>,
    pub(crate) targets: Spanned<Vec<Spanned<Destination>>>,
    #[serde(default)]
    pub(crate) context_window_targets: Vec<Spanned<Destination>>,
    #[serde(default)]
    pub(crate) content_policy_targets: Vec<Spanned<Destination>>,
    pub(crate) degrade: Option<Spanned<Substitute>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backoff {
    pub(crate) base: Time,
    pub(crate) max: Time,
}

/// A target, as it stands in a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Destination {
    pub(crate) provider: Spanned<String>,
    pub(crate) model: Spanned<String>,
    pub(crate) retries: Option<u32>,
    pub(crate) first_token_timeout: Option<Spanned<Time>>,
    pub(crate) timeout: Option<Spanned<Time>>,
    pub(crate) fallback_on: Option<Vec<Kind>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Substitute {
    pub(crate) text: Option<String>,
    pub(crate) cache: Option<Time>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Speaks {
    OpenAi,
    Responses,
    Anthropic,
    Gemini,
}

impl Model {
    /// All targets, of whatever role.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = &Spanned<Destination>> {
        self.targets.get_ref().iter().chain(&self.context_window_targets).chain(&self.content_policy_targets)
    }
}

impl From<Speaks> for Dialect {
    fn from(speaks: Speaks) -> Self {
        match speaks {
            Speaks::OpenAi => Self::OpenAiChat,
            Speaks::Responses => Self::OpenAiResponses,
            Speaks::Anthropic => Self::Anthropic,
            Speaks::Gemini => Self::Gemini,
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Address(pub(crate) SocketAddr);

#[derive(Clone, Copy)]
pub(crate) struct Size(pub(crate) usize);

#[derive(Clone, Copy)]
pub(crate) struct Time(pub(crate) Duration);

/// The name of a failure kind.
pub(crate) struct Kind(pub(crate) &'static str);

pub(crate) const KINDS: [&str; 14] = [
    "rate_limit",
    "quota_exhausted",
    "overloaded",
    "server_error",
    "timeout",
    "connect",
    "transport",
    "auth",
    "permission",
    "not_found",
    "payload_too_large",
    "malformed",
    "circuit_open",
    "limited_locally",
];

impl Default for Address {
    fn default() -> Self {
        Self(SocketAddr::from(([127, 0, 0, 1], 8080)))
    }
}

impl Default for Size {
    fn default() -> Self {
        Self(32 << 20)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, r#"an address and a port, such as "127.0.0.1:8080""#, |text| text.parse().ok().map(Self))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
        let size = |text: &str| usize::try_from(number(text, &UNITS)?).ok().map(Self);
        read(deserializer, r#"a size above zero, such as "512KiB" or "32MiB""#, size)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
        let time = |text: &str| number(text, &UNITS).map(|millis| Self(Duration::from_millis(millis)));
        read(deserializer, r#"a time above zero, such as "500ms", "30s", "5m" or "1h""#, time)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        KINDS.into_iter().find(|kind| *kind == text).map(Self).ok_or_else(|| D::Error::unknown_variant(&text, &KINDS))
    }
}

/// A whole number above zero, with one of these units behind it.
fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, each) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*each).filter(|n| *n > 0)
}

fn read<'de, D: Deserializer<'de>, T>(deserializer: D, right: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    read(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &right))
}

/// A file's name and text.
pub(crate) struct Source {
    name: String,
    text: String,
}

/// What is wrong with a part of the text.
pub(crate) struct Problem {
    span: Option<Range<usize>>,
    what: String,
}

/// What is wrong with a file: its name, the line, the field, and what would be right. It quotes no key.
#[derive(Debug)]
pub(crate) struct Invalid(String);

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, Invalid> {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => Err(Invalid(format!("{name}: cannot be read: {error}"))),
        }
    }

    pub(crate) fn new(name: &str, text: String) -> Self {
        Self { name: name.to_owned(), text }
    }

    pub(crate) fn config(&self) -> Result<Config, Invalid> {
        // Rust's names of numbers mean nothing to who writes a file.
        let plain = |message: &str| {
            message.replace("u32", "whole number").replace("u64", "whole number").replace("expected whole", "expected a whole")
        };
        toml::from_str(&self.text).map_err(|error| self.invalid(&Problem { span: error.span(), what: plain(error.message()) }))
    }

    pub(crate) fn invalid(&self, problem: &Problem) -> Invalid {
        let Some(span) = &problem.span else { return Invalid(format!("{}: {}", self.name, problem.what)) };
        let line = self.text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1);
        let table = DeTable::parse(&self.text).ok();
        let field = table.and_then(|table| path(&DeValue::Table(table.into_inner()), span)).unwrap_or_default();
        // What stands in the place of a key may be one, also where it is of the wrong type.
        let what = match field.rsplit('.').next().and_then(|last| last.split('[').next()) {
            Some("api_key") => "expected one string",
            Some("api_keys") => "expected a list of strings",
            _ => &problem.what,
        };
        let colon = if field.is_empty() { "" } else { ": " };
        Invalid(format!("{}:{line}: {field}{colon}{what}", self.name))
    }
}

/// The path of the value, or of the key, that stands exactly there.
fn path(value: &DeValue<'_>, span: &Range<usize>) -> Option<String> {
    let below = |name: String, value: &Spanned<DeValue<'_>>| match path(value.get_ref(), span) {
        _ if value.span() == *span => Some(name),
        Some(rest) if rest.starts_with('[') => Some(name + &rest),
        rest => rest.map(|rest| format!("{name}.{rest}")),
    };
    match value {
        DeValue::Table(table) => table.iter().find_map(|(key, value)| {
            if key.span() == *span { Some(key.get_ref().to_string()) } else { below(key.get_ref().to_string(), value) }
        }),
        DeValue::Array(items) => items.iter().enumerate().find_map(|(nth, item)| below(format!("[{nth}]"), item)),
        _ => None,
    }
}

impl Problem {
    pub(crate) fn at<T>(place: &Spanned<T>, what: impl fmt::Display) -> Self {
        Self { span: Some(place.span()), what: what.to_string() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}
