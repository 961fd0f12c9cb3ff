//! What is asked, and what is answered.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use towline_testkit::Dialect;

use super::process::Gateway;

pub(crate) type Client = legacy::Client<HttpConnector, Full<Bytes>>;

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body broke off, as HTTP tells.
    pub(crate) broken: bool,
}

pub(crate) fn client() -> Client {
    legacy::Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http()
}

/// The path where a dialect is spoken.
pub(crate) fn path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiResponses => "/v1/responses",
        Dialect::Anthropic => "/v1/messages",
        _ => "/v1/chat/completions",
    }
}

/// A question to the model `chat`.
pub(crate) fn question(dialect: Dialect, stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": "Count!"}]);
    match dialect {
        Dialect::OpenAiResponses => json!({"model": "chat", "input": "Count!", "stream": stream}),
        Dialect::Anthropic => json!({"model": "chat", "max_tokens": 200, "messages": messages, "stream": stream}),
        _ if stream => {
            json!({"model": "chat", "messages": messages, "stream": true, "stream_options": {"include_usage": true}})
        }
        _ => json!({"model": "chat", "messages": messages}),
    }
}

impl Gateway {
    /// Sends a request, and hands back the head of the answer as soon as it is there.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.client.request(request).await.unwrap()
    }

    /// A POST with these headers, addressed to this gateway.
    pub(crate) fn request(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let request = Request::post(format!("http://{}{path}", self.address)).header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(Full::new(body.into())).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: impl ToString) -> Answer {
        self.post_with(path, &[], body).await
    }

    pub(crate) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: impl ToString) -> Answer {
        Answer::whole(self.send(self.request(path, headers, body.to_string())).await).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = Request::get(format!("http://{}{path}", self.address)).body(Full::default()).unwrap();
        Answer::whole(self.send(request).await).await
    }

    /// Asks the model `chat`, and reads the answer to its end.
    pub(crate) async fn ask(&self, dialect: Dialect, stream: bool) -> Answer {
        self.post(path(dialect), question(dialect, stream)).await
    }
}

impl Answer {
    /// Reads all of it; a body that breaks off leaves what came before.
    pub(crate) async fn whole(response: Response<Incoming>) -> Self {
        let (head, mut body) = response.into_parts();
        let (mut all, mut broken) = (Vec::new(), false);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                broken = true;
                break;
            };
            all.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
        }
        Self { status: head.status.as_u16(), headers: head.headers, body: all.into(), broken }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What is wrong, if this is an error as this dialect says it, from its envelope to its type.
    pub(crate) fn error(&self, dialect: Dialect) -> Option<String> {
        let body = self.json();
        let shaped = match dialect {
            Dialect::Anthropic => body["type"] == "error",
            _ => body["type"].is_null() && body["error"].get("code").is_some(),
        };
        let typed = shaped && body["error"]["type"].is_string() && self.header("content-type") == Some("application/json");
        body["error"]["message"].as_str().filter(|_| typed).map(str::to_owned)
    }
}
