//! The routes: whatever comes in is checked here, and goes to the stack of its model.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
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
    middleware::{Next, from_fn_with_state},
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::time::{Instant, timeout};
use tower::Service;
use towline::{Call, Dialect, MetricsObserver, axum::refusal};
use towline_wire::facts;

use crate::{
    config::{Auth, Config, Problem, env_var},
    stacks::{Served, Shared},
    status,
};

/// All that the handlers need.
pub(crate) struct Gateway {
    pub(crate) models: BTreeMap<String, Served>,
    pub(crate) providers: Vec<String>,
    pub(crate) shared: Shared,
    pub(crate) prometheus: PrometheusHandle,
    /// The last calls, each with its id, the youngest first.
    pub(crate) recent: Mutex<VecDeque<(HeaderValue, Call)>>,
    max_body: usize,
    pub(crate) read_timeout: Duration,
    /// Of those who may come in. Empty: all may.
    keys: Vec<String>,
    /// The number of the next request that brings no id of its own, behind a beginning that no other gateway has.
    next_id: (String, AtomicU64),
}

/// What a caller is told who has sent what no provider shall see.
struct Refusal(u16, &'static str, Cow<'static, str>);

/// How many calls are remembered.
const RECENT: usize = 32;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-towline-attempts");
const MARKS: [HeaderName; 2] = [HeaderName::from_static("x-towline-fallback"), HeaderName::from_static("x-towline-degraded")];
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");

impl Gateway {
    pub(crate) fn new(config: &Config, prometheus: PrometheusHandle) -> Result<Arc<Self>, Problem> {
        let observer = Arc::new(MetricsObserver::new());
        let shared = Shared::new(config, &observer)?;
        let models = shared.models(config)?;
        models.values().flat_map(|model| &model.targets).for_each(|target| observer.watch(target));
        Ok(Arc::new(Self {
            models,
            providers: config.providers.keys().cloned().collect(),
            shared,
            prometheus,
            recent: Mutex::default(),
            read_timeout: config.read_timeout.as_ref().map_or(Duration::from_secs(30), |time| time.0),
            max_body: config.max_body(),
            keys: config.auth.as_ref().map(own_keys).transpose()?.unwrap_or_default(),
            next_id: (format!("{:016x}-", rand::random::<u64>()), AtomicU64::new(0)),
        }))
    }

    pub(crate) fn router(self: Arc<Self>) -> Router {
        let asked = Router::new().route("/v1/models", get(models)).route("/status", get(status::status));
        ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"]
            .into_iter()
            .fold(asked.route_layer(from_fn_with_state(Arc::clone(&self), members)), |app, path| app.route(path, post(call)))
            .route("/metrics", get(status::metrics))
            .route("/healthz", get(async || "ok\n"))
            .method_not_allowed_fallback(async |request: Request| {
                Refusal(405, "method_not_allowed", "this path takes another method".into()).response(dialect_of(&request))
            })
            .fallback(async |request: Request| {
                Refusal(404, "not_found", "there is no such path".into()).response(dialect_of(&request))
            })
            .with_state(self)
    }

    async fn answer(&self, request: Request, dialect: Option<Dialect>) -> Result<Response<Body>, Refusal> {
        let began = Instant::now();
        self.let_in(request.headers())?;
        let (mut head, body) = request.into_parts();
        let body = self.read(body).await?;
        let facts = facts::try_read(&head.uri, &body).map_err(|why| Refusal(400, "invalid_body", why.to_string().into()))?;
        let no_model = || Refusal(400, "no_model", r#"the body names no model: it needs a "model" that is a string"#.into());
        let name = facts.model.as_deref().ok_or_else(no_model)?;
        let unknown =
            || Refusal(404, "model_not_found", format!("there is no model {name:.64}; GET /v1/models names all").into());
        let model = self.models.get(name).ok_or_else(unknown)?;
        if dialect != Some(model.dialect) {
            let message = format!("the model {name} is asked in another dialect, by {}", path_of(model.dialect));
            return Err(Refusal(400, "wrong_dialect", message.into()));
        }
        if model.dialect == Dialect::Anthropic {
            head.headers.entry(VERSION).or_insert(HeaderValue::from_static("2023-06-01"));
        }
        // What axum has noted of the request is nothing to the layers beneath, and would be kept with each copy of it.
        head.extensions.clear();
        head.extensions.insert(Call::new(facts, began, None));
        Ok((&model.stack).call(Request::from_parts(head, Full::new(body))).await.unwrap_or_else(|never| match never {}))
    }

    /// Whether a caller has shown one of the gateway's own keys. All are compared, each in constant time.
    fn let_in(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let shown = bearer.or_else(|| headers.get("x-api-key").map(HeaderValue::as_bytes)).unwrap_or_default();
        let known = self.keys.iter().fold(0, |known, key| known | key.as_bytes().ct_eq(shown).unwrap_u8());
        if self.keys.is_empty() || known == 1 {
            return Ok(());
        }
        Err(Refusal(401, "invalid_api_key", "this gateway asks for a key of its own, as a bearer token or in x-api-key".into()))
    }

    async fn read(&self, body: Body) -> Result<Bytes, Refusal> {
        let too_large = || Refusal(413, "payload_too_large", format!("the body is larger than {} bytes", self.max_body).into());
        if body.size_hint().lower() > self.max_body as u64 {
            return Err(too_large());
        }
        match timeout(self.read_timeout, Limited::new(body, self.max_body).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(Refusal(400, "incomplete_body", "the body broke off".into())),
            Err(_) => Err(Refusal(408, "body_timeout", "the body took too long to arrive".into())),
        }
    }

    /// The caller's id for a request, if it is one, or a new one.
    fn id(&self, headers: &HeaderMap) -> HeaderValue {
        let is_sane = |id: &&HeaderValue| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
        headers.get(REQUEST_ID).filter(is_sane).cloned().unwrap_or_else(|| {
            let count = HeaderValue::from(self.next_id.1.fetch_add(1, Ordering::Relaxed));
            let id = [self.next_id.0.as_bytes(), count.as_bytes()].concat();
            HeaderValue::from_maybe_shared(Bytes::from(id)).unwrap_or(HeaderValue::from_static("-"))
        })
    }

    /// Says of the answer what is known of its call, and remembers that.
    fn sign(&self, response: &mut Response<Body>, id: HeaderValue) {
        let call = Call::of(response.extensions()).cloned();
        let headers = response.headers_mut();
        for mark in MARKS {
            if let Some(value) = headers.get_mut(mark) {
                *value = HeaderValue::from_static("true");
            }
        }
        headers.insert(REQUEST_ID, id.clone());
        if let Some(call) = call {
            headers.entry(ATTEMPTS).or_insert_with(|| call.sent().into());
            let mut recent = self.recent.lock();
            recent.push_front((id, call));
            recent.truncate(RECENT);
        }
    }

    /// All models with their stacks, in words.
    pub(crate) fn explain(&self) -> String {
        let of =
            |(name, model): (&String, &Served)| format!("model {name:?}, by {}\n{}\n", path_of(model.dialect), model.explained);
        self.models.iter().map(of).collect()
    }

    /// The attempts of a recent call, in words.
    pub(crate) fn trail(&self, id: &str) -> Vec<String> {
        let call = self.recent.lock().iter().find(|(known, _)| known == id).map(|(_, call)| call.clone());
        call.iter().flat_map(Call::trail).map(|attempt| attempt.to_string()).collect()
    }
}

impl Refusal {
    fn response(&self, dialect: Option<Dialect>) -> Response<Body> {
        let status = StatusCode::from_u16(self.0).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = refusal(status, self.1, &self.2, dialect);
        if matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            // What is left of the body will not be read, so nothing can follow it.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn own_keys(auth: &Auth) -> Result<Vec<String>, Problem> {
    let keys: Vec<String> = env_var(&auth.keys_env, "auth.keys_env")?.split(',').map(|key| key.trim().to_owned()).collect();
    let wrong = || Problem("auth.keys_env".into(), "must name a variable that holds keys, with commas between them".into());
    if keys.iter().any(String::is_empty) { Err(wrong()) } else { Ok(keys) }
}

async fn call(State(gateway): State<Arc<Gateway>>, request: Request) -> Response<Body> {
    let (dialect, id) = (dialect_of(&request), gateway.id(request.headers()));
    let mut response = gateway.answer(request, dialect).await.unwrap_or_else(|refusal| refusal.response(dialect));
    gateway.sign(&mut response, id);
    response
}

/// Lets nobody in without a key, where there are some.
async fn members(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response<Body> {
    match gateway.let_in(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.response(None),
    }
}

/// All models, in a shape that clients of both OpenAI and Anthropic read.
async fn models(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let names: Vec<_> = gateway.models.keys().collect();
    let model = |name: &&String| {
        json!({ "id": name, "object": "model", "type": "model", "display_name": name, "owned_by": "towline", "created": 0,
            "created_at": "1970-01-01T00:00:00Z" })
    };
    let data: Vec<Value> = names.iter().map(model).collect();
    Json(json!({ "object": "list", "data": data, "has_more": false, "first_id": names.first(), "last_id": names.last() }))
}

fn dialect_of(request: &Request) -> Option<Dialect> {
    facts::dialect(request.uri().path())
}

fn path_of(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat => "POST /v1/chat/completions, or /v1/embeddings",
        Dialect::OpenAiResponses => "POST /v1/responses",
        Dialect::Anthropic => "POST /v1/messages",
        _ => "a path that this gateway does not serve",
    }
}
