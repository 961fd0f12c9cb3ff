//! The file: what it may say, and what is wrong with it.

use std::{
    collections::BTreeMap,
    env, fs,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64},
    ops::Range,
    path::Path,
    time::Duration,
};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Unexpected},
};
use toml::de::{DeTable, DeValue};
use towline::{Dialect, InvalidConfig, Preset};

/// All of it. There is no `[state]` yet: circuits, limits and budgets live in memory, and a section of that name will share them
/// between gateways.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) listen: Option<Address>,
    max_body: Option<Size>,
    /// How long the head of a request may take to arrive, and how long its body.
    pub(crate) read_timeout: Option<Time>,
    pub(crate) auth: Option<Auth>,
    pub(crate) providers: BTreeMap<String, Provider>,
    pub(crate) models: Vec<Model>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    pub(crate) keys_env: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    pub(crate) dialect: Speaks,
    pub(crate) base_url: String,
    pub(crate) api_key_env: Option<String>,
    pub(crate) api_key: Option<String>,
    pub(crate) api_keys: Option<Vec<String>>,
    pub(crate) requests_per_minute: Option<NonZeroU32>,
    pub(crate) burst: Option<NonZeroU32>,
    pub(crate) tokens_per_minute: Option<NonZeroU64>,
    pub(crate) circuit_breaker: Option<Breaker>,
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
    pub(crate) name: String,
    pub(crate) preset: Option<Use>,
    pub(crate) max_elapsed: Option<Time>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) targets: Vec<Destination>,
    #[serde(default)]
    pub(crate) context_window_targets: Vec<Destination>,
    #[serde(default)]
    pub(crate) content_policy_targets: Vec<Destination>,
    pub(crate) degrade: Option<Substitute>,
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
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) retries: Option<u32>,
    pub(crate) first_token_timeout: Option<Time>,
    pub(crate) timeout: Option<Time>,
    pub(crate) fallback_on: Option<Vec<Kind>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Substitute {
    pub(crate) text: Option<String>,
    pub(crate) cache: Option<Time>,
}

impl Config {
    /// In bytes.
    pub(crate) fn max_body(&self) -> usize {
        self.max_body.as_ref().map_or(32 << 20, |size| size.0)
    }

    /// All targets of all models, each with its model's preset.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = (&Destination, Option<&Preset>)> {
        self.models.iter().flat_map(|model| {
            let preset = model.preset.as_ref().map(|preset| &preset.0);
            model.destinations().map(move |(_, to)| (to, preset))
        })
    }
}

impl Model {
    /// All targets, of whatever role, each with its field.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = (String, &Destination)> {
        let lists = [
            ("targets", &self.targets),
            ("context_window_targets", &self.context_window_targets),
            ("content_policy_targets", &self.content_policy_targets),
        ];
        lists.into_iter().flat_map(|(list, all)| all.iter().enumerate().map(move |(nth, to)| (format!("{list}[{nth}]"), to)))
    }
}

impl Destination {
    /// What it is called in headers, trails and metrics.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }
}

/// A value that is written as text, with what would be right and how it is read.
macro_rules! written {
    ($name:ident($of:ty), $right:expr, $read:expr) => {
        pub(crate) struct $name(pub(crate) $of);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (text, read): (_, fn(&str) -> Option<$of>) = (String::deserialize(deserializer)?, $read);
                read(&text).map(Self).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &$right))
            }
        }
    };
}

written!(Address(SocketAddr), r#"an address and a port, such as "127.0.0.1:8080""#, |text| text.parse().ok());
written!(Size(usize), r#"a size above zero, such as "512KiB" or "32MiB""#, |text| {
    usize::try_from(number(text, &[("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)])?).ok()
});
written!(Time(Duration), r#"a time above zero, such as "500ms", "30s", "5m" or "1h""#, |text| {
    number(text, &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)]).map(Duration::from_millis)
});
written!(Speaks(Dialect), "one of openai, responses, anthropic, gemini", |text| match text {
    "openai" => Some(Dialect::OpenAiChat),
    "responses" => Some(Dialect::OpenAiResponses),
    "anthropic" => Some(Dialect::Anthropic),
    "gemini" => Some(Dialect::Gemini),
    _ => None,
});
written!(Use(Preset), format!("one of {}", Preset::all().map(|preset| preset.name).join(", ")).as_str(), Preset::by_name);
written!(Kind(&'static str), format!("one of {KINDS}").as_str(), |text| KINDS.split(", ").find(|kind| *kind == text));

/// The failures that can be named.
pub(crate) const KINDS: &str = "rate_limit, quota_exhausted, overloaded, server_error, timeout, connect, transport, auth, \
                                permission, not_found, payload_too_large, malformed, circuit_open, limited_locally";

/// A whole number above zero, with one of these units behind it.
fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, each) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*each).filter(|n| *n > 0)
}

/// The value of a variable, which must be there.
pub(crate) fn env_var(name: &str, field: &str) -> Result<String, Problem> {
    let set = env::var(name).ok().filter(|value| !value.trim().is_empty());
    set.ok_or_else(|| Problem(field.to_owned(), format!("the environment variable {name} must be set, and not empty")))
}

/// A file's name and text.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A field, such as `models[0].targets`, and what is wrong with it.
pub(crate) struct Problem(pub(crate) String, pub(crate) String);

impl Problem {
    /// For what a layer says of its configuration.
    pub(crate) fn at(field: impl Into<String>) -> impl FnOnce(InvalidConfig) -> Self {
        let field = field.into();
        |error| Self(field, error.to_string().trim_start_matches("invalid configuration: ").to_owned())
    }
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| format!("{name}: cannot be read: {error}"))?;
        Ok(Self { name, text })
    }

    /// What the file says, or what is wrong with it: its name, the line, the field, and what would be right. That quotes no key.
    pub(crate) fn config(&self) -> Result<Config, String> {
        toml::from_str(&self.text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let field = self.places().into_iter().rev().find(|(_, place)| *place == span).map(|(field, _)| field);
            // Rust's names of numbers mean nothing to who writes a file.
            let what = error.message().replace("u32", "whole number").replace("u64", "whole number");
            self.told(span.start, &field.unwrap_or_default(), &what)
        })
    }

    /// The same of a problem that was found later.
    pub(crate) fn invalid(&self, Problem(field, what): &Problem) -> String {
        let at = self.places().into_iter().find(|(known, _)| known == field).map_or(0, |(_, place)| place.start);
        self.told(at, field, what)
    }

    fn told(&self, at: usize, field: &str, what: &str) -> String {
        let line = self.text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
        // What stands in the place of a key may be one, also where it is of the wrong type.
        let what = if field.contains("api_key") && what.starts_with("invalid") {
            "expected a string, or for api_keys a list of them"
        } else {
            what
        };
        format!("{}:{line}: {field}{}{what}", self.name, if field.is_empty() { "" } else { ": " })
    }

    /// All fields, each with the place of its key and with that of its value.
    fn places(&self) -> Vec<(String, Range<usize>)> {
        let mut found = Vec::new();
        if let Ok(table) = DeTable::parse(&self.text) {
            places("", &DeValue::Table(table.into_inner()), &mut found);
        }
        found
    }
}

fn places(within: &str, value: &DeValue<'_>, found: &mut Vec<(String, Range<usize>)>) {
    let mut add = |field: String, key: Option<Range<usize>>, value: &toml::Spanned<DeValue<'_>>| {
        found.extend(key.into_iter().chain([value.span()]).map(|place| (field.clone(), place)));
        places(&field, value.get_ref(), found);
    };
    let dot = if within.is_empty() { "" } else { "." };
    match value {
        DeValue::Table(all) => {
            all.iter().for_each(|(key, value)| add(format!("{within}{dot}{}", key.get_ref()), Some(key.span()), value))
        }
        DeValue::Array(all) => all.iter().enumerate().for_each(|(nth, value)| add(format!("{within}[{nth}]"), None, value)),
        _ => {}
    }
}
