//! What stands in front of the providers: circuits and limits, which all models share.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use towline::{CircuitBreakerLayer, InvalidConfig, Limits, Preset, Profile, RateLimitLayer, Target};

use crate::{
    config::{Breaker, Config, Problem, Provider, Time},
    targets::at,
};

/// The circuit of each target, as its provider says, else the preset of the model that names it first.
pub(crate) fn circuit_breaker(config: &Config) -> Result<CircuitBreakerLayer, Problem> {
    let (mut all, mut known) = (CircuitBreakerLayer::new(), HashSet::new());
    for (to, preset) in config.destinations() {
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

/// Limits are the provider's, whichever of its models is asked. How much of them is used, and how long anybody waits, says the
/// preset of the model that names it first.
pub(crate) fn rate_limit(config: &Config) -> Result<RateLimitLayer, Problem> {
    let limited = |provider: &Provider| provider.requests_per_minute.is_some() || provider.tokens_per_minute.is_some();
    let mut layer =
        if config.providers.values().any(limited) { RateLimitLayer::new(Limits::none()) } else { RateLimitLayer::unlimited() };
    for (name, provider) in &config.providers {
        let mut limits = Limits::none();
        if let Some(n) = provider.requests_per_minute {
            limits = limits.requests_per_minute(n);
        }
        if let Some(n) = provider.tokens_per_minute {
            limits = limits.tokens_per_minute(n);
        }
        layer = layer.limits_for(name.as_str(), limits).profile_for(name.as_str(), Profile::of(&at(name, provider, name)?));
        if let Some(burst) = provider.burst {
            let field = format!("providers.{name}.burst");
            let alone = || Problem(field, "says nothing without requests_per_minute; set both".into());
            provider.requests_per_minute.ok_or_else(alone)?;
            layer = layer.burst_for(name.as_str(), burst);
        }
        if let Some(preset) = config.destinations().filter(|(to, _)| to.provider == *name).find_map(|(_, preset)| preset) {
            layer = layer.share_for(name.as_str(), preset.limit_share).map_err(Problem::at("models"))?;
            layer = layer.max_wait_for(name.as_str(), preset.limit_wait);
        }
    }
    let providers: HashMap<String, Arc<str>> =
        config.destinations().map(|(to, _)| (to.name(), to.provider.as_str().into())).collect();
    Ok(layer.key(move |head| providers.get(Target::of(&head.extensions)?.name()).cloned()))
}
