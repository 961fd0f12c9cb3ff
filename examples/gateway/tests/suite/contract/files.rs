//! Bad configuration: the message names the file, the line, the field, and what would be right.

use tokio::task::JoinSet;

use crate::support::{File, run};

/// A file that is right, in which each line stands for itself.
const RIGHT: &str = r#"listen = "127.0.0.1:0"
max_body = "32MiB"
[auth]
keys_env = "SUITE_GATEWAY_KEYS"
[providers.one]
dialect = "openai"
base_url = "http://127.0.0.1:1/v1"
api_key = "secret-one"
requests_per_minute = 60
burst = 10
tokens_per_minute = 40000
circuit_breaker = { failure_threshold = 5, window = "60s", open_for = "5s", probes = 1, success_threshold = 2 }
[providers.two]
dialect = "anthropic"
base_url = "http://127.0.0.1:1"
api_key_env = "SUITE_PROVIDER_KEY"
[providers.three]
dialect = "gemini"
base_url = "http://127.0.0.1:1/v1beta"
api_keys = ["secret-two", "secret-three"]
[[models]]
name = "chat"
preset = "chat"
max_elapsed = "30s"
backoff = { base = "500ms", max = "8s" }
targets = [
  { provider = "one", model = "a", retries = 2, first_token_timeout = "10s", timeout = "60s", fallback_on = ["rate_limit", "timeout"] },
  { provider = "one", model = "b" },
]
context_window_targets = [{ provider = "one", model = "c" }]
content_policy_targets = [{ provider = "one", model = "d" }]
degrade = { text = "Later." }
[[models]]
name = "other"
targets = [{ provider = "two", model = "e" }]
"#;

const ENVIRONMENT: [(&str, &str); 2] = [("SUITE_GATEWAY_KEYS", "secret-four,secret-five"), ("SUITE_PROVIDER_KEY", "secret-six")];

/// Mistakes: what stands in the file, what is put in its place, and the words (field, and what would be right) that must be told.
/// The line that must be told is the one where the mistake stands.
const MISTAKES: &[(&str, &str, &[&str])] = &[
    // Syntax.
    ("dialect = \"openai\"", "dialect = ", &[]),
    ("[auth]", "[auth", &["]"]),
    // What nobody knows.
    ("max_body = \"32MiB\"", "max_bodies = \"32MiB\"", &["max_bodies", "max_body"]),
    ("keys_env = \"SUITE_GATEWAY_KEYS\"", "keys_environment = \"A\"", &["keys_environment", "keys_env"]),
    ("burst = 10", "bursts = 10", &["bursts", "burst"]),
    ("success_threshold = 2 }", "successes = 2 }", &["successes", "success_threshold"]),
    ("preset = \"chat\"", "pre_set = \"chat\"", &["pre_set", "preset"]),
    ("backoff = { base = \"500ms\"", "backoff = { basis = \"500ms\"", &["basis", "base"]),
    ("retries = 2,", "retry = 2,", &["retry", "retries"]),
    ("degrade = { text = \"Later.\" }", "degrade = { tekst = \"Later.\" }", &["tekst", "text", "cache"]),
    // What is missing.
    ("dialect = \"openai\"\n", "", &["dialect"]),
    ("base_url = \"http://127.0.0.1:1/v1\"\n", "", &["base_url"]),
    ("name = \"chat\"\n", "", &["name"]),
    ("targets = [{ provider = \"two\", model = \"e\" }]", "", &["targets"]),
    ("{ provider = \"one\", model = \"b\" }", "{ provider = \"one\" }", &["model"]),
    ("{ provider = \"one\", model = \"b\" }", "{ model = \"b\" }", &["provider"]),
    ("targets = [{ provider = \"two\", model = \"e\" }]", "targets = []", &["targets", "at least one"]),
    // Of the wrong type.
    ("listen = \"127.0.0.1:0\"", "listen = 8080", &["listen", "string"]),
    ("requests_per_minute = 60", "requests_per_minute = \"many\"", &["requests_per_minute", "number"]),
    ("api_key = \"secret-one\"", "api_key = [\"secret-one\"]", &["api_key", "string"]),
    ("api_keys = [\"secret-two\", \"secret-three\"]", "api_keys = \"secret-two\"", &["api_keys", "list"]),
    ("fallback_on = [\"rate_limit\", \"timeout\"]", "fallback_on = \"rate_limit\"", &["fallback_on"]),
    // Values that cannot be.
    ("listen = \"127.0.0.1:0\"", "listen = \"here\"", &["listen", "127.0.0.1:8080"]),
    ("max_body = \"32MiB\"", "max_body = \"much\"", &["max_body", "MiB"]),
    ("max_body = \"32MiB\"", "max_body = \"0MiB\"", &["max_body", "MiB"]),
    ("dialect = \"anthropic\"", "dialect = \"klingon\"", &["dialect", "klingon", "openai", "responses", "anthropic", "gemini"]),
    ("base_url = \"http://127.0.0.1:1/v1\"", "base_url = \"127.0.0.1\"", &["base_url", "http"]),
    ("base_url = \"http://127.0.0.1:1/v1\"", "base_url = \"http://me:secret-one@127.0.0.1/v1\"", &["base_url"]),
    ("requests_per_minute = 60", "requests_per_minute = 0", &["requests_per_minute"]),
    ("requests_per_minute = 60", "requests_per_minute = -1", &["requests_per_minute"]),
    ("burst = 10", "burst = 0", &["burst"]),
    ("tokens_per_minute = 40000", "tokens_per_minute = 0", &["tokens_per_minute"]),
    ("failure_threshold = 5", "failure_threshold = 0", &["circuit_breaker"]),
    ("window = \"60s\"", "window = \"0s\"", &["window"]),
    ("open_for = \"5s\"", "open_for = \"soon\"", &["open_for", "30s"]),
    ("probes = 1", "probes = 0", &["circuit_breaker", "probes"]),
    ("success_threshold = 2", "success_threshold = 0", &["circuit_breaker", "success_threshold"]),
    ("preset = \"chat\"", "preset = \"chess\"", &["preset", "chat", "documents", "code", "batch", "legal", "embeddings"]),
    ("max_elapsed = \"30s\"", "max_elapsed = \"30 parsecs\"", &["max_elapsed", "30s"]),
    ("max_elapsed = \"30s\"", "max_elapsed = \"0s\"", &["max_elapsed"]),
    ("max = \"8s\"", "max = \"8\"", &["max", "30s"]),
    ("base = \"500ms\", max = \"8s\"", "base = \"9s\", max = \"8s\"", &["backoff"]),
    ("first_token_timeout = \"10s\"", "first_token_timeout = \"0s\"", &["first_token_timeout"]),
    ("timeout = \"60s\"", "timeout = \"-1s\"", &["timeout"]),
    (
        "\"rate_limit\", \"timeout\"",
        "\"rate_limit\", \"bad_weather\"",
        &["fallback_on", "bad_weather", "quota_exhausted", "limited_locally"],
    ),
    // Limits that could never pass, and waits that no call lasts for.
    (
        "first_token_timeout = \"10s\"",
        "first_token_timeout = \"40s\"",
        &["models[0].targets[0].first_token_timeout", "40 s", "ends after 30 s"],
    ),
    (
        "{ provider = \"one\", model = \"b\" }",
        "{ provider = \"one\", model = \"b\", first_token_timeout = \"30s\" }",
        &["models[0].targets[1].first_token_timeout", "ends after 30 s"],
    ),
    ("max = \"8s\"", "max = \"45s\"", &["models[0].backoff", "45 s", "30 s"]),
    ("degrade = { text = \"Later.\" }", "degrade = {}", &["degrade", "text", "cache"]),
    // What does not fit together.
    ("{ provider = \"one\", model = \"b\" }", "{ provider = \"nobody\", model = \"b\" }", &["provider", "nobody", "one", "two"]),
    ("{ provider = \"one\", model = \"b\" }", "{ provider = \"one\", model = \"a\" }", &["targets"]),
    ("{ provider = \"one\", model = \"b\" }", "{ provider = \"two\", model = \"b\" }", &["provider", "dialect"]),
    (
        "context_window_targets = [{ provider = \"one\"",
        "context_window_targets = [{ provider = \"two\"",
        &["provider", "dialect"],
    ),
    (
        "content_policy_targets = [{ provider = \"one\"",
        "content_policy_targets = [{ provider = \"three\"",
        &["provider", "dialect"],
    ),
    (
        "targets = [{ provider = \"two\", model = \"e\" }]",
        "targets = [{ provider = \"two\", model = \"e\" }]\ncontent_policy_targets = [{ provider = \"two\", model = \"e\" }]",
        &["models[1].content_policy_targets", "name another"],
    ),
    ("name = \"other\"", "name = \"chat\"", &["name", "another model"]),
    ("requests_per_minute = 60\n", "", &["burst", "requests_per_minute"]),
    ("keys_env = \"SUITE_GATEWAY_KEYS\"", "keys_env = \"SUITE_NOT_SET\"", &["keys_env", "SUITE_NOT_SET"]),
    ("api_key_env = \"SUITE_PROVIDER_KEY\"", "api_key_env = \"SUITE_NOT_SET\"", &["api_key_env", "SUITE_NOT_SET"]),
    ("api_key = \"secret-one\"", "api_key = \"secret-one\"\napi_key_env = \"SUITE_PROVIDER_KEY\"", &["api_key", "one"]),
    ("api_key = \"secret-one\"", "api_key = \"\\u0000\"", &["api_key"]),
    ("api_keys = [\"secret-two\", \"secret-three\"]", "api_keys = []", &["api_keys"]),
    ("api_keys = [\"secret-two\", \"secret-three\"]", "api_keys = [\"secret-two\", \"secret-two\"]", &["api_keys"]),
];

#[tokio::test]
async fn the_file_that_all_mistakes_are_made_in_is_right() {
    let file = File::new(RIGHT);
    let ran = run(&["--check", "--config", file.path()], &ENVIRONMENT).await;
    assert!(ran.status.success(), "{ran:?}");
}

#[tokio::test]
async fn a_bad_file_is_told_with_its_name_the_line_the_field_and_what_would_be_right() {
    let mut runs = JoinSet::new();
    for mistake in MISTAKES {
        runs.spawn(complaint(mistake));
    }
    let complaints: Vec<String> = runs.join_all().await.into_iter().flatten().collect();
    assert!(complaints.is_empty(), "{} of {}:\n\n{}", complaints.len(), MISTAKES.len(), complaints.join("\n\n"));
}

/// What is wrong with what is told of a mistake.
async fn complaint((right, wrong, words): &(&str, &str, &[&str])) -> Option<String> {
    let place = RIGHT.find(right).unwrap_or_else(|| panic!("{right} is not in the file"));
    let file = File::new(&RIGHT.replacen(right, wrong, 1));
    let ran = run(&["--check", "--config", file.path()], &ENVIRONMENT).await;
    let told = ran.stderr.clone();
    let line = RIGHT[..place].matches('\n').count() + 1;
    let at = |line: usize| told.contains(&format!("{}:{line}:", file.path()));
    let mut missing: Vec<String> = words.iter().filter(|word| !told.contains(**word)).map(|word| (*word).to_owned()).collect();
    // What is missing has no line: that of the section, or of the entry, is told. What contradicts something may be told there.
    if !(at(line) || (1..line + 2).any(at) && (wrong.is_empty() || wrong.contains('\n') || right.contains("provider ="))) {
        missing.push(format!("line {line}"));
    }
    missing.extend(ran.status.success().then(|| "a failing status".to_owned()));
    missing.extend(format!("{ran:?}").contains("secret-").then(|| "silence about secrets".to_owned()));
    (!missing.is_empty()).then(|| format!("{wrong:?} lacks {}:\n{ran:?}", missing.join(", ")))
}
