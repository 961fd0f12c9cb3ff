//! The routes: whatever comes in is checked here, and goes to the stack of its model.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, HttpBody},
    extract::{Request, State},
    response::IntoResponse,
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use parking_lot::Mutex;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;
use towline::{Call, Dialect, axum::refusal};
use towline_wire::facts;

use crate::{
    config::{Auth, Config, Problem},
    stacks::{self, Served, Shared},
};

/// All that the handlers need.
pub(crate) struct Gateway {
    models: BTreeMap<String, Served>,
    max_body: usize,
    /// Empty: nobody is asked for one.
    keys: Vec<String>,
    /// The number of the next request that brings no id of its own, behind a beginning that no other gateway has.
    next_id: (u64, AtomicU64),
    recent: Mutex<VecDeque<(HeaderValue, Call)>>,
}

/// What a caller is told who has sent what no provider shall see.
struct Refusal(StatusCode, &'static str, Cow<'static, str>);

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// How many trails are remembered.
const RECENT: usize = 32;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-towline-attempts");
const MARKS: [HeaderName; 2] = [HeaderName::from_static("x-towline-fallback"), HeaderName::from_static("x-towline-degraded")];
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

impl Gateway {
    pub(crate) fn new(config: &Config) -> Result<Arc<Self>, Problem> {
        let shared = Shared::new(config)?;
        let keys = config.auth.as_ref().map(own_keys).transpose()?.unwrap_or_default();
        Ok(Arc::new(Self {
            models: shared.models()?,
            max_body: config.max_body.0,
            keys,
            next_id: (rand::random(), AtomicU64::new(0)),
            recent: Mutex::default(),
        }))
    }

    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/v1/chat/completions", post(call))
            .route("/v1/messages", post(call))
            .route("/v1/responses", post(call))
            .route("/v1/embeddings", post(call))
            .route("/v1/models", get(models))
            .route("/healthz", get(async || "ok\n"))
            .fallback(async |request: Request| {
                Refusal::new(404, "not_found", "there is no such path").response(dialect_of(&request))
            })
            .with_state(self)
    }

    async fn answer(&self, request: Request, dialect: Option<Dialect>) -> Result<Response<Body>, Refusal> {
        let began = Instant::now();
        self.let_in(request.headers())?;
        let (mut head, body) = request.into_parts();
        let body = self.read(body).await?;
        let facts = facts::try_read(&head.uri, &body).map_err(|why| Refusal::new(400, "invalid_body", why.to_string()))?;
        let no_model = || Refusal::new(400, "no_model", r#"the body names no model: it needs a "model" that is a string"#);
        let name = facts.model.as_deref().ok_or_else(no_model)?;
        let unknown = || Refusal::new(404, "model_not_found", format!("there is no model {name:.64}; GET /v1/models names all"));
        let model = self.models.get(name).ok_or_else(unknown)?;
        if dialect != Some(model.dialect) {
            let message = format!("the model {name} is asked in another dialect, by {}", path_of(model.dialect));
            return Err(Refusal::new(400, "wrong_dialect", message));
        }
        if model.dialect == Dialect::Anthropic {
            head.headers.entry(ANTHROPIC_VERSION).or_insert(HeaderValue::from_static("2023-06-01"));
        }
        head.extensions.insert(Call::new(facts, began, None));
        Ok(model.stack.clone().oneshot(Request::from_parts(head, Full::new(body))).await.unwrap_or_else(|never| match never {}))
    }

    /// Whether a caller has shown one of the gateway's own keys. All are compared, each in constant time.
    fn let_in(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let shown = bearer.or_else(|| headers.get("x-api-key").map(HeaderValue::as_bytes)).unwrap_or_default();
        let known = self.keys.iter().fold(0, |known, key| known | key.as_bytes().ct_eq(shown).unwrap_u8());
        if self.keys.is_empty() || known == 1 {
            return Ok(());
        }
        let message = "this gateway asks for a key of its own, as a bearer token or in x-api-key";
        Err(Refusal::new(401, "invalid_api_key", message))
    }

    async fn read(&self, body: Body) -> Result<Bytes, Refusal> {
        let too_large = || Refusal::new(413, "payload_too_large", format!("the body is larger than {} bytes", self.max_body));
        if body.size_hint().lower() > self.max_body as u64 {
            return Err(too_large());
        }
        match timeout(BODY_TIME, Limited::new(body, self.max_body).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(Refusal::new(400, "incomplete_body", "the body broke off")),
            Err(_) => Err(Refusal::new(408, "body_timeout", "the body took too long to arrive")),
        }
    }

    /// The caller's id for a request, if it is one, or a new one.
    fn id(&self, headers: &HeaderMap) -> HeaderValue {
        let is_sane = |id: &&HeaderValue| id.len() <= 128 && !id.is_empty() && id.as_bytes().iter().all(u8::is_ascii_graphic);
        headers.get(REQUEST_ID).filter(is_sane).cloned().unwrap_or_else(|| {
            let (start, count) = (self.next_id.0, self.next_id.1.fetch_add(1, Ordering::Relaxed));
            HeaderValue::try_from(format!("{start:016x}-{count:x}")).unwrap_or(HeaderValue::from_static("-"))
        })
    }

    /// The attempts of a recent request, in words.
    pub(crate) fn trail(&self, id: &str) -> Option<Vec<String>> {
        let recent = self.recent.lock();
        let (_, call) = recent.iter().rev().find(|(known, _)| known == id)?;
        Some(call.trail().iter().map(ToString::to_string).collect())
    }
}

impl Refusal {
    fn new(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), code, message.into())
    }

    fn response(&self, dialect: Option<Dialect>) -> Response<Body> {
        let mut response = refusal(self.0, self.1, &self.2, dialect);
        if matches!(self.0, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            // What is left of the body will not be read, so nothing can follow it.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn own_keys(auth: &Auth) -> Result<Vec<String>, Problem> {
    let keys: Vec<String> = stacks::env_var(&auth.keys_env)?.split(',').map(|key| key.trim().to_owned()).collect();
    let empty = keys.iter().any(String::is_empty);
    if empty {
        Err(Problem::at(&auth.keys_env, "must name a variable that holds keys, with commas between them"))
    } else {
        Ok(keys)
    }
}

async fn call(State(gateway): State<Arc<Gateway>>, request: Request) -> Response<Body> {
    let (dialect, id) = (dialect_of(&request), gateway.id(request.headers()));
    let mut response = gateway.answer(request, dialect).await.unwrap_or_else(|refusal| refusal.response(dialect));
    let call = Call::of(response.extensions()).cloned();
    let headers = response.headers_mut();
    for mark in MARKS {
        if headers.contains_key(&mark) {
            headers.insert(mark, HeaderValue::from_static("true"));
        }
    }
    if let Some(call) = call {
        headers.entry(ATTEMPTS).or_insert_with(|| call.attempts().into());
        let mut recent = gateway.recent.lock();
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back((id.clone(), call));
    }
    headers.insert(REQUEST_ID, id);
    response
}

/// All models, in a shape that clients of both OpenAI and Anthropic read.
async fn models(State(gateway): State<Arc<Gateway>>, request: Request) -> Response<Body> {
    if let Err(refusal) = gateway.let_in(request.headers()) {
        return refusal.response(None);
    }
    let model = |name: &String| {
        json!({ "id": name, "object": "model", "type": "model", "display_name": name, "owned_by": "towline", "created": 0,
            "created_at": "1970-01-01T00:00:00Z" })
    };
    let data: Vec<Value> = gateway.models.keys().map(model).collect();
    let (first, last) = (gateway.models.keys().next(), gateway.models.keys().next_back());
    Json(json!({ "object": "list", "data": data, "has_more": false, "first_id": first, "last_id": last })).into_response()
}

fn dialect_of(request: &Request) -> Option<Dialect> {
    facts::read(request.uri(), b"").dialect
}

fn path_of(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat => "POST /v1/chat/completions, or /v1/embeddings",
        Dialect::OpenAiResponses => "POST /v1/responses",
        Dialect::Anthropic => "POST /v1/messages",
        _ => "one that this gateway does not serve",
    }
}
