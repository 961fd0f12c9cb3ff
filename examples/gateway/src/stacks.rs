//! From the file to one stack for each model, all over one client, with circuits, limits and budgets that they share.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    env,
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tower::{Layer, Service};
use towline::{
    AuthorizeLayer, Cache, Call, CallLayer, CircuitBreakerLayer, ConnectTimeout, Credential, DegradeLayer, Dialect, Failure,
    FallbackLayer, InvalidConfig, Limits, MetricsObserver, Observer, Phase, Preset, Profile, RateLimitLayer, RetryLayer, Role,
    Scope, StackService, Target,
    axum::{Edge, EdgeLayer},
};

use crate::config::{Breaker, Config, Destination, KINDS, Model, Problem, Provider, Substitute, Time, Use};

/// One client for all models, of which a clone counts one thing and not six.
#[derive(Clone)]
pub(crate) struct Client(Arc<legacy::Client<ConnectTimeout<HttpsConnector<HttpConnector>>, Full<Bytes>>>);

/// A model that callers can ask for.
pub(crate) struct Served {
    pub(crate) dialect: Dialect,
    pub(crate) targets: Vec<Target>,
    /// The stack in words.
    pub(crate) explained: String,
    pub(crate) stack: Edge<StackService<Client>>,
}

/// What all stacks share.
pub(crate) struct Shared {
    client: Client,
    observer: Observer,
    retry: RetryLayer,
    pub(crate) circuit_breaker: CircuitBreakerLayer,
    pub(crate) rate_limit: RateLimitLayer,
    pub(crate) authorize: AuthorizeLayer,
}

impl Shared {
    pub(crate) fn new(config: &Config, observer: &Arc<MetricsObserver>) -> Result<Self, Problem> {
        let observer = Observer::from(Arc::clone(observer));
        Ok(Self {
            client: Client::new(),
            retry: RetryLayer::new().observer(observer.clone()),
            circuit_breaker: circuit_breaker(config)?.observer(observer.clone()),
            rate_limit: rate_limit(config)?.observer(observer.clone()),
            authorize: AuthorizeLayer::new(),
            observer,
        })
    }

    /// All models, by name.
    pub(crate) fn models(&self, config: &Config) -> Result<BTreeMap<String, Served>, Problem> {
        for (name, provider) in &config.providers {
            at(name, provider, name)?;
        }
        let mut models = BTreeMap::new();
        for (nth, model) in config.models.iter().enumerate() {
            let served = self.model(config, model).map_err(|Problem(field, what)| match field.strip_prefix("providers.") {
                Some(_) => Problem(field, what),
                None => Problem(format!("models[{nth}].{field}"), what),
            })?;
            if models.insert(model.name.clone(), served).is_some() {
                return Err(Problem(format!("models[{nth}].name"), "another model has this name; each needs its own".into()));
            }
        }
        Ok(models)
    }

    fn model(&self, config: &Config, model: &Model) -> Result<Served, Problem> {
        let none = || Problem("targets".into(), "needs at least one target".into());
        let dialect = provider(config, "targets[0]", model.targets.first().ok_or_else(none)?)?.dialect.0;
        let most = model.max_elapsed.as_ref().map_or(Duration::MAX, |limit| limit.0);
        let targets = |list: &str| {
            let of_list = model.destinations().filter(|(field, _)| field.starts_with(list));
            of_list.map(|(field, to)| target(config, &field, to, dialect, most)).collect::<Result<Vec<_>, _>>()
        };
        let (window, policy) = ("context_window_targets", "content_policy_targets");
        let mut fallback =
            FallbackLayer::new(targets("targets")?).map_err(Problem::at("targets"))?.answer_headers(true).on_refusal(reviewed);
        fallback = fallback.context_window_targets(targets(window)?).map_err(Problem::at(window))?;
        fallback = fallback.content_policy_targets(targets(policy)?).map_err(Problem::at(policy))?;
        for (field, to) in model.destinations() {
            if let Some(kinds) = &to.fallback_on {
                let kinds = kinds.iter().map(|kind| kind.0).collect();
                fallback = fallback.moves_on_from(&to.name(), moves(kinds)).map_err(Problem::at(field))?;
            }
        }
        let known = fallback.targets().to_vec();

        let (mut stack, mut call, mut retry) =
            (towline::stack(self.client.clone()).fallback(fallback), CallLayer::new(), self.retry.clone());
        if let Some(Use(preset)) = &model.preset {
            let preset = within(preset, most);
            (call, retry) = layers(&preset, retry).map_err(Problem::at("preset"))?;
            stack = stack.preset(preset);
        }
        if let Some(limit) = &model.max_elapsed {
            call = call.deadline(limit.0).map_err(Problem::at("max_elapsed"))?;
        }
        if let Some(waits) = &model.backoff {
            let retries =
                retry.backoff(waits.base.0, waits.max.0).and_then(|retry| retry.throttle_backoff(waits.base.0, waits.max.0));
            retry = retries.map_err(Problem::at("backoff"))?;
        }
        if let Some(substitute) = &model.degrade {
            stack = stack.degrade(degrade(substitute)?);
        }
        // What all share comes last, since a preset and an observer would give this stack layers of its own.
        let stack = stack.observer(self.observer.clone()).call(call.max_body(config.max_body())).retry(retry);
        let stack = stack.circuit_breaker(self.circuit_breaker.clone()).rate_limit(self.rate_limit.clone());
        let stack = stack.authorize(self.authorize.clone()).shared_with(destinations(config).map(|(to, _)| to.name()));
        let explained = stack.explain();
        let stack = stack.build().map_err(Problem::at(if model.preset.is_some() { "preset" } else { "targets" }))?;
        Ok(Served { dialect, targets: known, explained, stack: EdgeLayer::new().retell(true).layer(stack) })
    }
}

/// All targets of all models, each with its model's preset.
fn destinations(config: &Config) -> impl Iterator<Item = (&Destination, Option<&Preset>)> {
    config.models.iter().flat_map(|model| {
        let preset = model.preset.as_ref().map(|preset| &preset.0);
        model.destinations().map(move |(_, to)| (to, preset))
    })
}

fn provider<'a>(config: &'a Config, field: &str, to: &Destination) -> Result<&'a Provider, Problem> {
    config.providers.get(&to.provider).ok_or_else(|| {
        let known: Vec<_> = config.providers.keys().map(String::as_str).collect();
        Problem(format!("{field}.provider"), format!("there is no provider {:?}; there are: {}", to.provider, known.join(", ")))
    })
}

/// A target of a model whose calls take `most` at most.
fn target(config: &Config, field: &str, to: &Destination, dialect: Dialect, most: Duration) -> Result<Target, Problem> {
    let provider = provider(config, field, to)?;
    if provider.dialect.0 != dialect {
        let why = "speaks another dialect than the model's first target; until requests are translated, all must speak one";
        return Err(Problem(format!("{field}.provider"), format!("{:?} {why}", to.provider)));
    }
    let mut target = at(&to.provider, provider, &to.name())?.with_model(&to.model);
    if let Some(retries) = to.retries {
        target = target.with_attempts(NonZeroU32::MIN.saturating_add(retries));
    }
    for (phase, limit) in [(Phase::FirstContent, &to.first_token_timeout), (Phase::Total, &to.timeout)] {
        // One that is no shorter than the whole call would never pass.
        if let Some(limit) = limit.as_ref().filter(|limit| limit.0 < most) {
            target = target.with_timeout(phase, limit.0).map_err(Problem::at(field))?;
        }
    }
    Ok(target)
}

/// A target of this name at a provider.
fn at(provider: &str, told: &Provider, name: &str) -> Result<Target, Problem> {
    let target = Target::new(name, &told.base_url).map_err(Problem::at(format!("providers.{provider}.base_url")))?;
    let target = target.with_dialect(told.dialect.0);
    Ok(match &*keys(provider, told)? {
        [] => target,
        [key] => target.with_credential(key.clone()),
        keys => target.with_keys(keys.iter().cloned()),
    })
}

fn keys(name: &str, provider: &Provider) -> Result<Vec<Credential>, Problem> {
    let field = |name_of: &str| format!("providers.{name}.{name_of}");
    let (field, keys) = match (&provider.api_key_env, &provider.api_key, &provider.api_keys) {
        (None, None, None) => return Ok(Vec::new()),
        (Some(variable), None, None) => (field("api_key_env"), vec![env_var(variable, &field("api_key_env"))?]),
        (None, Some(key), None) => (field("api_key"), vec![key.clone()]),
        (None, None, Some(keys)) => (field("api_keys"), keys.clone()),
        _ => return Err(Problem(format!("providers.{name}"), "takes only one of api_key_env, api_key and api_keys".into())),
    };
    if keys.is_empty() || keys.iter().collect::<HashSet<_>>().len() < keys.len() {
        return Err(Problem(field, "needs at least one key, and each only once".into()));
    }
    let credential = |key: &String| match provider.dialect.0 {
        Dialect::Anthropic => Credential::header("x-api-key", key),
        Dialect::Gemini => Credential::header("x-goog-api-key", key),
        _ => Credential::bearer(key),
    };
    keys.iter().map(credential).collect::<Result<_, _>>().map_err(Problem::at(field))
}

/// The value of a variable, which must be there.
pub(crate) fn env_var(name: &str, field: &str) -> Result<String, Problem> {
    let set = env::var(name).ok().filter(|value| !value.trim().is_empty());
    set.ok_or_else(|| Problem(field.to_owned(), format!("the environment variable {name} must be set, and not empty")))
}

/// What the file can name moves on where it is named, and stays where it is not. For all else, and for a request that would fail
/// anywhere, the layer's own table holds.
fn moves(kinds: HashSet<&'static str>) -> impl Fn(&Failure) -> Option<bool> + Send + Sync + 'static {
    move |failure| {
        let named = KINDS.contains(&failure.kind.name()) && failure.scope != Scope::Request;
        named.then(|| kinds.contains(failure.kind.name()))
    }
}

/// Refusals may be attempts at injection: somebody reads them.
fn reviewed(target: &Target, failure: &Failure, call: Option<&Call>) {
    let model = call.and_then(|call| call.facts().model.as_deref()).unwrap_or("-");
    eprintln!("for review: {} refused a request to {model}: {failure}", target.name());
}

/// A preset, without the role that a file cannot fill, and with no time that is longer than the whole call.
fn within(preset: &Preset, most: Duration) -> Preset {
    preset.clone().without(Role::Queue).with(|preset| {
        preset.answer_headers = true;
        (preset.deadline, preset.stream_deadline) = (preset.deadline.min(most), preset.stream_deadline.min(most));
        let within = [&mut preset.head, &mut preset.first_content, &mut preset.idle, &mut preset.content_idle];
        let waits = [&mut preset.max_server_delay, &mut preset.backoff.1, &mut preset.throttle_backoff.1];
        within.into_iter().chain(waits).filter(|time| **time >= most).for_each(|time| *time = most / 2);
        preset.backoff.0 = preset.backoff.0.min(preset.backoff.1);
        preset.throttle_backoff.0 = preset.throttle_backoff.0.min(preset.throttle_backoff.1);
    })
}

/// What a preset says of calls, and of retries, whose budgets stay shared.
fn layers(preset: &Preset, retry: RetryLayer) -> Result<(CallLayer, RetryLayer), InvalidConfig> {
    let retry = retry.attempts(preset.attempts)?.max_server_delay(preset.max_server_delay);
    let retry = retry.backoff(preset.backoff.0, preset.backoff.1)?;
    let call = CallLayer::new().deadline(preset.deadline)?.stream_deadline(preset.stream_deadline)?;
    Ok((call, retry.throttle_backoff(preset.throttle_backoff.0, preset.throttle_backoff.1)?))
}

fn degrade(told: &Substitute) -> Result<DegradeLayer, Problem> {
    if told.text.is_none() && told.cache.is_none() {
        return Err(Problem("degrade".into(), r#"needs text = "..." or cache = "30m""#.into()));
    }
    let cached = told.cache.as_ref().map(|time| Cache::new(NonZeroUsize::MIN.saturating_add(999), time.0));
    let layer = cached.into_iter().fold(DegradeLayer::new(), DegradeLayer::cache);
    Ok(told.text.iter().fold(layer, |layer, text| layer.answer(text)))
}

/// The circuit of each target, as its provider says, else the preset of the model that names it first.
fn circuit_breaker(config: &Config) -> Result<CircuitBreakerLayer, Problem> {
    let (mut all, mut known) = (CircuitBreakerLayer::new(), HashSet::new());
    for (to, preset) in destinations(config) {
        let own = config.providers.get(&to.provider).and_then(|provider| provider.circuit_breaker.as_ref());
        let own = own.map(breaker).transpose().map_err(Problem::at(format!("providers.{}.circuit_breaker", to.provider)))?;
        let of_preset = preset.map(Preset::circuit_breaker_layer).transpose().map_err(Problem::at("models"))?;
        if let Some(settings) = own.or(of_preset).filter(|_| known.insert(to.name())) {
            all = all.settings_for(to.name(), settings);
        }
    }
    Ok(all)
}

/// Who says how many failures open it means that nothing else does.
fn breaker(told: &Breaker) -> Result<CircuitBreakerLayer, InvalidConfig> {
    let mut layer = CircuitBreakerLayer::new();
    layer = match (told.failure_threshold, &told.window) {
        (None, None) => layer,
        (Some(n), None) => layer.consecutive_failures(n)?.without_failure_ratio()?,
        (n, Some(window)) => {
            layer.failures_in(n.unwrap_or(5), window.0)?.without_consecutive_failures()?.without_failure_ratio()?
        }
    };
    if let Some(Time(time)) = &told.open_for {
        layer = layer.open_for(*time, (*time).max(Duration::from_secs(15)))?;
    }
    layer.probes(told.probes.unwrap_or(1))?.success_threshold(told.success_threshold.unwrap_or(2))
}

/// Limits are the provider's, whichever of its models is asked. How much of them is used, and who waits for how long, says the preset of
/// the model that names it first.
fn rate_limit(config: &Config) -> Result<RateLimitLayer, Problem> {
    let limited = |provider: &Provider| provider.requests_per_minute.is_some() || provider.tokens_per_minute.is_some();
    let mut layer =
        if config.providers.values().any(limited) { RateLimitLayer::new(Limits::none()) } else { RateLimitLayer::unlimited() };
    for (name, provider) in &config.providers {
        let named = destinations(config).filter(|(to, _)| to.provider == *name).find_map(|(_, preset)| preset);
        if let Some(preset) = named {
            let shared = layer.share_for(name.as_str(), preset.limit_share).map_err(Problem::at("models"))?;
            layer = shared.max_wait_for(name.as_str(), preset.limit_wait);
        }
        let limits = provider.requests_per_minute.map_or(Limits::none(), |n| Limits::none().requests_per_minute(n));
        layer = layer.limits_for(name.as_str(), provider.tokens_per_minute.map_or(limits, |n| limits.tokens_per_minute(n)));
        layer = layer.profile_for(name.as_str(), profile(provider));
        if let Some(burst) = provider.burst {
            if provider.requests_per_minute.is_none() {
                return Err(Problem(
                    format!("providers.{name}.burst"),
                    "says nothing without requests_per_minute; set both".into(),
                ));
            }
            layer = layer.burst_for(name.as_str(), burst);
        }
    }
    let providers: HashMap<String, Arc<str>> =
        destinations(config).map(|(to, _)| (to.name(), to.provider.as_str().into())).collect();
    Ok(layer.key(move |head| providers.get(Target::of(&head.extensions)?.name()).cloned()))
}

/// How a provider counts tokens, where its dialect or its host tell: whoever else speaks OpenAI's dialect counts in ways of their own.
fn profile(provider: &Provider) -> Profile {
    let is_at = |host: &str| provider.base_url.contains(host);
    match provider.dialect.0 {
        Dialect::Anthropic => Profile::Anthropic,
        Dialect::Gemini => Profile::Gemini,
        _ if is_at("//api.openai.com") => Profile::OpenAi,
        _ if is_at(".openai.azure.com") => Profile::Azure,
        _ => Profile::Any,
    }
}

impl Client {
    /// HTTP/1.1, and TLS by Mozilla's roots.
    fn new() -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(Duration::from_secs(60)));
        let https = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(http);
        let client =
            legacy::Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(ConnectTimeout::new(https));
        Self(Arc::new(client))
    }
}

impl Service<Request<Full<Bytes>>> for Client {
    type Response = Response<Incoming>;
    type Error = legacy::Error;
    type Future = legacy::ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), legacy::Error>> {
        // As the client says of itself: it makes a connection where none is idle.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> legacy::ResponseFuture {
        self.0.request(request)
    }
}
