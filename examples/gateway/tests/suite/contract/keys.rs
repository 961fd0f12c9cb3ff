//! Credentials: the caller's, the providers', the gateway's own.

use towline_testkit::{Answer, Dialect, MockProvider, ProviderError, Received, Reply};

use crate::support::{Gateway, base_url, pair, path, provider, question, started};

const DIALECTS: [Dialect; 2] = [Dialect::OpenAiChat, Dialect::Anthropic];
const CALLERS: &str = "callers-own-secret";
/// Every way in which callers are known to show who they are.
const SHOWN: [(&str, &str); 9] = [
    ("authorization", "Bearer callers-own-secret"),
    ("x-api-key", "callers-own-secret"),
    ("api-key", "callers-own-secret"),
    ("x-goog-api-key", "callers-own-secret"),
    ("cookie", "session=callers-own-secret"),
    ("proxy-authorization", "Basic callers-own-secret"),
    ("openai-organization", "callers-own-secret"),
    ("openai-project", "callers-own-secret"),
    ("x-amz-security-token", "callers-own-secret"),
];

fn all_of(received: &Received) -> String {
    let value = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: String = received.headers.iter().map(|(name, text)| format!("{name}: {}\n", value(text))).collect();
    format!("{} {}\n{headers}\n{}", received.method, received.uri, received.text())
}

/// The key that a provider was shown, where its dialect has it.
fn shown(dialect: Dialect, received: &Received) -> String {
    let header = if dialect == Dialect::Anthropic { "x-api-key" } else { "authorization" };
    received.header(header).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn callers_credentials_never_reach_a_provider() {
    for dialect in DIALECTS {
        let [a, b] = started().await;
        a.otherwise(Reply::error_of(dialect, ProviderError::Overloaded));
        b.speak(dialect, Answer::counting(1));
        let gateway = Gateway::start(&pair(dialect, [&a, &b], "", "retries = 0")).await;
        let at = format!("{}?key={CALLERS}&access_token={CALLERS}&api_key={CALLERS}", path(dialect));
        for stream in [false, true] {
            let answer = gateway.post_with(&at, &SHOWN, question(dialect, stream)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(!answer.text().contains(CALLERS) && !format!("{:?}", answer.headers).contains(CALLERS));
        }
        for received in a.requests().into_iter().chain(b.requests()) {
            assert!(!all_of(&received).contains(CALLERS), "{}", all_of(&received));
        }
        assert!(!gateway.complaints().contains(CALLERS));
        let bearer = |key: &str| if dialect == Dialect::Anthropic { key.to_owned() } else { format!("Bearer {key}") };
        assert_eq!(shown(dialect, &a.requests()[0]), bearer("key-of-primary"));
        assert_eq!(shown(dialect, &b.requests()[0]), bearer("key-of-second"));
    }
}

#[tokio::test]
async fn a_key_can_come_from_the_environment() {
    let a = MockProvider::start().await.unwrap();
    a.speak(Dialect::Anthropic, Answer::counting(1));
    let config = provider("one", Dialect::Anthropic, &base_url(Dialect::Anthropic, &a), "api_key_env = \"SUITE_KEY\"")
        + "[[models]]\nname = \"chat\"\ntargets = [{ provider = \"one\", model = \"m\" }]\n";
    let gateway = Gateway::start_in(&config, &[("SUITE_KEY", "key-from-outside")]).await;
    assert_eq!(gateway.ask(Dialect::Anthropic, false).await.status, 200);
    assert_eq!(a.requests()[0].header("x-api-key"), Some("key-from-outside"));
    assert_eq!(a.requests()[0].header("anthropic-version"), Some("2023-06-01"), "without it Anthropic refuses");
}

#[tokio::test]
async fn several_keys_are_rotated_where_one_is_limited_or_dead() {
    for (dialect, error) in [(Dialect::OpenAiChat, ProviderError::RateLimited(None)), (Dialect::Anthropic, ProviderError::Auth)] {
        let [a, b] = started().await;
        a.respond_with(move |request| match shown(dialect, request).contains("key-one") {
            true => Reply::error_of(dialect, error),
            false => Reply::as_asked(request, dialect, &Answer::counting(1)),
        });
        let config = provider("one", dialect, &base_url(dialect, &a), "api_keys = [\"key-one\", \"key-two\"]")
            + &provider("two", dialect, &base_url(dialect, &b), "")
            + "[[models]]\nname = \"chat\"\nbackoff = { base = \"1ms\", max = \"2ms\" }\n"
            + "targets = [{ provider = \"one\", model = \"m\" }, { provider = \"two\", model = \"n\" }]\n";
        let gateway = Gateway::start(&config).await;
        for _ in 0..5 {
            let answer = gateway.ask(dialect, false).await;
            assert_eq!((answer.status, answer.header("x-towline-target")), (200, Some("one/m")), "{}", answer.text());
        }
        let with_one = a.requests().iter().filter(|request| shown(dialect, request).contains("key-one")).count();
        assert_eq!((with_one, a.hits(), b.hits()), (1, 6, 0), "the bad key is found out once, and left alone");
    }
}

#[tokio::test]
async fn gateway_keys_are_asked_for_in_the_callers_dialect() {
    for dialect in DIALECTS {
        let [a, b] = started().await;
        a.speak(dialect, Answer::counting(1));
        let config = format!("[auth]\nkeys_env = \"SUITE_KEYS\"\n{}", pair(dialect, [&a, &b], "", ""));
        let gateway = Gateway::start_in(&config, &[("SUITE_KEYS", "gateway-key-1, gateway-key-2")]).await;
        let ask = async |headers: &[(&str, &str)]| gateway.post_with(path(dialect), headers, question(dialect, false)).await;
        for wrong in ["gateway-key-", "gateway-key-3", "gateway-key-11", "GATEWAY-KEY-1", "gateway-key-1, gateway-key-2", ""] {
            for headers in [[("authorization", format!("Bearer {wrong}"))], [("x-api-key", wrong.to_owned())]] {
                let answer = ask(&[(headers[0].0, &headers[0].1)]).await;
                let told = answer.error(dialect).unwrap_or_else(|| panic!("{wrong}: {}", answer.text()));
                assert_eq!(answer.status, 401, "{wrong}: {told}");
                assert!(!answer.text().contains("gateway-key-1") && answer.header("x-request-id").is_some());
            }
        }
        assert_eq!(ask(&[]).await.status, 401);
        assert_eq!(gateway.get("/v1/models").await.status, 401);
        assert_eq!(gateway.get("/healthz").await.status, 200, "who watches over it needs no key");
        assert_eq!(a.connections(), 0);
        for right in ["gateway-key-1", "gateway-key-2"] {
            assert_eq!(ask(&[("authorization", &format!("Bearer {right}"))]).await.status, 200);
            assert_eq!(ask(&[("x-api-key", right)]).await.status, 200);
        }
        assert!(a.requests().iter().all(|request| !all_of(request).contains("gateway-key")));
        assert!(!gateway.complaints().contains("gateway-key"));
    }
}
