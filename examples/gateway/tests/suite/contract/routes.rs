//! Which paths there are, and who is asked.

use serde_json::json;
use towline_testkit::{Answer, Dialect, MockProvider};

use crate::support::{Gateway, Said, base_url, pair, path, provider, question, started};

const DIALECTS: [Dialect; 3] = [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::OpenAiResponses];

#[tokio::test]
async fn each_dialect_is_served_at_its_path_whole_and_streamed() {
    for dialect in DIALECTS {
        let [a, b] = started().await;
        a.speak(dialect, Answer::counting(5));
        let gateway = Gateway::start(&pair(dialect, [&a, &b], "", "")).await;
        for stream in [false, true] {
            let answer = gateway.ask(dialect, stream).await;
            assert_eq!(answer.status, 200, "{dialect:?} {stream}: {}", answer.text());
            let kind = answer.header("content-type").unwrap_or_default();
            assert_eq!(kind.starts_with("text/event-stream"), stream, "{kind}");
            if dialect == Dialect::OpenAiResponses {
                assert!(answer.text().contains("1 2 3 4 5"), "{}", answer.text());
            } else {
                let said = Said::read(dialect, &answer);
                assert_eq!((said.text.as_str(), said.finished, said.error), ("1 2 3 4 5 ", true, None));
            }
        }
        let asked = a.requests();
        assert_eq!((asked.len(), b.hits()), (2, 0));
        let at_the_provider = path(dialect);
        assert!(asked.iter().all(|request| request.uri.path() == at_the_provider), "{asked:?}");
        assert!(asked.iter().all(|request| request.text().contains(r#""model-a""#)), "the target's own name for the model");
    }
}

#[tokio::test]
async fn embeddings_go_their_own_way() {
    let [a, b] = started().await;
    a.otherwise(
        towline_testkit::Reply::ok().json(r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}]}"#),
    );
    // Vectors of two models do not mix, so both targets name the same one.
    let config = pair(Dialect::OpenAiChat, [&a, &b], "preset = \"embeddings\"", "").replace("model-b", "model-a");
    let gateway = Gateway::start(&config).await;
    let answer = gateway.post("/v1/embeddings", json!({"model": "chat", "input": "text"})).await;
    assert_eq!((answer.status, answer.json()["data"][0]["embedding"][0].as_f64()), (200, Some(0.5)));
    assert_eq!((a.requests()[0].uri.path(), a.hits()), ("/v1/embeddings", 1));
}

#[tokio::test]
async fn models_are_listed_by_the_names_that_clients_send() {
    let [a, b] = started().await;
    let more = "[[models]]\nname = \"embed\"\ntargets = [{ provider = \"second\", model = \"model-e\" }]\n";
    let gateway = Gateway::start(&(pair(Dialect::OpenAiChat, [&a, &b], "", "") + more)).await;
    let listed = gateway.get("/v1/models").await;
    let mut names: Vec<_> = listed.json()["data"].as_array().unwrap().iter().map(|model| model["id"].to_string()).collect();
    names.sort();
    assert_eq!((listed.status, names), (200, vec![r#""chat""#.to_owned(), r#""embed""#.to_owned()]));
    assert_eq!((a.hits(), b.hits()), (0, 0));
}

#[tokio::test]
async fn the_gateway_tells_that_it_is_alive_without_asking_anybody() {
    let [a, b] = started().await;
    let gateway = Gateway::start(&pair(Dialect::OpenAiChat, [&a, &b], "", "")).await;
    assert_eq!(gateway.get("/healthz").await.status, 200);
    assert_eq!((a.connections(), b.connections()), (0, 0));
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_what_cannot_be_done_is_refused() {
    let [a, b] = started().await;
    let gateway = Gateway::start(&pair(Dialect::OpenAiChat, [&a, &b], "", "")).await;
    assert_eq!(gateway.get("/v1/nothing").await.status, 404);
    assert_eq!(gateway.post("/v1/nothing", question(Dialect::OpenAiChat, false)).await.status, 404);
    assert_eq!(gateway.get("/v1/chat/completions").await.status, 405);
    assert_eq!(gateway.post("/v1/models", "{}").await.status, 405);
    assert_eq!((a.hits(), b.hits()), (0, 0));
}

#[tokio::test]
async fn a_call_in_another_dialect_than_its_targets_is_a_clear_refusal_and_reaches_nobody() {
    for dialect in DIALECTS {
        let [a, b] = started().await;
        let gateway = Gateway::start(&pair(dialect, [&a, &b], "", "")).await;
        for other in DIALECTS.into_iter().filter(|other| *other != dialect) {
            let answer = gateway.ask(other, false).await;
            let told = answer.error(other).unwrap_or_else(|| panic!("{other:?}: {}", answer.text()));
            assert!((400..500).contains(&answer.status) && told.contains(path(dialect)), "{}: {told}", answer.status);
        }
        assert_eq!((a.hits(), b.hits()), (0, 0));
    }
}

#[tokio::test]
async fn a_gemini_provider_can_be_configured_and_says_where_it_is_not_served_yet() {
    let a = MockProvider::start().await.unwrap();
    let config = provider("primary", Dialect::Gemini, &base_url(Dialect::Gemini, &a), "");
    let gateway =
        Gateway::start(&(config + "[[models]]\nname = \"chat\"\ntargets = [{ provider = \"primary\", model = \"g\" }]\n")).await;
    let answer = gateway.ask(Dialect::OpenAiChat, false).await;
    assert!((400..500).contains(&answer.status) && answer.error(Dialect::OpenAiChat).is_some(), "{}", answer.text());
    assert_eq!(a.hits(), 0);
}
