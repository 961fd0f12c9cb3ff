//! Changing members of a JSON object, where all else keeps its bytes.

use std::{borrow::Cow, fmt, ops::Range};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{lenient::Key, scan::Scan};

/// A member of an object, by where it stands in the object's text.
pub(super) struct Member<'a> {
    pub(super) name: Cow<'a, str>,
    key: Range<usize>,
    value: Range<usize>,
}

/// What becomes of a member.
#[derive(Clone)]
pub(super) enum Change {
    Remove,
    /// JSON in the place of the value.
    Put(Box<str>),
    /// These changes in the value, or in an empty object where it is none.
    Merge(Changes),
}

/// What becomes of which member.
#[derive(Clone, Default)]
pub(super) struct Changes(Vec<(Box<str>, Change)>);

impl<'a> Member<'a> {
    fn of(object: &str, key: &'a str, value: &str) -> Option<Self> {
        // A key that is no text, by a lone surrogate, is none that anybody looks for.
        let name = serde_json::from_str(key).map_or(Cow::Borrowed(key), |Key(name)| name);
        Some(Self { name, key: span(object, key)?, value: span(object, value)? })
    }

    pub(super) fn value<'o>(&self, object: &'o str) -> &'o str {
        object.get(self.value.clone()).unwrap_or_default()
    }
}

impl Changes {
    pub(super) fn one(name: &str, change: Change) -> Self {
        Self(vec![(name.into(), change)])
    }

    pub(super) fn and(mut self, name: &str, change: Change) -> Self {
        self.0.retain(|(known, _)| **known != *name);
        self.0.push((name.into(), change));
        self
    }

    /// A merge patch, nested as deep as told at most.
    pub(super) fn parse(json: &str, deep: u8) -> Option<Self> {
        members(json)?.iter().try_fold(Self::default(), |changes, member| {
            let change = match member.value(json) {
                "null" => Change::Remove,
                object if object.starts_with('{') => Change::Merge(Self::parse(object, deep.checked_sub(1)?)?),
                other => Change::Put(other.into()),
            };
            Some(changes.and(&member.name, change))
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// The value that is put in the place of one member, if that is all.
    pub(super) fn only(&self) -> Option<&str> {
        match &*self.0 {
            [(_, Change::Put(value))] => Some(value),
            _ => None,
        }
    }

    fn get(&self, name: &str) -> Option<&Change> {
        self.0.iter().find(|(known, _)| **known == *name).map(|(_, change)| change)
    }
}

impl Change {
    /// What stands in the place of `old` afterwards, `Some("")` for nothing; `None` if it stays.
    fn of(&self, old: &str) -> Option<Cow<'_, str>> {
        match self {
            Self::Remove => Some("".into()),
            Self::Put(new) => (!is_same(old.as_bytes(), new.as_bytes())).then_some(Cow::Borrowed(new)),
            Self::Merge(changes) => {
                let (object, inner) = members(old).map_or_else(|| ("{}", Vec::new()), |inner| (old, inner));
                let merged = edit(object, &inner, &[changes]);
                // What was no object becomes one, be it empty.
                merged.or_else(|| (object != old).then(|| object.to_owned())).map(Cow::Owned)
            }
        }
    }
}

/// The members of an object in the order that they stand in; `None` of a text that is not one JSON object in whole.
pub(super) fn members(object: &str) -> Option<Vec<Member<'_>>> {
    let Raw(raw) = serde_json::from_str(object).ok()?;
    raw.into_iter().map(|(key, value)| Member::of(object, key.get(), value.get())).collect()
}

/// The values of all members called `model`: nearly all patches want no more, and nothing else of the object is written down for it.
/// `None` of a text that is not one JSON object in whole.
pub(super) fn models(object: &str) -> Option<Vec<Range<usize>>> {
    let Models(raw) = serde_json::from_str(object).ok()?;
    raw.into_iter().map(|value| span(object, value.get())).collect()
}

/// The same of an object in which nothing is unusual, and which has at most one: for a fraction of the time.
pub(super) fn only_model(object: &[u8]) -> Option<Option<Range<usize>>> {
    let mut model = None;
    Scan::object(object, |scan, name| {
        if name != b"model" {
            return scan.pass();
        }
        model.replace(scan.place()?).is_none().then_some(())
    })?;
    Some(model)
}

/// The text with `new` in these places; `None` if it stands there already.
pub(super) fn replaced(text: &[u8], places: &[Range<usize>], new: &str) -> Option<Vec<u8>> {
    if places.iter().all(|place| text.get(place.clone()).is_some_and(|old| is_same(old, new.as_bytes()))) {
        return None;
    }
    let gone: usize = places.iter().map(Range::len).sum();
    // As long as it becomes, since what is longer is copied once more on its way into `Bytes`.
    let (mut out, mut done) = (Vec::with_capacity(text.len() - gone + new.len() * places.len()), 0);
    for place in places {
        out.extend_from_slice(text.get(done..place.start)?);
        out.extend_from_slice(new.as_bytes());
        done = place.end;
    }
    out.extend_from_slice(text.get(done..)?);
    Some(out)
}

/// The object with the changes made, of which an earlier one goes before a later one; `None` if that leaves it as it is.
pub(super) fn edit(object: &str, members: &[Member<'_>], changes: &[&Changes]) -> Option<String> {
    let change = |member: &Member<'_>| changes.iter().find_map(|changes| changes.get(&member.name));
    let changed: Vec<_> = members.iter().map(|member| change(member)?.of(member.value(object))).collect();
    let added = added(members, changes);
    if added.is_empty() && changed.iter().all(Option::is_none) {
        return None;
    }
    let mut end = object.find('{')? + 1;
    let mut out = String::with_capacity(object.len() + added.len());
    out.push_str(object.get(..end)?);
    out.push_str(&added);
    let mut is_first = added.is_empty();
    for (member, changed) in members.iter().zip(changed) {
        let blanks = object.get(end..member.key.start)?;
        end = member.value.end;
        if changed.as_deref() == Some("") {
            continue;
        }
        // The comma before it may be that of a member that is gone, or one may be needed after what was added.
        match (is_first, blanks.split_once(',')) {
            (true, Some((_, after))) => out.push_str(after),
            (false, None) => out.extend([",", blanks]),
            _ => out.push_str(blanks),
        }
        is_first = false;
        out.push_str(object.get(member.key.start..member.value.start)?);
        out.push_str(changed.as_deref().unwrap_or_else(|| member.value(object)));
    }
    out.push_str(object.get(end..)?);
    Some(out)
}

/// The members that are missing, with commas between them.
fn added(members: &[Member<'_>], changes: &[&Changes]) -> String {
    let mut out = String::new();
    for (at, (name, change)) in changes.iter().enumerate().flat_map(|(at, changes)| changes.0.iter().map(move |one| (at, one))) {
        let decided = changes.iter().take(at).any(|earlier| earlier.get(name).is_some());
        if decided || members.iter().any(|member| *member.name == **name) {
            continue;
        }
        let Some(value) = change.of("").filter(|value| !value.is_empty()) else { continue };
        if !out.is_empty() {
            out.push(',');
        }
        out.extend([&*quoted(name), ":", &*value]);
    }
    out
}

/// A text as JSON writes it.
pub(super) fn quoted(text: &str) -> Box<str> {
    serde_json::Value::from(text).to_string().into()
}

/// Whether two values are one, by their bytes or as texts.
fn is_same(old: &[u8], new: &[u8]) -> bool {
    let text = |value| serde_json::from_slice(value).map(|Key(text)| text);
    // Nothing is parsed in the usual case, that two texts differ and neither has an escape.
    let may_be = new.starts_with(b"\"") && (old.contains(&b'\\') || new.contains(&b'\\'));
    old == new || (may_be && text(old).is_ok_and(|old| text(new).is_ok_and(|new| new == old)))
}

/// Where `part`, which was borrowed from `whole`, lies in it.
pub(super) fn span(whole: &str, part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (whole.get(start..end)? == part).then_some(start..end)
}

/// The values of top-level members called `model`.
struct Models<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Models<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Models<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Models<'de>, A::Error> {
                let mut found = Vec::new();
                while let Some(Key(name)) = map.next_key()? {
                    if name == "model" {
                        found.push(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Models(found))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

struct Raw<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Raw<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Raw(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}
