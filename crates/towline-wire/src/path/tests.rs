use proptest::prelude::*;

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
fn what_is_nearly_a_path_that_tells_tells_less() {
    for path in
        ["/model/converse", "converse", "/v1/x:generateContent:", "m:generateContent", "/v1/m:rawPredict", "/v1/count_tokens"]
    {
        assert_eq!(told(path), (None, None, false), "{path}");
    }
    assert_eq!(told("/publishers/anthropic/:rawPredict"), (Some(Dialect::Anthropic), None, false));
    assert_eq!(told("messages/count_tokens//"), (Some(Dialect::Anthropic), None, false));
    assert_eq!(told("/openai/deployments/responses"), (Some(Dialect::OpenAiResponses), None, false));
    assert_eq!(told("/openai/deployments/m/threads"), (None, Some("m".to_owned()), false));
    assert_eq!(told("/openai/deployments/m/model//invoke"), (Some(Dialect::Bedrock), None, false));
    assert_eq!(told("/openai/deployments//completions"), (Some(Dialect::OpenAiChat), None, false));
}

proptest! {
    #[test]
    fn a_path_tells_what_it_told_when_its_end_was_compared_as_text(
        parts in prop::collection::vec(
            prop::sample::select(&[
                "/", "/", ":", "x", "model", "/model/", "/openai/deployments/", "threads", "messages", "count_tokens", "completions", "embeddings",
                "responses", "converse", "invoke-with-response-stream", "generateContent", "streamRawPredict", "/publishers/anthropic/", "\u{fc}",
            ][..]),
            0..9,
        )
    ) {
        let path = parts.concat();
        prop_assert_eq!(read(&path), naive(&path), "{}", path);
        prop_assert_eq!(dialect(&path), naive(&path).dialect, "{}", path);
    }
}

fn naive(path: &str) -> PathFacts {
    let path = path.trim_end_matches('/');
    naive_google(path).or_else(|| naive_bedrock(path)).unwrap_or_else(|| naive_suffix(path))
}

fn naive_google(path: &str) -> Option<PathFacts> {
    let colon = path.rfind(':')?;
    let verb = &path[colon + 1..];
    let dialect = match verb {
        "generateContent" | "streamGenerateContent" | "embedContent" | "batchEmbedContents" | "countTokens" => Dialect::Gemini,
        "rawPredict" | "streamRawPredict" if path.contains("/publishers/anthropic/") => Dialect::Anthropic,
        _ => return None,
    };
    let model = Some(path[..colon].rfind('/')? + 1..colon).filter(|range| !range.is_empty());
    Some(PathFacts { dialect: Some(dialect), model, stream: verb.starts_with("stream") })
}

fn naive_bedrock(path: &str) -> Option<PathFacts> {
    let (before, verb) = path.rsplit_once('/')?;
    let stream = match verb {
        "converse" | "invoke" | "count-tokens" => false,
        "converse-stream" | "invoke-with-response-stream" | "invoke-with-bidirectional-stream" => true,
        _ => return None,
    };
    let model = Some(before.find("/model/")? + "/model/".len()..before.len()).filter(|range| !range.is_empty());
    Some(PathFacts { dialect: Some(Dialect::Bedrock), model, stream })
}

fn naive_suffix(path: &str) -> PathFacts {
    let ends = |end: &str| path == end || path.ends_with(&format!("/{end}"));
    let dialect = if ends("completions") || ends("embeddings") {
        Some(Dialect::OpenAiChat)
    } else if ends("responses") {
        Some(Dialect::OpenAiResponses)
    } else if (ends("messages") && !path.contains("/threads/")) || ends("messages/count_tokens") {
        Some(Dialect::Anthropic)
    } else {
        None
    };
    let after = path.find("/openai/deployments/").map(|at| at + "/openai/deployments/".len());
    let model = after.and_then(|at| Some(at..at + path[at..].find('/')?)).filter(|range| !range.is_empty());
    PathFacts { dialect, model, stream: false }
}

#[test]
fn what_is_no_escape_stays() {
    assert_eq!(decode("100%"), "100%");
    assert_eq!(decode("%4"), "%4");
    assert_eq!(decode("%zz%41"), "%zzA");
    assert_eq!(decode("%ff"), "%ff", "no UTF-8");
    assert_eq!(decode(&encode("a:b/ü %")), "a:b/ü %");
}
