//! From the file to one stack for each model, all over one client, with circuits, limits and budgets that they share.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    env,
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use toml::Spanned;
use tower::Layer;
use towline::{
    AuthorizeLayer, Cache, Call, CallLayer, CircuitBreakerLayer, ConnectTimeout, Credential, DegradeLayer, Dialect, Failure,
    FallbackLayer, InvalidConfig, Limits, Phase, Preset, RateLimitLayer, RetryLayer, Role, Scope, StackService, Target,
    axum::{Edge, EdgeLayer},
};

use crate::config::{Breaker, Config, Destination, Model, Problem, Provider, Substitute};

pub(crate) type Client = legacy::Client<ConnectTimeout<HttpsConnector<HttpConnector>>, Full<Bytes>>;

/// A model that callers can ask for.
pub(crate) struct Served {
    pub(crate) dialect: Dialect,
    pub(crate) stack: Edge<StackService<Client>>,
}

/// What all stacks share.
pub(crate) struct Shared<'a> {
    config: &'a Config,
    keys: BTreeMap<&'a str, Vec<Credential>>,
    client: Client,
    retry: RetryLayer,
    pub(crate) circuit_breaker: CircuitBreakerLayer,
    pub(crate) rate_limit: RateLimitLayer,
    authorize: AuthorizeLayer,
}

impl<'a> Shared<'a> {
    pub(crate) fn new(config: &'a Config) -> Result<Self, Problem> {
        let keys = config.providers.iter().map(|(name, provider)| Ok((&**name, keys(provider)?))).collect::<Result<_, _>>()?;
        Ok(Self {
            keys,
            client: client(),
            retry: RetryLayer::new(),
            circuit_breaker: circuit_breaker(config)?,
            rate_limit: rate_limit(config)?,
            authorize: AuthorizeLayer::new(),
            config,
        })
    }

    /// All models, by name.
    pub(crate) fn models(&self) -> Result<BTreeMap<String, Served>, Problem> {
        let mut models = BTreeMap::new();
        for model in &self.config.models {
            let name = &model.get_ref().name;
            if models.insert(name.get_ref().clone(), self.model(model)?).is_some() {
                return Err(Problem::at(name, "another model has this name; each needs its own"));
            }
        }
        Ok(models)
    }

    fn model(&self, place: &Spanned<Model>) -> Result<Served, Problem> {
        let model = place.get_ref();
        let first = model.targets.get_ref().first().ok_or_else(|| Problem::at(&model.targets, "needs at least one target"))?;
        let dialect = self.provider(first)?.dialect.into();
        let all = |list: &[Spanned<Destination>]| list.iter().map(|to| self.target(to, dialect)).collect::<Result<Vec<_>, _>>();
        let mut fallback = FallbackLayer::new(all(model.targets.get_ref())?).map_err(at(&model.targets))?;
        fallback = fallback.context_window_targets(all(&model.context_window_targets)?).map_err(at(place))?;
        fallback = fallback.content_policy_targets(all(&model.content_policy_targets)?).map_err(at(place))?;
        for to in model.destinations() {
            if let Some(kinds) = &to.get_ref().fallback_on {
                let kinds = kinds.iter().map(|kind| kind.0).collect();
                fallback = fallback.moves_on_from(&name(to), moves(kinds)).map_err(at(to))?;
            }
        }
        let preset = model.preset.as_ref().map(preset).transpose()?;
        let mut stack = towline::stack(self.client.clone()).fallback(fallback.answer_headers(true)).on_refusal(reviewed);
        let (mut call, mut retry) = (CallLayer::new(), self.retry.clone());
        if let (Some(preset), Some(place)) = (preset, &model.preset) {
            (call, retry) = layers(&preset, retry).map_err(at(place))?;
            stack = stack.preset(preset);
        }
        if let Some(limit) = &model.max_elapsed {
            call = call.deadline(limit.get_ref().0).map_err(at(limit))?;
        }
        if let Some(backoff) = &model.backoff {
            let (base, max) = (backoff.get_ref().base.0, backoff.get_ref().max.0);
            retry = retry.backoff(base, max).and_then(|retry| retry.throttle_backoff(base, max)).map_err(at(backoff))?;
        }
        if let Some(substitute) = &model.degrade {
            stack = stack.degrade(degrade(substitute)?);
        }
        let stack = stack
            // It was kept where the body was read.
            .call(call.max_body(usize::MAX))
            .retry(retry)
            .circuit_breaker(self.circuit_breaker.clone())
            .rate_limit(self.rate_limit.clone())
            .authorize(self.authorize.clone())
            .build()
            .map_err(|error| {
                model.preset.as_ref().map_or_else(|| at(place)(error.clone()), |preset| at(preset)(error.clone()))
            })?;
        Ok(Served { dialect, stack: EdgeLayer::new().retell(true).layer(stack) })
    }

    fn provider(&self, to: &Spanned<Destination>) -> Result<&'a Provider, Problem> {
        let name = &to.get_ref().provider;
        self.config.providers.get(name.get_ref()).map(Spanned::get_ref).ok_or_else(|| {
            let known: Vec<_> = self.config.providers.keys().map(String::as_str).collect();
            Problem::at(name, format!("there is no provider {:?}; there are: {}", name.get_ref(), known.join(", ")))
        })
    }

    fn target(&self, place: &Spanned<Destination>, dialect: Dialect) -> Result<Target, Problem> {
        let (to, provider) = (place.get_ref(), self.provider(place)?);
        if Dialect::from(provider.dialect) != dialect {
            let why = "speaks another dialect than the model's first target; until requests are translated, all must speak one";
            return Err(Problem::at(&to.provider, format!("{:?} {why}", to.provider.get_ref())));
        }
        let target = Target::new(name(place), provider.base_url.get_ref()).map_err(at(&provider.base_url))?;
        let mut target = target.with_dialect(dialect).with_model(to.model.get_ref());
        target = match self.keys.get(&**to.provider.get_ref()).map(Vec::as_slice) {
            None | Some([]) => target,
            Some([key]) => target.with_credential(key.clone()),
            Some(keys) => target.with_keys(keys.iter().cloned()),
        };
        if let Some(retries) = to.retries {
            target = target.with_attempts(NonZeroU32::MIN.saturating_add(retries));
        }
        for (phase, limit) in [(Phase::FirstContent, &to.first_token_timeout), (Phase::Total, &to.timeout)] {
            if let Some(limit) = limit {
                target = target.with_timeout(phase, limit.get_ref().0).map_err(at(limit))?;
            }
        }
        Ok(target)
    }
}

/// What a target is called, in headers, trails and metrics.
fn name(to: &Spanned<Destination>) -> String {
    format!("{}/{}", to.get_ref().provider.get_ref(), to.get_ref().model.get_ref())
}

/// A setting that a layer refuses, with the place where it stands.
fn at<T>(place: &Spanned<T>) -> impl Fn(InvalidConfig) -> Problem {
    move |error| Problem::at(place, error.to_string().trim_start_matches("invalid configuration: "))
}

/// What the file can name moves on where it is named, and stays where it is not. For all else, and for a request that would fail
/// anywhere, the layer's own table holds.
fn moves(kinds: HashSet<&'static str>) -> impl Fn(&Failure) -> Option<bool> + Send + Sync + 'static {
    move |failure| {
        let named = crate::config::KINDS.contains(&failure.kind.name()) && failure.scope != Scope::Request;
        named.then(|| kinds.contains(failure.kind.name()))
    }
}

/// A preset, without the roles that a file cannot fill.
fn preset(name: &Spanned<String>) -> Result<Preset, Problem> {
    let preset = Preset::by_name(name.get_ref()).ok_or_else(|| {
        let known = Preset::all().map(|preset| preset.name).join(", ");
        Problem::at(name, format!("there is no preset {:?}; there are: {known}", name.get_ref()))
    })?;
    Ok(preset.with(|preset| preset.answer_headers = true).without(Role::Queue))
}

/// What a preset says of calls, and of retries, whose budgets stay shared.
fn layers(preset: &Preset, retry: RetryLayer) -> Result<(CallLayer, RetryLayer), InvalidConfig> {
    let retry = retry.attempts(preset.attempts)?.max_server_delay(preset.max_server_delay);
    let retry = retry.backoff(preset.backoff.0, preset.backoff.1)?;
    let call = CallLayer::new().deadline(preset.deadline)?.stream_deadline(preset.stream_deadline)?;
    Ok((call, retry.throttle_backoff(preset.throttle_backoff.0, preset.throttle_backoff.1)?))
}

/// Refusals may be attempts at injection: somebody reads them.
fn reviewed(target: &Target, failure: &Failure, call: Option<&Call>) {
    let model = call.and_then(|call| call.facts().model.as_deref()).unwrap_or("-");
    eprintln!("for review: {} refused a request to {model}: {failure}", target.name());
}

fn keys(provider: &Spanned<Provider>) -> Result<Vec<Credential>, Problem> {
    let place = provider.get_ref();
    let (keys, span): (Vec<String>, _) = match (&place.api_key_env, &place.api_key, &place.api_keys) {
        (None, None, None) => return Ok(Vec::new()),
        (Some(name), None, None) => (vec![env_var(name)?], name.span()),
        (None, Some(key), None) => (vec![key.get_ref().clone()], key.span()),
        (None, None, Some(keys)) => {
            let all = keys.get_ref();
            if all.is_empty() || all.iter().collect::<HashSet<_>>().len() < all.len() {
                return Err(Problem::at(keys, "needs at least one key, and each only once"));
            }
            (all.clone(), keys.span())
        }
        _ => return Err(Problem::at(provider, "takes one of api_key_env, api_key and api_keys")),
    };
    let credential = |key: &String| match place.dialect.into() {
        Dialect::Anthropic => Credential::header("x-api-key", key),
        Dialect::Gemini => Credential::header("x-goog-api-key", key),
        _ => Credential::bearer(key),
    };
    keys.iter().map(credential).collect::<Result<_, _>>().map_err(at(&Spanned::new(span, ())))
}

/// The value of a variable, which must be there.
pub(crate) fn env_var(name: &Spanned<String>) -> Result<String, Problem> {
    let set = env::var(name.get_ref()).ok().filter(|value| !value.trim().is_empty());
    set.ok_or_else(|| Problem::at(name, format!("the environment variable {} must be set, and not empty", name.get_ref())))
}

/// The circuit of each target, as its provider says, else the preset of the model that names it first.
fn circuit_breaker(config: &Config) -> Result<CircuitBreakerLayer, Problem> {
    let (mut all, mut known) = (CircuitBreakerLayer::new(), HashSet::new());
    for model in config.models.iter().map(Spanned::get_ref) {
        let of_preset = model.preset.as_ref().map(|name| preset(name)?.circuit_breaker_layer().map_err(at(name))).transpose()?;
        for to in model.destinations() {
            let provider = config.providers.get(to.get_ref().provider.get_ref());
            let own = provider.and_then(|provider| provider.get_ref().circuit_breaker.as_ref());
            let own = own.map(|own| breaker(own.get_ref()).map_err(at(own))).transpose()?;
            if let Some(settings) = own.or(of_preset.clone()).filter(|_| known.insert(name(to))) {
                all = all.settings_for(name(to), settings);
            }
        }
    }
    Ok(all)
}

fn breaker(told: &Breaker) -> Result<CircuitBreakerLayer, InvalidConfig> {
    let mut layer = CircuitBreakerLayer::new();
    // Who says how many failures open it means that nothing else does.
    layer = match (told.failure_threshold, &told.window) {
        (None, None) => layer,
        (Some(n), None) => layer.consecutive_failures(n)?.without_failure_ratio()?,
        (n, Some(window)) => {
            layer.failures_in(n.unwrap_or(5), window.0)?.without_consecutive_failures()?.without_failure_ratio()?
        }
    };
    if let Some(open_for) = &told.open_for {
        layer = layer.open_for(open_for.0, open_for.0.max(Duration::from_secs(15)))?;
    }
    layer = told.probes.map_or(Ok(layer.clone()), |n| layer.probes(n))?;
    told.success_threshold.map_or(Ok(layer.clone()), |n| layer.success_threshold(n))
}

/// Limits are the provider's, whichever of its models is asked.
fn rate_limit(config: &Config) -> Result<RateLimitLayer, Problem> {
    let inert =
        |provider: &&Spanned<Provider>| provider.get_ref().burst.is_some() && provider.get_ref().requests_per_minute.is_none();
    if let Some(provider) = config.providers.values().find(inert) {
        return Err(Problem::at(provider, "burst says nothing without requests_per_minute; set both"));
    }
    let limited = |provider: &&Spanned<Provider>| {
        provider.get_ref().requests_per_minute.is_some() || provider.get_ref().tokens_per_minute.is_some()
    };
    if config.providers.values().filter(limited).count() == 0 {
        return Ok(RateLimitLayer::unlimited());
    }
    let all = config.models.iter().flat_map(|model| model.get_ref().destinations());
    let of_target: HashMap<String, Arc<str>> =
        all.map(|to| (name(to), to.get_ref().provider.get_ref().as_str().into())).collect();
    let mut layer = RateLimitLayer::new(Limits::none());
    for (name, provider) in &config.providers {
        let (mut limits, provider) = (Limits::none(), provider.get_ref());
        limits = provider.requests_per_minute.map_or(limits, |n| limits.requests_per_minute(n));
        limits = provider.tokens_per_minute.map_or(limits, |n| limits.tokens_per_minute(n));
        layer = layer.limits_for(name.as_str(), limits);
        if let Some(burst) = provider.burst {
            layer = layer.burst_for(name.as_str(), burst);
        }
    }
    Ok(layer.key(move |head| of_target.get(Target::of(&head.extensions)?.name()).cloned()))
}

fn degrade(place: &Spanned<Substitute>) -> Result<DegradeLayer, Problem> {
    let told = place.get_ref();
    let mut layer = DegradeLayer::new();
    if told.text.is_none() && told.cache.is_none() {
        return Err(Problem::at(place, r#"needs text = "..." or cache = "30m""#));
    }
    if let Some(time) = &told.cache {
        layer = layer.cache(Cache::new(NonZeroUsize::MIN.saturating_add(999), time.0));
    }
    Ok(told.text.iter().fold(layer, |layer, text| layer.answer(text)))
}

/// One client for all: HTTP/1.1, and TLS by Mozilla's roots.
fn client() -> Client {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_keepalive(Some(Duration::from_secs(60)));
    let https = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(http);
    legacy::Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(ConnectTimeout::new(https))
}
