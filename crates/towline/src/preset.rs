//! What a use of LLMs wants of the whole stack, as data.

use std::{borrow::Cow, time::Duration};

use towline_core::FailureKind;

mod apply;
mod check;
mod role;
mod show;
mod tables;

pub use role::{Role, Wanted};

/// What a use of LLMs wants of the whole stack: a plain value that can be printed and changed.
///
/// Six are there: [`chat`](Self::chat), [`documents`](Self::documents), [`code`](Self::code), [`batch`](Self::batch),
/// [`legal`](Self::legal) and [`embeddings`](Self::embeddings). [Their page](crate::presets) gives the reason of each number. A preset
/// names roles, not models: you fill in targets, and a role that is needed and filled by nobody is an error when the stack is built.
///
/// ```
/// use std::time::Duration;
///
/// use towline::Preset;
///
/// let chat = Preset::chat().with(|chat| {
///     chat.first_content = Duration::from_secs(5);
///     chat.answer = Some("We are back in a minute.".into());
/// });
/// assert_eq!(Preset::by_name("chat"), Some(Preset::chat()));
/// println!("{chat}");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Preset {
    /// What it is called in configuration files.
    pub name: Cow<'static, str>,
    /// What it is for, in a few words.
    pub purpose: Cow<'static, str>,
    /// Who is to play which part. Ordinary targets play theirs in the order in which they are named.
    pub roles: Vec<Wanted>,
    /// Attempts at one target, the first included.
    pub attempts: u32,
    /// The wait before a further attempt: drawn from zero to the first, which doubles up to the second.
    pub backoff: (Duration, Duration),
    /// The same for a provider that limits the rate or is overloaded, and does not say when to come back.
    pub throttle_backoff: (Duration, Duration),
    /// The longest wait that a provider may ask for.
    pub max_server_delay: Duration,
    /// How long a whole call may take.
    pub deadline: Duration,
    /// How long one may take whose answer streams.
    pub stream_deadline: Duration,
    /// How long an attempt may take until its response begins.
    pub head: Duration,
    /// How long one may take until the first content of a stream.
    pub first_content: Duration,
    /// How long a body may be silent.
    pub idle: Duration,
    /// How long a stream may bring no content, whatever else it brings; and half of how long it may bring a trickle, of less than 2 bytes a
    /// second.
    pub content_idle: Duration,
    /// When circuits open, and when they close.
    pub breaker: BreakerRule,
    /// The share of a provider's limits that is used, wherever there are limits ([`Stack::limits`](crate::Stack::limits)).
    pub limit_share: f64,
    /// How long a request may stand in line for them.
    pub limit_wait: Duration,
    /// Failures that move on, or do not, in spite of the [fallback's own table](crate::FallbackLayer).
    pub moves_on: Vec<(FailureKind, bool)>,
    /// Whether a credential that is not accepted moves on.
    pub auth_moves_on: bool,
    /// Whether all targets must name the same model, since answers of two do not mix.
    pub one_model: bool,
    /// Targets that a call tries at most.
    pub max_targets: usize,
    /// Attempts after which no further target is tried.
    pub max_attempts: u32,
    /// Whether responses say in their headers who answered.
    pub answer_headers: bool,
    /// When all failed: for how long an answer to the same request is good enough.
    pub cached_for: Option<Duration>,
    /// When all failed, and nothing is cached: what to say. Without it the failure goes to the caller.
    pub answer: Option<Cow<'static, str>>,
}

/// When a circuit opens, and when it closes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BreakerRule {
    /// So many failures open it, in a row, ..
    pub failures: u32,
    /// .. or within this time, ..
    pub window: Duration,
    /// .. whatever else succeeds, or only if they are this share of all.
    pub share: Option<f64>,
    /// How long it stays open: the first time, and at most.
    pub open: (Duration, Duration),
    /// So many good probes close it.
    pub good_probes: u32,
}

impl Preset {
    /// The preset of this name: `chat`, `documents`, `code`, `batch`, `legal` or `embeddings`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|preset| preset.name == name)
    }

    /// All of them.
    #[must_use]
    pub fn all() -> [Self; 6] {
        [Self::chat(), Self::documents(), Self::code(), Self::batch(), Self::legal(), Self::embeddings()]
    }

    /// The same with some of it changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The same without a role, such as one for which you have no target.
    #[must_use]
    pub fn without(mut self, role: Role) -> Self {
        self.roles.retain(|wanted| wanted.role != role);
        self
    }

    /// The same for calls that end after `deadline`, streams included: each other time of it that is as long or longer, and could so never
    /// pass, is half of that. Where a caller or an app has less time than the preset, or more.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use towline::Preset;
    ///
    /// let chat = Preset::chat().within(Duration::from_secs(8));
    /// assert_eq!((chat.head, chat.first_content), (Duration::from_secs(4), Duration::from_secs(4)));
    /// assert_eq!(chat.backoff, Preset::chat().backoff);
    /// ```
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        (self.deadline, self.stream_deadline) = (deadline, deadline);
        let limits = [&mut self.head, &mut self.first_content, &mut self.idle, &mut self.content_idle];
        let waits = [&mut self.backoff.1, &mut self.throttle_backoff.1, &mut self.max_server_delay, &mut self.limit_wait];
        limits.into_iter().chain(waits).filter(|time| **time >= deadline).for_each(|time| *time = deadline / 2);
        for (base, cap) in [&mut self.backoff, &mut self.throttle_backoff] {
            *base = (*base).min(*cap);
        }
        self
    }

    /// Whether it wants a role filled.
    pub(crate) fn wants(&self, role: Role) -> bool {
        self.roles.iter().any(|wanted| wanted.role == role)
    }
}
