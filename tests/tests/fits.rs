//! What fits on what: each layer alone and all together, over each transport, with each kind of body, over real sockets.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{convert::Infallible, num::NonZeroU32};

use axum::{Router, routing::post as route};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service, ServiceExt};
use towline::{
    BoxError, CallLayer, CircuitBreakerLayer, ClassifyLayer, Error, FallbackLayer, RateLimitLayer, RetryLayer, Target,
    TimeoutLayer, body::ReplayBody, for_body,
};
use towline_testkit::{MockProvider, Reply};
use towline_tests::{Body, hyper, post, reqwest};

const ANSWER: &str = r#"{"text":"hello"}"#;

async fn provider() -> MockProvider {
    let provider = MockProvider::start().await.unwrap();
    provider.otherwise(Reply::status(200).json(ANSWER));
    provider
}

/// Sends one request and reads the answer whole.
async fn exchange<S, B, R>(service: S, request: Request<B>) -> Bytes
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    let response = service.oneshot(request).await.map_err(Into::into).unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.map_err(Into::into).unwrap().to_bytes()
}

/// Runs a test for each layer alone, and for all together, over one transport: `name`, the transport, and how to address it.
macro_rules! over {
    ($module:ident, $transport:expr) => {
        mod $module {
            use super::*;

            over!(@layer $module, $transport, classify, ClassifyLayer::new());
            over!(@layer $module, $transport, retry, RetryLayer::new());
            over!(@layer $module, $transport, circuit_breaker, CircuitBreakerLayer::new());
            over!(@layer $module, $transport, rate_limit, RateLimitLayer::requests_per_minute(NonZeroU32::MAX));
            over!(@layer $module, $transport, timeout, TimeoutLayer::attempt());
            over!(@layer $module, $transport, fallback, FallbackLayer::none());
            over!(@layer $module, $transport, call, CallLayer::new());

            #[tokio::test]
            async fn all_layers() {
                let provider = provider().await;
                let target = Target::new("provider", provider.url("")).unwrap();
                let stack = towline::stack($transport).targets([target]).unwrap().build().unwrap();
                let service = for_body::<Body, _>(stack);
                assert_eq!(exchange(service, post("/v1/messages")).await, ANSWER);
                assert_eq!(provider.hits(), 1);
            }

            /// axum's own body is not `Sync` and cannot be cloned: `CallLayer` takes it all the same.
            #[tokio::test]
            async fn all_layers_with_axums_body() {
                let provider = provider().await;
                let target = Target::new("provider", provider.url("")).unwrap();
                let stack = towline::stack($transport).targets([target]).unwrap().build().unwrap();
                let request = post("/v1/messages").map(axum::body::Body::new);
                assert_eq!(exchange(stack, request).await, ANSWER);
                assert_eq!(provider.requests()[0].text(), r#"{"model":"m"}"#);
            }

            #[tokio::test]
            async fn all_layers_in_a_box() {
                let provider = provider().await;
                let stack: towline::BoxService<Body> = towline::boxed(towline::stack($transport).build().unwrap());
                assert_eq!(exchange(stack, post(provider.url("/"))).await, ANSWER);
            }
        }
    };
    (@layer $module:ident, $transport:expr, $name:ident, $layer:expr) => {
        #[tokio::test]
        async fn $name() {
            let provider = provider().await;
            let service = for_body::<Body, _>($layer.layer($transport));
            assert_eq!(exchange(service, post(provider.url("/v1/messages"))).await, ANSWER);
            assert_eq!(provider.hits(), 1);
        }
    };
}

over!(a_hyper_util_client, hyper());
over!(the_reqwest_adapter, reqwest());
over!(an_axum_router, router());
over!(
    a_function,
    tower::service_fn(|request: Request<Body>| async move { hyper().oneshot(request).await.map_err(BoxError::from) })
);

/// A router that passes on what it gets: a gateway's own transport.
fn router() -> Router {
    async fn pass(request: Request<axum::body::Body>) -> Result<Response<axum::body::Body>, http::StatusCode> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| http::StatusCode::BAD_REQUEST)?.to_bytes();
        let response =
            hyper().oneshot(Request::from_parts(head, Full::from(body))).await.map_err(|_| http::StatusCode::BAD_GATEWAY)?;
        Ok(response.map(axum::body::Body::new))
    }
    Router::new().route("/{*path}", route(pass)).route("/", route(pass))
}

/// A body that yields its frames one by one and can be sent only once.
fn upload() -> ReplayBody<StreamBody<Frames>> {
    ReplayBody::once(StreamBody::new(Frames(vec!["}", "\"m\"", "{\"model\":"])))
}

struct Frames(Vec<&'static str>);

impl futures_core::Stream for Frames {
    type Item = Result<http_body::Frame<Bytes>, Infallible>;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.pop().map(|part| Ok(http_body::Frame::data(Bytes::from_static(part.as_bytes())))))
    }
}

#[tokio::test]
async fn a_body_that_streams_is_sent_once_and_that_is_no_error() {
    let provider = MockProvider::start().await.unwrap();
    provider.otherwise(Reply::status(503));
    let layers = (RetryLayer::new(), CircuitBreakerLayer::new(), TimeoutLayer::attempt(), ClassifyLayer::new());
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let service = for_body::<ReplayBody<StreamBody<Frames>>, _>(layers.layer(client));

    let response = service.oneshot(Request::post(provider.url("/")).body(upload()).unwrap()).await.unwrap();

    assert_eq!(response.status(), 503);
    assert_eq!(provider.hits(), 1);
    assert_eq!(provider.requests()[0].text(), r#"{"model":"m"}"#);
}

#[tokio::test]
async fn an_upload_that_was_recorded_is_sent_again() {
    let provider = MockProvider::start().await.unwrap();
    provider.script([Reply::status(502), Reply::status(200).json(ANSWER)]);
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let body = ReplayBody::tee(StreamBody::new(Frames(vec!["}", "\"m\"", "{\"model\":"])), 1024);
    let request = Request::post(provider.url("/")).body(body).unwrap();
    assert_eq!(exchange(RetryLayer::new().layer(client), request).await, ANSWER);
    assert_eq!(provider.requests().iter().map(towline_testkit::Received::text).collect::<Vec<_>>(), [r#"{"model":"m"}"#; 2]);
}

/// The provider's `Err` where nothing else goes wrong.
#[tokio::test]
async fn a_service_whose_error_is_a_box_fits_like_one_whose_error_is_its_own() {
    let boxed = tower::service_fn(|_: Request<Body>| async { Err::<Response<Body>, _>(BoxError::from("boxed")) });
    let own = tower::service_fn(|_: Request<Body>| async { Err::<Response<Body>, _>(std::io::Error::other("own")) });
    let ours = tower::service_fn(|_: Request<Body>| async {
        Err::<Response<Body>, _>(Error::new(towline::Failure::new(towline::FailureKind::Auth)))
    });
    assert!(towline::stack(boxed).build().unwrap().oneshot(post("http://host/")).await.is_err());
    assert!(towline::stack(own).build().unwrap().oneshot(post("http://host/")).await.is_err());
    assert_eq!(
        towline::stack(ours).build().unwrap().oneshot(post("http://host/")).await.err().unwrap().kind(),
        towline::FailureKind::Auth
    );
}

mod auto_traits {
    use super::*;

    fn is_send<T: Send>(_: &T) {}
    fn is_send_and_sync<T: Send + Sync>(_: &T) {}
    fn is_unpin<T: Unpin>(_: &T) {}

    /// Services, futures and bodies are `Send` where what is beneath them is.
    #[tokio::test]
    async fn what_is_beneath_decides() {
        let provider = provider().await;
        let stack = towline::stack(hyper()).build().unwrap();
        is_send_and_sync(&stack);
        let future = stack.clone().oneshot(post(provider.url("/")));
        is_send(&future);
        let response = future.await.unwrap();
        is_send(&response);
        is_unpin(response.body());
        is_send_and_sync(&for_body::<Body, _>(towline::stack(reqwest()).build().unwrap()));
    }

    /// Nothing asks for `Send` or `'static` where the user does not need it.
    #[tokio::test]
    async fn a_service_that_is_neither_send_nor_static_fits_too() {
        let here = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = &here;
        let local = tower::service_fn(move |_: Request<Body>| {
            count.set(count.get() + 1);
            let not_send = std::rc::Rc::clone(count);
            async move {
                drop(not_send);
                Ok::<_, BoxError>(Response::new(Body::from(ANSWER)))
            }
        });
        assert_eq!(exchange(towline::stack(local).build().unwrap(), post("http://host/")).await, ANSWER);
        assert_eq!(here.get(), 1);
    }
}
