//! Who is asked next: `fallback_on`, the targets for special cases, presets.

use std::fmt::Write;

use towline_testkit::{Answer, Dialect, MockProvider, ProviderError, Refused, Reply};

use crate::support::{File, Gateway, base_url, pair, provider, run, started};

const CHAT: Dialect = Dialect::OpenAiChat;

/// Each failure kind that `fallback_on` takes, what a provider does that is of this kind, and what its section says.
fn kinds() -> Vec<(&'static str, Option<Reply>, &'static str)> {
    let error = |error| Some(Reply::error_of(CHAT, error));
    vec![
        ("rate_limit", error(ProviderError::RateLimited(None)), ""),
        ("quota_exhausted", error(ProviderError::QuotaExhausted), ""),
        ("overloaded", error(ProviderError::Overloaded), ""),
        ("server_error", error(ProviderError::ServerError), ""),
        ("timeout", error(ProviderError::Timeout), ""),
        ("connect", None, ""),
        ("transport", Some(Reply::reset()), ""),
        ("auth", error(ProviderError::Auth), ""),
        ("permission", error(ProviderError::Permission), ""),
        ("not_found", error(ProviderError::NotFound), ""),
        ("payload_too_large", error(ProviderError::PayloadTooLarge), ""),
        ("malformed", Some(Reply::ok().json("{\"broken\": [1, 2,")), ""),
        ("circuit_open", error(ProviderError::Overloaded), "circuit_breaker = { failure_threshold = 1, open_for = \"60s\" }"),
        ("limited_locally", Some(Reply::ok().json("{}")), "requests_per_minute = 1\nburst = 1"),
    ]
}

/// A provider for each kind, which fails so, and two models over it: one moves on from this kind, one from all others.
struct Kinds {
    config: String,
    providers: Vec<MockProvider>,
    _refused: Refused,
}

impl Kinds {
    async fn start(well: &MockProvider) -> Self {
        let (refused, kinds) = (MockProvider::refused().unwrap(), kinds());
        let mut config = provider("well", CHAT, &base_url(CHAT, well), "");
        let mut providers = Vec::new();
        for (kind, reply, section) in &kinds {
            let started = MockProvider::start().await.unwrap();
            let url = if reply.is_some() { base_url(CHAT, &started) } else { refused.url("/v1") };
            started.otherwise(reply.clone().unwrap_or(Reply::ok()));
            let others: Vec<_> = kinds.iter().map(|(kind, ..)| *kind).filter(|other| other != kind).collect();
            for (model, named) in [("moves", format!("{:?}", [kind])), ("stays", format!("{others:?}"))] {
                // A provider of its own, so that neither has the other's circuit or limit.
                let name = format!("{model}-{kind}");
                config += &provider(&name, CHAT, &url, section);
                writeln!(config, "[[models]]\nname = \"{name}\"\nmax_elapsed = \"10s\"\ntargets = [").unwrap();
                writeln!(config, "{{ provider = \"{name}\", model = \"m\", retries = 0, fallback_on = {named} }},").unwrap();
                writeln!(config, "{{ provider = \"well\", model = \"{name}\" }}]").unwrap();
            }
            providers.push(started);
        }
        Self { config, providers, _refused: refused }
    }
}

#[tokio::test]
async fn fallback_on_takes_each_kind_and_moves_on_from_it_and_from_no_other() {
    let well = MockProvider::start().await.unwrap();
    well.speak(CHAT, Answer::counting(1));
    let kinds_of = Kinds::start(&well).await;
    let gateway = Gateway::start(&kinds_of.config).await;
    let ask = async |name: &str| gateway.post("/v1/chat/completions", format!(r#"{{"model":"{name}","messages":[]}}"#)).await;
    let mut wrong = Vec::new();
    for (kind, ..) in kinds() {
        for moves in [true, false] {
            let name = format!("{}-{kind}", if moves { "moves" } else { "stays" });
            // What is ours to refuse begins with the second call.
            if ["circuit_open", "limited_locally"].contains(&kind) {
                ask(&name).await;
            }
            let answer = ask(&name).await;
            let moved = answer.header("x-towline-fallback").is_some();
            if moved != moves || (answer.status == 200) != moves {
                wrong.push(format!("{name}: {} {}", answer.status, answer.text()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(kinds_of.providers.iter().filter(|provider| provider.hits() > 0).count() >= 13);
}

/// A model with targets for special cases, each at a provider of its own.
async fn special(lists: &str) -> (Gateway, [MockProvider; 3]) {
    let (mut providers, mut config) = (Vec::new(), String::new());
    for name in ["one", "two", "special"] {
        let started = MockProvider::start().await.unwrap();
        started.speak(CHAT, Answer::counting(1).model(name));
        config += &provider(name, CHAT, &base_url(CHAT, &started), "");
        providers.push(started);
    }
    config += "[[models]]\nname = \"chat\"\nbackoff = { base = \"1ms\", max = \"2ms\" }\n";
    config +=
        "targets = [{ provider = \"one\", model = \"m\", retries = 0 }, { provider = \"two\", model = \"m\", retries = 0 }]\n";
    (Gateway::start(&(config + lists)).await, providers.try_into().unwrap())
}

#[tokio::test]
async fn a_prompt_that_is_too_long_goes_to_the_larger_window_and_nothing_else_does() {
    let lists = "context_window_targets = [{ provider = \"special\", model = \"large\" }]\n";
    for stream in [false, true] {
        let (gateway, [one, two, large]) = special(lists).await;
        one.otherwise(Reply::error_of(CHAT, ProviderError::ContextLength));
        let answer = gateway.ask(CHAT, stream).await;
        assert_eq!((answer.status, answer.header("x-towline-target")), (200, Some("special/large")), "{}", answer.text());
        assert_eq!((one.hits(), two.hits(), large.hits()), (1, 0, 1), "never the same window again");
        for error in [ProviderError::Overloaded, ProviderError::NotFound, ProviderError::ContentPolicy] {
            one.otherwise(Reply::error_of(CHAT, error));
            two.otherwise(Reply::error_of(CHAT, error));
            assert_ne!(gateway.ask(CHAT, stream).await.status, 200, "{error:?}");
        }
        assert_eq!(large.hits(), 1);
    }
}

#[tokio::test]
async fn a_policy_refusal_goes_to_its_own_targets_and_nothing_else_does() {
    let lists = "content_policy_targets = [{ provider = \"special\", model = \"other-rules\" }]\n";
    let (gateway, [one, two, other]) = special(lists).await;
    one.otherwise(Reply::error_of(CHAT, ProviderError::ContentPolicy));
    let answer = gateway.ask(CHAT, false).await;
    assert_eq!((answer.status, answer.header("x-towline-target")), (200, Some("special/other-rules")), "{}", answer.text());
    assert_eq!((one.hits(), two.hits(), other.hits()), (1, 0, 1));
    for error in [ProviderError::Overloaded, ProviderError::ContextLength] {
        one.otherwise(Reply::error_of(CHAT, error));
        two.otherwise(Reply::error_of(CHAT, error));
        assert_ne!(gateway.ask(CHAT, false).await.status, 200, "{error:?}");
    }
    assert_eq!(other.hits(), 1);
}

#[tokio::test]
async fn without_targets_for_them_a_refusal_and_a_long_prompt_go_to_the_caller_in_the_providers_words() {
    let (gateway, [one, two, _special]) = special("").await;
    for (error, word) in
        [(ProviderError::ContentPolicy, "content_policy_violation"), (ProviderError::ContextLength, "context_length_exceeded")]
    {
        let before = one.hits();
        one.otherwise(Reply::error_of(CHAT, error));
        let answer = gateway.ask(CHAT, false).await;
        assert!(answer.status == 400 && answer.text().contains(word), "{}", answer.text());
        assert_eq!((one.hits() - before, two.hits()), (1, 0), "asked once, and nobody else");
    }
}

#[tokio::test]
async fn a_preset_changes_what_happens() {
    // Chat moves on after one more attempt, batch is patient: so says their page.
    let mut hits = Vec::new();
    for preset in ["chat", "batch"] {
        let [one, two] = started().await;
        one.otherwise(Reply::error_of(CHAT, ProviderError::ServerError));
        two.speak(CHAT, Answer::counting(1));
        let model = format!("preset = \"{preset}\"\nbackoff = {{ base = \"1ms\", max = \"2ms\" }}");
        let gateway = Gateway::start(&pair(CHAT, [&one, &two], &model, "")).await;
        assert_eq!(gateway.ask(CHAT, false).await.header("x-towline-target"), Some("second/model-b"));
        hits.push(one.hits());
    }
    assert!(hits[0] < hits[1], "{hits:?}");
}

#[tokio::test]
async fn what_a_preset_needs_and_what_it_forbids_is_told_when_the_file_is_read() {
    let model = |preset: &str, targets: &str| {
        let providers = provider("one", CHAT, "http://127.0.0.1:1/v1", "") + &provider("two", CHAT, "http://127.0.0.1:1/v1", "");
        providers + &format!("[[models]]\nname = \"m\"\npreset = \"{preset}\"\ntargets = [{targets}]\n")
    };
    let alone = r#"{ provider = "one", model = "a" }"#;
    let two_models = r#"{ provider = "one", model = "a" }, { provider = "two", model = "b" }"#;
    for (preset, targets) in [("chat", alone), ("embeddings", two_models)] {
        let file = File::new(&model(preset, targets));
        let ran = run(&["--check", "--config", file.path()], &[]).await;
        assert!(!ran.status.success() && ran.stderr.contains(preset) && ran.stderr.contains("targets"), "{ran:?}");
    }
}
