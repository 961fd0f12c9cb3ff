//! A target with a client of its own, of another make.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use http_body_util::BodyExt;
use tower::ServiceExt;
use towline::{Call, Credential, Reqwest, Target, Via, boxed, stack};
use towline_testkit::{MockProvider, Reply};
use towline_tests::{hyper, post};

#[tokio::test]
async fn two_clients_of_different_makes_serve_one_stack_each_its_own_target() {
    let (cloud, in_house) = (MockProvider::start().await.unwrap(), MockProvider::start().await.unwrap());
    cloud.otherwise(Reply::status(529));
    in_house.otherwise(Reply::status(200).json(r#"{"answer":"from the house"}"#));
    let targets = [
        Target::new("cloud", cloud.url("")).unwrap().with_credential(Credential::bearer("sk-cloud").unwrap()),
        Target::new("in house", in_house.url("")).unwrap().with_attempts(std::num::NonZeroU32::MIN),
    ];
    let own = Reqwest::from_builder(reqwest::Client::builder().no_proxy().user_agent("of-the-house")).unwrap();
    let transport = Via::new(boxed(hyper())).target(&targets[1], boxed(own));
    let retry = towline::RetryLayer::new()
        .attempts(2)
        .unwrap()
        .backoff(std::time::Duration::from_millis(1), std::time::Duration::from_millis(1))
        .unwrap();
    let service = stack(transport).targets(targets).unwrap().retry(retry).build().unwrap();

    let response = service.oneshot(post("/v1/messages")).await.unwrap();

    let call = Call::of(response.extensions()).unwrap().clone();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), r#"{"answer":"from the house"}"#);
    let trail: Vec<_> =
        call.trail().iter().map(|attempt| (attempt.target.as_deref().unwrap().to_owned(), attempt.failure.is_none())).collect();
    assert_eq!(trail.last(), Some(&("in house".to_owned(), true)));
    assert_eq!(trail.len(), cloud.hits() + in_house.hits(), "the layers above are those of all: {trail:?}");
    let agent = |provider: &MockProvider| {
        provider.requests()[0].headers.get("user-agent").map(|agent| agent.to_str().unwrap().to_owned())
    };
    assert_eq!((agent(&cloud), agent(&in_house).as_deref()), (None, Some("of-the-house")));
}
