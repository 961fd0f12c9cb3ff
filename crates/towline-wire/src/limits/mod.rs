//! What an answer's headers tell about limits.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! let mut headers = http::HeaderMap::new();
//! headers.insert("x-ratelimit-remaining-tokens", "149984".parse().unwrap());
//! headers.insert("x-ratelimit-reset-tokens", "6m0s".parse().unwrap());
//! let limits = towline_wire::limits::read(&headers, SystemTime::UNIX_EPOCH);
//! assert_eq!(limits.tokens.remaining, Some(149_984));
//! assert_eq!(limits.tokens.reset, Some(Duration::from_secs(360)));
//! assert_eq!(limits.requests, Default::default());
//! ```

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use towline_core::{Hint, decimal_seconds};

use crate::duration;

mod ietf;
mod time;

/// The limits that an answer tells; `None` for what it does not tell, or tells as garbage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Requests.
    pub requests: Bucket,
    /// Tokens of prompts and answers together.
    pub tokens: Bucket,
    /// Tokens of prompts.
    pub input_tokens: Bucket,
    /// Tokens of answers.
    pub output_tokens: Bucket,
    /// How long to wait before the next attempt; successes tell it as well. Not capped.
    pub retry_after: Option<Duration>,
}

/// One limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bucket {
    /// What the bucket holds when it is full.
    pub limit: Option<u64>,
    /// What is left in it.
    pub remaining: Option<u64>,
    /// When it is full again, from now on.
    pub reset: Option<Duration>,
}

/// What one header is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource {
    Requests,
    Tokens,
    Input,
    Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Limit,
    Remaining,
    Reset,
}

/// A header's name, taken apart. The window is in seconds, 0 where none is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    resource: Resource,
    field: Field,
    window: u64,
}

/// Reads the limits of every provider's form at once.
///
/// * `x-ratelimit-*`, `x-rate-limit-*`, `ratelimit-*`, `anthropic-ratelimit-*`, in whichever order they name field and
///   resource; a name without a resource is about requests. `ratelimitbysize-*` and `x-tokenlimit-*` are about tokens,
///   `x-trial-endpoint-call-*` about requests. Names of any other resource (images, characters, pages, projects) tell nothing.
/// * Of several windows (`-minute`, `-10-second`, `-month`) the shortest counts.
/// * IETF `RateLimit` and `RateLimit-Policy`; of several items the one with the shortest window.
/// * A reset is a Go duration, seconds, Unix seconds from 10⁹ on, Unix milliseconds from 10¹² on, RFC 3339 or an HTTP-date;
///   one in the past is zero. Azure sends milliseconds at times: where one reset exceeds its `renewalperiod`, all of the
///   answer's bare numbers are.
/// * `retry_after` as [`retry_after`] reads it.
///
/// Signs, exponents, lists and words tell nothing.
#[must_use]
pub fn read(headers: &HeaderMap, now: SystemTime) -> Limits {
    if !may_tell(headers) {
        return Limits::default();
    }
    let mut limits = Limits { retry_after: retry_after(headers, now), ..Limits::default() };
    let millis = in_millis(headers);
    let mut windows = [u64::MAX; 4];
    let named = || headers.iter().filter_map(|(name, value)| Some((Name::parse(name.as_str())?, value.to_str().ok()?)));
    for (name, _) in named().filter(|(name, _)| name.window > 0) {
        if let Some(window) = windows.get_mut(name.resource as usize) {
            *window = name.window.min(*window);
        }
    }
    // What names no window first: what names one fills the gaps.
    let shortest = |name: &Name| windows.get(name.resource as usize) == Some(&name.window);
    for windowed in [false, true] {
        for (name, value) in
            named().filter(|(name, _)| if windowed { name.window > 0 && shortest(name) } else { name.window == 0 })
        {
            limits.bucket(name.resource).fill(name.field, value, millis, now);
        }
    }
    if let Some(bucket) = ietf::read(headers) {
        let own = &mut limits.requests;
        *own = Bucket {
            limit: bucket.limit.or(own.limit),
            remaining: bucket.remaining.or(own.remaining),
            reset: bucket.reset.or(own.reset),
        };
    }
    limits
}

/// Whether any of an answer's headers may be one that [`read`] reads: one pass over the few that there are, before many are looked up by name.
/// A `false` is sure.
#[must_use]
pub fn may_tell(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        // Each that is read begins with one of these, and few others do.
        name.starts_with(['a', 'l', 'r', 'x'])
            && ["limit", "retry-after", "trial-endpoint-call"].iter().any(|word| name.contains(word))
    })
}

/// The wait that headers tell: what [`Hint::from_headers`] reads, else `retry-after` as a Go duration (`30s`), else
/// `x-ratelimit-timeremaining`.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    Hint::from_headers(headers, now)
        .retry_after
        .or_else(|| duration::go(text("retry-after")?))
        .or_else(|| decimal_seconds(text("x-ratelimit-timeremaining")?))
}

impl Limits {
    fn bucket(&mut self, resource: Resource) -> &mut Bucket {
        match resource {
            Resource::Requests => &mut self.requests,
            Resource::Tokens => &mut self.tokens,
            Resource::Input => &mut self.input_tokens,
            Resource::Output => &mut self.output_tokens,
        }
    }
}

impl Bucket {
    /// Takes a value where none was told before.
    fn fill(&mut self, field: Field, value: &str, millis: bool, now: SystemTime) {
        match field {
            Field::Limit => self.limit = self.limit.or_else(|| count(first(value))),
            Field::Remaining => self.remaining = self.remaining.or_else(|| count(value)),
            Field::Reset => self.reset = self.reset.or_else(|| time::reset(value, millis, now)),
        }
    }
}

impl Name {
    fn parse(name: &str) -> Option<Self> {
        const PREFIXES: [(&str, Resource); 8] = [
            ("x-ratelimit-", Resource::Requests),
            ("x-rate-limit-", Resource::Requests),
            ("anthropic-ratelimit-", Resource::Requests),
            ("ratelimit-", Resource::Requests),
            ("ratelimitbysize-", Resource::Tokens),
            ("x-ratelimitbysize-", Resource::Tokens),
            ("x-tokenlimit-", Resource::Tokens),
            ("x-trial-endpoint-call-", Resource::Requests),
        ];
        let (rest, default) = PREFIXES.iter().find_map(|(prefix, resource)| Some((name.strip_prefix(prefix)?, *resource)))?;
        let field = |word| match word {
            "limit" => Some(Field::Limit),
            "remaining" => Some(Field::Remaining),
            "reset" => Some(Field::Reset),
            _ => None,
        };
        let (head, tail) = rest.split_once('-').unwrap_or((rest, ""));
        let (field, rest) = match field(head) {
            Some(field) => (field, tail),
            None => {
                let (rest, last) = rest.rsplit_once('-')?;
                (field(last)?, rest)
            }
        };
        let (resource, window) = split_window(rest)?;
        let resource = match resource {
            "" => default,
            "requests" | "req" | "request" => Resource::Requests,
            "tokens" | "token" => Resource::Tokens,
            "input-tokens" | "tokens-prompt" | "tokens-input" => Resource::Input,
            "output-tokens" | "tokens-generated" | "tokens-output" => Resource::Output,
            _ => return None,
        };
        Some(Self { resource, field, window })
    }
}

/// `tokens-minute` is `tokens` and 60, `req-10-second` is `req` and 10, `minute` is nothing and 60.
fn split_window(rest: &str) -> Option<(&str, u64)> {
    let (before, last) = rest.rsplit_once('-').unwrap_or(("", rest));
    let unit = match last {
        "second" => 1,
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        "week" => 604_800,
        "month" => 2_592_000,
        "year" => 31_536_000,
        _ => return Some((rest, 0)),
    };
    let (resource, number) = before.rsplit_once('-').unwrap_or(("", before));
    match number.parse::<u64>() {
        Ok(number) => Some((resource, number.checked_mul(unit)?)),
        Err(_) => Some((before, unit)),
    }
}

/// Whether one bare reset exceeds the period in which its bucket is renewed.
fn in_millis(headers: &HeaderMap) -> bool {
    headers.iter().any(|(name, value)| {
        let resource = name.as_str().strip_prefix("x-ratelimit-renewalperiod-");
        let reset = resource.and_then(|resource| headers.get(format!("x-ratelimit-reset-{resource}")));
        let number = |value: &http::HeaderValue| decimal_seconds(value.to_str().ok()?);
        reset.and_then(number).zip(number(value)).is_some_and(|(reset, period)| reset > period)
    })
}

/// The first of a list, as in `RateLimit-Limit: 10, 10;w=1, 50;w=60`.
fn first(value: &str) -> &str {
    if value.contains(";w=") { value.split([',', ';']).next().unwrap_or(value) } else { value }
}

/// Digits and nothing else.
fn count(value: &str) -> Option<u64> {
    let value = value.trim();
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    value.parse().ok()
}

#[cfg(test)]
mod tests;
