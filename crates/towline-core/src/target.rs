//! Where a call can go.

use std::{fmt, hash, num::NonZeroU32, sync::Arc};

use http::{Extensions, HeaderName, HeaderValue, Uri};

use crate::{InvalidConfig, authorize::Authorize};

mod credential;
mod price;
mod settings;
mod show;

pub use credential::Credential;
pub use price::Price;
use settings::Settings;

/// A provider family's wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// OpenAI Chat Completions (`/chat/completions`), and what speaks like it.
    OpenAiChat,
    /// OpenAI Responses (`/responses`).
    OpenAiResponses,
    /// Anthropic Messages (`/messages`).
    Anthropic,
    /// Gemini `generateContent`, Vertex included.
    Gemini,
    /// Bedrock Converse.
    Bedrock,
}

/// One place a call can go to: a name, a base URI, and what the request needs there.
///
/// A target is data. It is a cheap clone (one `Arc`) and travels in the extensions of each request that a fallback
/// sends to it, so that the layers beneath keep their state apart for each target. Two targets are equal when their names are.
///
/// ```
/// use towline_core::{Credential, Dialect, Target};
///
/// let target = Target::new("anthropic", "https://api.anthropic.com")?
///     .with_dialect(Dialect::Anthropic)
///     .with_model("claude-sonnet-4-6")
///     .with_credential(Credential::header("x-api-key", "sk-secret")?);
/// assert_eq!(target.name(), "anthropic");
/// assert!(!format!("{target:?}").contains("sk-secret"));
/// # Ok::<(), towline_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct Target(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    name: Arc<str>,
    base: Uri,
    dialect: Option<Dialect>,
    model: Option<Arc<str>>,
    credential: Option<Credential>,
    headers: Vec<(HeaderName, HeaderValue)>,
    weight: Option<NonZeroU32>,
    keys: Arc<[Credential]>,
    authorizer: Option<Arc<dyn Authorize>>,
    settings: Settings,
}

impl Target {
    /// A target called `name` at `base`, the URI as the provider's own SDK takes it (OpenAI's with `/v1`).
    ///
    /// # Errors
    ///
    /// `name` if it is empty; `base` if it is no absolute URI of scheme `http` or `https`, carries a user or password, or has a query.
    pub fn new(name: impl AsRef<str>, base: impl AsRef<str>) -> Result<Self, InvalidConfig> {
        let name = name.as_ref();
        if name.is_empty() {
            return Err(InvalidConfig::new("name", "a target needs a name"));
        }
        let base: Uri = base.as_ref().parse().map_err(|_| InvalidConfig::new("base", "is not a URI"))?;
        if !matches!(base.scheme_str(), Some("http" | "https")) {
            return Err(InvalidConfig::new("base", "must be an absolute URI that starts with http:// or https://"));
        }
        if base.authority().is_none_or(|a| a.as_str().contains('@')) {
            return Err(InvalidConfig::new("base", "must not carry a user or password; use a credential"));
        }
        if base.query().is_some() {
            return Err(InvalidConfig::new("base", "must not have a query; use a credential or a header"));
        }
        Ok(Self(Arc::new(Inner {
            name: name.into(),
            base,
            dialect: None,
            model: None,
            credential: None,
            headers: Vec::new(),
            weight: None,
            keys: Arc::default(),
            authorizer: None,
            settings: Settings::default(),
        })))
    }

    /// The same target, speaking `dialect`. Default: recognised from each request and answer.
    #[must_use]
    pub fn with_dialect(self, dialect: Dialect) -> Self {
        self.with(|t| t.dialect = Some(dialect))
    }

    /// The same target with its own name for the model, put in the place of the caller's. Default: the caller's.
    #[must_use]
    pub fn with_model(self, model: impl AsRef<str>) -> Self {
        self.with(|t| t.model = Some(model.as_ref().into()))
    }

    /// The same target with a credential. Default: none, and none of the caller's is passed on either.
    #[must_use]
    pub fn with_credential(self, credential: Credential) -> Self {
        self.with(|t| t.credential = Some(credential))
    }

    /// The same target with a header that every request to it carries, such as `anthropic-version`.
    #[must_use]
    pub fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.with(|t| t.headers.push((name, value)))
    }

    /// The same target with a weight: where targets are drawn, it is drawn in proportion to it. Default: none, so that its
    /// place in the list counts.
    #[must_use]
    pub fn with_weight(self, weight: NonZeroU32) -> Self {
        self.with(|t| t.weight = Some(weight))
    }

    /// The same target with several keys, of which the first is its credential. `AuthorizeLayer` takes the next where one is
    /// limited or not accepted; without that layer the first is all there is.
    #[must_use]
    pub fn with_keys(self, keys: impl IntoIterator<Item = Credential>) -> Self {
        self.with(|t| {
            t.keys = keys.into_iter().collect();
            t.credential = t.keys.first().cloned();
        })
    }

    /// The same target with credentials that `AuthorizeLayer` finds out anew for each attempt; they take the place of its
    /// [`credential`](Self::credential). Default: none.
    #[must_use]
    pub fn with_authorizer(self, authorizer: impl Authorize) -> Self {
        self.with(|t| t.authorizer = Some(Arc::new(authorizer)))
    }

    /// The target that a request is meant for, if a layer above has chosen one.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The name: the key of all state that is kept for this target.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The name, shared.
    #[must_use]
    pub fn key(&self) -> &Arc<str> {
        &self.0.name
    }

    /// The base URI.
    #[must_use]
    pub fn base(&self) -> &Uri {
        &self.0.base
    }

    /// The dialect it speaks, if told.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.0.dialect
    }

    /// Its name for the model, if told.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// Its credential, if told.
    #[must_use]
    pub fn credential(&self) -> Option<&Credential> {
        self.0.credential.as_ref()
    }

    /// Its weight, if told.
    #[must_use]
    pub fn weight(&self) -> Option<NonZeroU32> {
        self.0.weight
    }

    /// Its keys, if it was given several.
    #[must_use]
    pub fn keys(&self) -> &[Credential] {
        &self.0.keys
    }

    /// Who finds out its credentials for each attempt, if told.
    #[must_use]
    pub fn authorizer(&self) -> Option<&Arc<dyn Authorize>> {
        self.0.authorizer.as_ref()
    }

    /// The headers that every request to it carries.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers may be secret too, so only their names are shown.
        let headers: Vec<_> = self.0.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Target")
            .field("name", &self.0.name)
            .field("base", &self.0.base)
            .field("dialect", &self.0.dialect)
            .field("model", &self.0.model)
            .field("credential", &self.0.credential)
            .field("headers", &headers)
            .field("weight", &self.0.weight)
            .field("keys", &self.0.keys.len())
            .field("authorizer", &self.0.authorizer.is_some())
            .field("settings", &self.0.settings)
            .finish()
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Target {}

impl hash::Hash for Target {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

#[cfg(test)]
mod tests;
