//! From the file to one stack for each model, with circuits, limits and budgets that they share.

use std::{
    collections::{BTreeMap, HashSet},
    num::NonZeroUsize,
    sync::Arc,
};

use tower::Layer;
use towline::{
    AuthorizeLayer, Cache, Call, CallLayer, CircuitBreakerLayer, DegradeLayer, Dialect, Failure, FallbackLayer, InvalidConfig,
    MetricsObserver, Observer, RateLimitLayer, RetryLayer, Role, Scope, StackService, Target,
    axum::{Edge, EdgeLayer},
};

use crate::{
    client::Client,
    config::{Backoff, Config, Destination, KINDS, Model, Problem, Substitute, Use},
    guards::{circuit_breaker, rate_limit},
    targets::{provider, target},
};

/// How many answers are kept for each model that gives old ones when nobody can give a new one.
const KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

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
            retry: RetryLayer::new().observer(observer.clone()),
            circuit_breaker: circuit_breaker(config)?.observer(observer.clone()),
            rate_limit: rate_limit(config)?.observer(observer.clone()),
            authorize: AuthorizeLayer::new(),
            observer,
        })
    }

    /// All models, by name.
    pub(crate) fn models(&self, config: &Config) -> Result<BTreeMap<String, Served>, Problem> {
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
        let fallback = fallback(config, model, dialect)?;
        let targets = fallback.targets().to_vec();
        let mut stack = towline::stack(Client).fallback(fallback);
        let (mut call, mut retry) = (CallLayer::new(), self.retry.clone());
        if let Some(Use(preset)) = &model.preset {
            // No file can name a queue.
            let preset = preset.clone().without(Role::Queue).with(|preset| preset.answer_headers = true);
            let preset = model.max_elapsed.iter().fold(preset, |preset, limit| preset.within(limit.0));
            call = preset.call_layer().map_err(Problem::at("preset"))?;
            retry = preset.retrying(retry).map_err(Problem::at("preset"))?;
            stack = stack.preset(preset);
        }
        if let Some(limit) = &model.max_elapsed {
            call = call.deadline(limit.0).map_err(Problem::at("max_elapsed"))?;
        }
        if let Some(Backoff { base, max }) = &model.backoff {
            retry = retry.backoff(base.0, max.0).map_err(Problem::at("backoff"))?;
            retry = retry.throttle_backoff(base.0, max.0).map_err(Problem::at("backoff"))?;
        }
        if let Some(substitute) = &model.degrade {
            stack = stack.degrade(degrade(substitute)?);
        }
        // What all share comes last, since a preset and an observer would give this stack layers of its own.
        let stack = stack.observer(self.observer.clone()).call(call.max_body(config.max_body())).retry(retry);
        let stack = stack.circuit_breaker(self.circuit_breaker.clone()).rate_limit(self.rate_limit.clone());
        let stack = stack.authorize(self.authorize.clone()).shared_with(config.destinations().map(|(to, _)| to.name()));
        let explained = stack.explain();
        let stack = stack.build().map_err(|error| blamed(model, error))?;
        Ok(Served { dialect, targets, explained, stack: EdgeLayer::new().retell(true).layer(stack) })
    }
}

/// The field of a model that its stack complains of.
fn blamed(model: &Model, error: InvalidConfig) -> Problem {
    let what = error.to_string();
    let names = |to: &Destination| what.contains(&format!("{:?}", to.name()));
    let field = match error.field() {
        "backoff" | "throttle_backoff" if model.backoff.is_some() => "backoff".to_owned(),
        "with_timeout" => model
            .destinations()
            .find(|(_, to)| names(to))
            .map_or("targets".to_owned(), |(field, _)| format!("{field}.first_token_timeout")),
        list @ ("context_window_targets" | "content_policy_targets") => list.to_owned(),
        _ if model.preset.is_some() => "preset".to_owned(),
        _ => "targets".to_owned(),
    };
    Problem::at(field)(error)
}

/// Where the calls of a model go, and what moves them on.
fn fallback(config: &Config, model: &Model, dialect: Dialect) -> Result<FallbackLayer, Problem> {
    let targets = |list: &str, all: &[Destination]| {
        let of_list = all.iter().enumerate().map(|(nth, to)| target(config, &format!("{list}[{nth}]"), to, dialect));
        of_list.collect::<Result<Vec<_>, _>>()
    };
    let (window, policy) = ("context_window_targets", "content_policy_targets");
    let mut layer = FallbackLayer::new(targets("targets", &model.targets)?).map_err(Problem::at("targets"))?;
    layer = layer.context_window_targets(targets(window, &model.context_window_targets)?).map_err(Problem::at(window))?;
    layer = layer.content_policy_targets(targets(policy, &model.content_policy_targets)?).map_err(Problem::at(policy))?;
    for (field, to) in model.destinations() {
        if let Some(kinds) = &to.fallback_on {
            let kinds = kinds.iter().map(|kind| kind.0).collect();
            layer = layer.moves_on_from(&to.name(), moves(kinds)).map_err(Problem::at(field))?;
        }
    }
    Ok(layer.answer_headers(true).on_refusal(reviewed))
}

/// What the file can name moves on where it is named, and stays where it is not. For all else, and for a request that would fail
/// anywhere, the layer's own table holds.
fn moves(kinds: HashSet<&'static str>) -> impl Fn(&Failure) -> Option<bool> + Send + Sync + 'static {
    move |failure| {
        let named = KINDS.split(", ").any(|kind| kind == failure.kind.name()) && failure.scope != Scope::Request;
        named.then(|| kinds.contains(failure.kind.name()))
    }
}

/// Refusals may be attempts at injection: somebody reads them.
fn reviewed(target: &Target, failure: &Failure, call: Option<&Call>) {
    let model = call.and_then(|call| call.facts().model.as_deref()).unwrap_or("-");
    eprintln!("for review: {} refused a request to {model}: {failure}", target.name());
}

fn degrade(told: &Substitute) -> Result<DegradeLayer, Problem> {
    if told.text.is_none() && told.cache.is_none() {
        return Err(Problem("degrade".into(), r#"needs text = "..." or cache = "30m""#.into()));
    }
    let mut layer = DegradeLayer::new();
    if let Some(time) = &told.cache {
        layer = layer.cache(Cache::new(KEPT, time.0));
    }
    if let Some(text) = &told.text {
        layer = layer.answer(text);
    }
    Ok(layer)
}
