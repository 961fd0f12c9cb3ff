//! A bare reverse proxy: axum before hyper-util's client, bodies streamed through, and nothing else.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    serve::ListenerExt,
};
use http::{Response, StatusCode, Uri, header, uri::Authority};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use lab::BoxError;
use tokio::net::TcpListener;

#[derive(Clone)]
struct Proxy {
    provider: Authority,
    client: legacy::Client<HttpConnector, Body>,
}

pub(super) async fn serve(provider: Authority) -> Result<(), BoxError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    let proxy = Proxy { provider, client: legacy::Client::builder(TokioExecutor::new()).build(http) };
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, Router::new().fallback(forward).with_state(proxy)).await?)
}

async fn forward(State(proxy): State<Proxy>, mut request: Request) -> Result<Response<Body>, StatusCode> {
    let mut to = std::mem::take(request.uri_mut()).into_parts();
    to.scheme = Some(http::uri::Scheme::HTTP);
    to.authority = Some(proxy.provider);
    *request.uri_mut() = Uri::from_parts(to).map_err(|_| StatusCode::BAD_REQUEST)?;
    request.headers_mut().remove(header::HOST);
    let answer = proxy.client.request(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(answer.map(Body::new))
}
