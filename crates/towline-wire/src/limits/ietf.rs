//! The IETF's `RateLimit` and `RateLimit-Policy` fields.

use std::time::Duration;

use http::HeaderMap;

use super::{Bucket, count};

/// One item of a list: its names and its parameters.
#[derive(Debug, Default)]
struct Item {
    names: Vec<String>,
    parameters: Vec<(String, String)>,
}

/// The item with the shortest window, with the limit of the policy of the same name.
pub(super) fn read(headers: &HeaderMap) -> Option<Bucket> {
    let items = items(headers, "ratelimit");
    let policies = self::items(headers, "ratelimit-policy");
    // An older draft told all in one: `limit=100, remaining=50, reset=5`.
    if items.iter().any(|item| item.names.iter().any(|name| name.starts_with("remaining="))) {
        let told = |key: &str| items.iter().flat_map(|item| &item.names).find_map(|name| count(name.strip_prefix(key)?));
        return Some(Bucket {
            limit: told("limit="),
            remaining: told("remaining="),
            reset: told("reset=").map(Duration::from_secs),
        });
    }
    let told = items.iter().filter(|item| item.number("r").is_some()).map(|item| {
        let policy = policies
            .iter()
            .find(|policy| policy.number("q").is_some() && policy.names.iter().any(|name| item.names.contains(name)));
        (item, policy)
    });
    let (item, policy) = told.min_by_key(|(_, policy)| policy.and_then(|policy| policy.number("w")).unwrap_or(u64::MAX))?;
    Some(Bucket {
        limit: policy.and_then(|policy| policy.number("q")),
        remaining: item.number("r"),
        reset: item.number("t").map(Duration::from_secs),
    })
}

impl Item {
    fn number(&self, key: &str) -> Option<u64> {
        self.parameters.iter().find(|(name, _)| name == key).and_then(|(_, value)| count(value))
    }
}

/// The items of a list over all lines of a header. A quoted name may hold separators.
fn items(headers: &HeaderMap, name: &str) -> Vec<Item> {
    let mut items = Vec::new();
    for line in headers.get_all(name).iter().filter_map(|value| value.to_str().ok()) {
        for item in split(line, b',') {
            let mut read = Item::default();
            for part in split(item, b';') {
                let part = part.trim();
                match part.split_once('=') {
                    Some((key, value)) if !part.starts_with('"') && !read.names.is_empty() => {
                        read.parameters.push((key.to_owned(), value.trim_matches('"').to_owned()));
                    }
                    _ => read.names.push(part.trim_matches('"').to_owned()),
                }
            }
            items.push(read);
        }
    }
    items
}

/// The parts between separators that stand outside of quotes.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let now = rest?;
        let mut quoted = false;
        let end = now.bytes().position(|byte| {
            quoted ^= byte == b'"';
            !quoted && byte == separator
        });
        match end.and_then(|end| Some((now.get(..end)?, now.get(end + 1..)?))) {
            Some((part, after)) => {
                rest = Some(after);
                Some(part)
            }
            None => rest.take(),
        }
    })
}
