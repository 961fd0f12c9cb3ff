//! Reading JSON of which little is asked, without a tree and without failing at an unexpected type.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value of which little is asked: a scalar, or an object's limit on output and how many answers it asks for.
#[derive(Debug, Default)]
pub(crate) enum Small<'de> {
    Text(Cow<'de, str>),
    Number(u64),
    Flag(bool),
    Config {
        output: Option<u64>,
        answers: Option<u64>,
    },
    #[default]
    Other,
}

/// An object's key, borrowed where it has no escapes.
pub(crate) struct Key<'de>(pub(crate) Cow<'de, str>);

/// Whether there is anything in a value: text, a number, a list or object with anything in it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told(pub(crate) bool);

/// Which of the two a configuration's member of this name limits.
pub(crate) fn limit<T>(name: &[u8], output: T, answers: T) -> Option<T> {
    match name {
        b"maxOutputTokens" | b"max_output_tokens" | b"maxTokens" => Some(output),
        b"candidateCount" | b"candidate_count" => Some(answers),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl<'de> Visitor<'de> for Name {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(v)))
            }

            fn visit_str<E>(self, v: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(v.to_owned())))
            }
        }

        deserializer.deserialize_str(Name)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Small<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Small<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Small::Text(Cow::Borrowed(v)))
            }

            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Small::Text(Cow::Owned(v.to_owned())))
            }

            fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
                Ok(Small::Number(v))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Small::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Small::Other)
            }

            fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
                Ok(Small::Flag(v))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Small::Other)
            }

            // What is passed over is read by the same rules as all else: its strings, and how deep it goes.
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<Told>()?.is_some() {}
                Ok(Small::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut output, mut answers) = (None, None);
                while let Some(Key(key)) = map.next_key()? {
                    let Some(told) = limit(key.as_bytes(), &mut output, &mut answers) else {
                        map.next_value::<Told>()?;
                        continue;
                    };
                    if let Small::Number(n) = map.next_value()? {
                        *told = (*told).max(Some(n));
                    }
                }
                Ok(Small::Config { output, answers })
            }
        }

        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Told;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_str<E>(self, v: &str) -> Result<Told, E> {
                Ok(Told(!v.is_empty()))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Told, E> {
                Ok(Told(true))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Told, E> {
                Ok(Told(true))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Told, E> {
                Ok(Told(true))
            }

            fn visit_bool<E>(self, v: bool) -> Result<Told, E> {
                Ok(Told(v))
            }

            fn visit_unit<E>(self) -> Result<Told, E> {
                Ok(Told(false))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Told, A::Error> {
                let mut told = false;
                while let Some(Told(more)) = seq.next_element()? {
                    told |= more;
                }
                Ok(Told(told))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Told, A::Error> {
                let mut told = false;
                while map.next_entry::<IgnoredAny, Told>()?.is_some() {
                    told = true;
                }
                Ok(Told(told))
            }
        }

        deserializer.deserialize_any(Any)
    }
}
