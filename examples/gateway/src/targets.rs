//! From the sections of the file to targets.

use std::{collections::HashSet, num::NonZeroU32};

use towline::{Credential, Dialect, Phase, Target};

use crate::config::{Config, Destination, Problem, Provider, env_var};

/// The provider that a target names.
pub(crate) fn provider<'a>(config: &'a Config, field: &str, to: &Destination) -> Result<&'a Provider, Problem> {
    config.providers.get(&to.provider).ok_or_else(|| {
        let known: Vec<_> = config.providers.keys().map(String::as_str).collect();
        Problem(format!("{field}.provider"), format!("there is no provider {:?}; there are: {}", to.provider, known.join(", ")))
    })
}

/// A target of a model whose targets speak this dialect.
pub(crate) fn target(config: &Config, field: &str, to: &Destination, dialect: Dialect) -> Result<Target, Problem> {
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
        if let Some(limit) = limit {
            target = target.with_timeout(phase, limit.0).map_err(Problem::at(field))?;
        }
    }
    Ok(target)
}

/// A target of this name at a provider.
pub(crate) fn at(provider: &str, told: &Provider, name: &str) -> Result<Target, Problem> {
    let target = Target::new(name, &told.base_url).map_err(Problem::at(format!("providers.{provider}.base_url")))?;
    let target = target.with_dialect(told.dialect.0);
    Ok(match &*keys(provider, told)? {
        [key] => target.with_credential(key.clone()),
        keys => target.with_keys(keys.iter().cloned()),
    })
}

/// The keys of a provider; none where it takes none.
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
    keys.iter().map(|key| Credential::of(provider.dialect.0, key)).collect::<Result<_, _>>().map_err(Problem::at(field))
}
