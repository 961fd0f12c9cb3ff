//! What `--check` prints.

use std::collections::BTreeSet;

use towline_testkit::Dialect;

use crate::support::{File, pair, provider, run, started};

const CHAT: Dialect = Dialect::OpenAiChat;

#[tokio::test]
async fn check_explains_a_file_and_ends_without_a_socket_or_a_secret() {
    let [a, b] = started().await;
    let model = pair(
        Dialect::Anthropic,
        [&a, &b],
        "max_elapsed = \"31s\"",
        "retries = 2, first_token_timeout = \"9s\", timeout = \"61s\"",
    );
    // An address that nobody could listen on.
    let file = File::new(&format!("listen = \"192.0.2.1:9\"\n{model}"));
    let ran = run(&["--config", file.path(), "--check"], &[]).await;
    assert!(ran.status.success(), "{ran:?}");
    for word in [
        "\"chat\"",
        "primary/model-a",
        "second/model-b",
        "Anthropic",
        "31 s",
        "first content 9 s, total 1 min 1 s",
        "at most 3 attempts",
    ] {
        assert!(ran.stdout.contains(word), "{word} is not explained:\n{}", ran.stdout);
    }
    assert!(!format!("{ran:?}").contains("key-of-"), "{ran:?}");
    assert_eq!((a.hits(), b.hits()), (0, 0));
}

#[tokio::test]
async fn of_limits_that_all_share_the_first_preset_that_names_their_provider_says_the_share_and_the_wait() {
    let limited = |name| provider(name, CHAT, "http://127.0.0.1:1/v1", "requests_per_minute = 60");
    let model = |name: &str, preset: &str, to: [&str; 2]| {
        let targets = to.map(|to| format!("{{ provider = \"{to}\", model = \"{name}\" }}")).join(", ");
        format!("[[models]]\nname = \"{name}\"\n{preset}\ntargets = [{targets}]\n")
    };
    let config = ["one", "two", "three", "four"].map(limited).concat()
        + &model("plain", "", ["one", "four"])
        + &model("quick", "preset = \"chat\"", ["one", "two"])
        + &model("patient", "preset = \"batch\"", ["two", "three"]);
    let file = File::new(&config);
    let ran = run(&["--config", file.path(), "--check"], &[]).await;
    assert!(ran.status.success(), "{ran:?}");
    for line in
        [r#""one": in line for at most 1 s"#, r#""two": in line for at most 1 s"#, r#""three": in line for at most 5 min"#]
    {
        assert!(ran.stdout.contains(line), "{line} is not explained:\n{}", ran.stdout);
    }
    assert!(
        ran.stdout.contains(r#""three": 90 % of its limits"#) && !ran.stdout.contains(r#""four": in line"#),
        "{}",
        ran.stdout
    );
}

#[tokio::test]
async fn each_preset_can_be_named_and_what_stands_below_overrides_it() {
    let mut explanations = BTreeSet::new();
    for preset in ["chat", "documents", "code", "batch", "legal", "embeddings"] {
        let config = |more: &str| {
            let targets = r#"targets = [{ provider = "one", model = "m" }, { provider = "two", model = "m" }]"#;
            // Code is asked for with a second key before another model is.
            let keys = r#"api_keys = ["key-of-one", "key-of-two"]"#;
            // Documents want a larger window; vectors of two models do not mix.
            let window = r#"context_window_targets = [{ provider = "two", model = "large" }]"#;
            let special = if preset == "embeddings" { "" } else { window };
            provider("one", CHAT, "http://127.0.0.1:1/v1", keys)
                + &provider("two", CHAT, "http://127.0.0.1:1/v1", "")
                + &format!("[[models]]\nname = \"m\"\npreset = \"{preset}\"\n{more}\n{targets}\n{special}\n")
        };
        let explained = async |more: &str| {
            let file = File::new(&config(more));
            let ran = run(&["--check", "--config", file.path()], &[]).await;
            assert!(ran.status.success(), "{preset}: {ran:?}");
            ran.stdout
        };
        let (plain, changed) = (explained("").await, explained("max_elapsed = \"47s\"").await);
        assert!(!plain.contains("47 s") && changed.contains("ends after 47 s"), "{plain}\n{changed}");
        explanations.insert(plain);
    }
    assert_eq!(explanations.len(), 6, "no two are alike");
}
