//! What the layer asks of the types around it: at compile time, and by running them.

use std::{
    cell::Cell,
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, service_fn, util::BoxCloneSyncService};
use towline_core::{BoxError, for_body};
use towline_retry::{Retry, RetryLayer};

use crate::support::{ask, provider, request, status};

#[test]
fn the_service_its_future_and_the_layer_are_send_where_the_inner_ones_are() {
    fn is_send<T: Send>(_: &T) {}
    fn is_sync<T: Sync>(_: &T) {}
    type Client = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError>;
    let layer = RetryLayer::new();
    is_send(&layer);
    is_sync(&layer);
    let mut client: Retry<Client> = layer.layer(BoxCloneSyncService::new(provider(|_| status(200)).1));
    is_send(&client);
    is_sync(&client);
    is_send(&client.call(request()));
}

/// A body that is neither `Send` nor `Sync` nor `Unpin`.
struct Local(PhantomData<Rc<()>>, std::marker::PhantomPinned);

impl Body for Local {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

#[tokio::test(start_paused = true)]
async fn neither_send_nor_static_nor_unpin_is_asked_of_anything() {
    let sent = Cell::new(0);
    let local = Rc::new(());
    let provider = service_fn(|_: Request<Full<Bytes>>| {
        sent.set(sent.get() + 1);
        let local = Rc::clone(&local);
        async move {
            let _held = local;
            Ok::<_, Infallible>(Response::builder().status(503).body(Local(PhantomData, std::marker::PhantomPinned)).unwrap())
        }
    });
    let answer = RetryLayer::new().layer(provider).oneshot(request()).await;
    assert_eq!((sent.get(), answer.unwrap().status().as_u16()), (3, 503));
}

#[tokio::test(start_paused = true)]
async fn it_may_stand_over_a_concurrency_limit_and_under_a_builder() {
    let (log, provider) = provider(|nth| if nth < 3 { status(500) } else { status(200) });
    let client = ServiceBuilder::new().layer(RetryLayer::new()).layer(ConcurrencyLimitLayer::new(1)).service(provider);
    let client = for_body::<Full<Bytes>, _>(client);
    let (one, two) = tokio::join!(ask(client.clone()), ask(client));
    assert!(one.0.is_ok() && two.0.is_ok());
    assert_eq!(log.count(), 4);
}

#[test]
fn the_service_beneath_is_within_reach() {
    let service = RetryLayer::new().layer(5);
    assert_eq!((*service.get_ref(), service.into_inner()), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn a_future_polled_after_its_end_does_not_panic() {
    let mut client = RetryLayer::new().layer(provider(|_| status(200)).1);
    let mut call = tokio_test::task::spawn(client.call(request()));
    assert!(call.poll().is_ready());
    assert!(call.enter(|cx, future| future.poll(cx)).is_pending());
    assert!(format!("{:?}", call.enter(|_, future| format!("{future:?}"))).contains("done"));
}
