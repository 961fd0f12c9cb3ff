//! Configuration files.

use std::{
    fmt::Write,
    fs, process,
    sync::atomic::{AtomicU32, Ordering},
};

use towline_testkit::{Dialect, MockProvider};

/// A file that is removed when this is dropped.
pub(crate) struct File(String);

impl File {
    pub(crate) fn new(text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = format!("{}/gateway-{}-{number}.toml", env!("CARGO_TARGET_TMPDIR"), process::id());
        fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        &self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The section of a provider, with more lines of its own. Its key is `key-of-NAME`.
pub(crate) fn provider(name: &str, dialect: Dialect, base_url: &str, more: &str) -> String {
    let dialect = match dialect {
        Dialect::OpenAiResponses => "responses",
        Dialect::Anthropic => "anthropic",
        Dialect::Gemini => "gemini",
        _ => "openai",
    };
    let key = if more.contains("api_key") { String::new() } else { format!("api_key = \"key-of-{name}\"\n") };
    format!("[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"{base_url}\"\n{key}{more}\n")
}

/// Where a provider is found, as its own SDK takes it.
pub(crate) fn base_url(dialect: Dialect, provider: &MockProvider) -> String {
    provider.url(if dialect == Dialect::Anthropic { "" } else { "/v1" })
}

/// A file with the providers `primary` and `second`, and the model `chat` that goes to the first and then to the other. `model` is more lines of the
/// model, `target` more settings of both targets.
pub(crate) fn pair(dialect: Dialect, providers: [&MockProvider; 2], model: &str, target: &str) -> String {
    let mut file = String::new();
    for (name, at) in ["primary", "second"].into_iter().zip(providers) {
        file += &provider(name, dialect, &base_url(dialect, at), "");
    }
    write!(file, "[[models]]\nname = \"chat\"\n{model}\ntargets = [\n").unwrap();
    for (name, model) in [("primary", "model-a"), ("second", "model-b")] {
        let comma = if target.is_empty() { "" } else { ", " };
        writeln!(file, "  {{ provider = \"{name}\", model = \"{model}\"{comma}{target} }},").unwrap();
    }
    file + "]\n"
}

/// Two providers that answer nothing in particular.
pub(crate) async fn started() -> [MockProvider; 2] {
    [MockProvider::start().await.unwrap(), MockProvider::start().await.unwrap()]
}
