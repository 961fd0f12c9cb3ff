//! What a request's path says: the dialect, the model and whether the answer streams.

use std::{borrow::Cow, ops::Range};

use towline_core::Dialect;

/// What can be told from a path alone.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct PathFacts {
    /// The dialect, from the end of the path.
    pub(crate) dialect: Option<Dialect>,
    /// Where the model stands in the path, still percent-encoded.
    pub(crate) model: Option<Range<usize>>,
    /// The verb asks for a stream.
    pub(crate) stream: bool,
}

/// Reads a path without its query.
pub(crate) fn read(path: &str) -> PathFacts {
    let path = path.trim_end_matches('/');
    google(path).or_else(|| bedrock(path)).unwrap_or_else(|| suffix(path))
}

/// `%41` becomes `A`; what is not an escape, or is not UTF-8 afterwards, stays as it is.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digit = |i: usize| tail.get(i).and_then(|b| char::from(*b).to_digit(16));
        rest = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                tail.get(2..).unwrap_or_default()
            }
            _ => {
                bytes.push(first);
                tail
            }
        };
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Encodes one path segment: all but the unreserved characters and `@`, as which Vertex writes a model's version.
pub(crate) fn encode(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0').to_ascii_uppercase();
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

/// `.../models/{model}:verb`, at Gemini and, for several publishers' models, at Vertex.
fn google(path: &str) -> Option<PathFacts> {
    let colon = path.rfind(':')?;
    let verb = path.get(colon + 1..)?;
    let dialect = match verb {
        "generateContent" | "streamGenerateContent" | "embedContent" | "batchEmbedContents" | "countTokens" => Dialect::Gemini,
        "rawPredict" | "streamRawPredict" if path.contains("/publishers/anthropic/") => Dialect::Anthropic,
        _ => return None,
    };
    let start = path.get(..colon)?.rfind('/')? + 1;
    let model = Some(start..colon).filter(|range| !range.is_empty());
    Some(PathFacts { dialect: Some(dialect), model, stream: verb.starts_with("stream") })
}

/// `/model/{id}/verb`. The id may be an ARN whose slashes nobody encoded, so it ends at the last slash.
fn bedrock(path: &str) -> Option<PathFacts> {
    let (before, verb) = path.rsplit_once('/')?;
    let stream = match verb {
        "converse" | "invoke" | "count-tokens" => false,
        "converse-stream" | "invoke-with-response-stream" | "invoke-with-bidirectional-stream" => true,
        _ => return None,
    };
    let start = before.find("/model/")? + "/model/".len();
    let model = Some(start..before.len()).filter(|range| !range.is_empty());
    Some(PathFacts { dialect: Some(Dialect::Bedrock), model, stream })
}

fn suffix(path: &str) -> PathFacts {
    let ends = |end: &str| path.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('/'));
    let dialect = if ends("completions") || ends("embeddings") {
        Some(Dialect::OpenAiChat)
    } else if ends("responses") {
        Some(Dialect::OpenAiResponses)
    } else if (ends("messages") && !path.contains("/threads/")) || ends("messages/count_tokens") {
        Some(Dialect::Anthropic)
    } else {
        None
    };
    PathFacts { dialect, model: deployment(path), stream: false }
}

/// Azure's `/openai/deployments/{model}/...`.
fn deployment(path: &str) -> Option<Range<usize>> {
    const BEFORE: &str = "/openai/deployments/";
    // Looked for in every path, most of which are shorter than what it takes to prepare a search by `str`.
    let start = memchr::memmem::find(path.as_bytes(), BEFORE.as_bytes())? + BEFORE.len();
    let length = path.get(start..)?.find('/')?;
    Some(start..start + length).filter(|range| !range.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str) -> (Option<Dialect>, Option<String>, bool) {
        let facts = read(path);
        (facts.dialect, facts.model.map(|range| decode(&path[range]).into_owned()), facts.stream)
    }

    #[test]
    fn the_end_of_the_path_tells_the_dialect() {
        assert_eq!(told("/v1/chat/completions"), (Some(Dialect::OpenAiChat), None, false));
        assert_eq!(told("/api/v1/chat/completions/"), (Some(Dialect::OpenAiChat), None, false));
        assert_eq!(told("/v1/embeddings"), (Some(Dialect::OpenAiChat), None, false));
        assert_eq!(told("/v1/responses"), (Some(Dialect::OpenAiResponses), None, false));
        assert_eq!(told("/v1/messages"), (Some(Dialect::Anthropic), None, false));
        assert_eq!(told("/v1/threads/t_1/messages"), (None, None, false));
        assert_eq!(told("/v1/oldmessages"), (None, None, false));
        assert_eq!(told("/"), (None, None, false));
        assert_eq!(told(""), (None, None, false));
    }

    #[test]
    fn the_model_is_read_from_the_path_where_it_stands_there() {
        let gemini = |model: &str, stream| (Some(Dialect::Gemini), Some(model.to_owned()), stream);
        assert_eq!(told("/v1beta/models/gemini-2.5-pro:generateContent"), gemini("gemini-2.5-pro", false));
        assert_eq!(told("/v1beta/models/gemini-2.5-pro:streamGenerateContent"), gemini("gemini-2.5-pro", true));
        assert_eq!(
            told("/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-4@20250514:streamRawPredict"),
            (Some(Dialect::Anthropic), Some("claude-opus-4@20250514".to_owned()), true)
        );
        assert_eq!(
            told("/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse"),
            (Some(Dialect::Bedrock), Some("anthropic.claude-3-haiku-20240307-v1:0".to_owned()), false)
        );
        assert_eq!(
            told("/model/arn:aws:bedrock:us-east-1:1:inference-profile/us.x/invoke-with-response-stream"),
            (Some(Dialect::Bedrock), Some("arn:aws:bedrock:us-east-1:1:inference-profile/us.x".to_owned()), true)
        );
        assert_eq!(
            told("/openai/deployments/my%20gpt/chat/completions"),
            (Some(Dialect::OpenAiChat), Some("my gpt".to_owned()), false)
        );
        assert_eq!(told("/model//converse"), (Some(Dialect::Bedrock), None, false));
    }

    #[test]
    fn what_is_no_escape_stays() {
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%4"), "%4");
        assert_eq!(decode("%zz%41"), "%zzA");
        assert_eq!(decode("%ff"), "%ff", "no UTF-8");
        assert_eq!(decode(&encode("a:b/ü %")), "a:b/ü %");
    }
}
