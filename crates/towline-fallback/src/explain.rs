//! What a layer was told, for those who check or print it.

use std::{fmt, time::Duration};

use towline_core::{Failure, FailureKind, Phase, Target, say::time};

use crate::{
    FallbackLayer,
    config::Config,
    targets::{Role, Targets},
};

impl FallbackLayer {
    /// The targets for calls that failed elsewhere with a failure of this kind: those for prompts that are too long (`ContextLength`),
    /// those for what another's policy refuses (`ContentPolicy`), or the ordinary ones.
    pub fn targets_for(&self, kind: FailureKind) -> impl Iterator<Item = &Target> {
        let role = match kind {
            FailureKind::ContextLength => Role::Window,
            FailureKind::ContentPolicy => Role::Policy,
            _ => Role::Ordinary,
        };
        self.config.targets.with_role(role)
    }

    /// Whether somebody is told of refusals ([`on_refusal`](Self::on_refusal)).
    #[must_use]
    pub fn is_reviewed(&self) -> bool {
        self.config.on_refusal.is_some()
    }
}

/// The kinds that a target can fail with, each in its usual scope.
const KINDS: [FailureKind; 19] = {
    use FailureKind as K;
    [
        K::RateLimited,
        K::QuotaExhausted,
        K::Overloaded,
        K::ServerError,
        K::Timeout(Phase::Head),
        K::Connect,
        K::Transport,
        K::StreamBroken,
        K::Malformed,
        K::Unknown,
        K::NotFound,
        K::PayloadTooLarge,
        K::CircuitOpen,
        K::LimitedLocally,
        K::Untranslatable,
        K::InvalidRequest,
        K::Conflict,
        K::Auth,
        K::Permission,
    ]
};

impl Config {
    fn moves(&self, from: &Target, kind: FailureKind) -> bool {
        let failure = Failure::new(kind);
        self.lists(from, Role::Ordinary, &failure).into_iter().flatten().any(|list| self.targets.has(list))
    }

    /// The kinds whose failures move on from this target, or stay.
    fn kinds(&self, from: &Target, moves: bool) -> String {
        let names = KINDS.into_iter().filter(|kind| self.moves(from, *kind) == moves).map(FailureKind::name);
        let names: Vec<_> = names.collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.targets.with_role(Role::Ordinary).next() else { return Ok(()) };
        let usual = self.targets.with_role(Role::Ordinary).find(|target| !self.has_own(target)).unwrap_or(first);
        write!(f, "\nmoves on: {}", self.kinds(usual, true))?;
        write!(f, "\nstays, unless its scope says otherwise: {}", self.kinds(usual, false))?;
        for target in self.targets.all().iter().filter(|target| self.has_own(target)) {
            write!(f, "\nfrom {:?} moves on: {}", target.name(), self.kinds(target, true))?;
        }
        let special = [
            (FailureKind::ContextLength, "a prompt that is too long"),
            (FailureKind::ContentPolicy, "a refusal by a content policy"),
        ];
        for (kind, what) in special {
            let to = if self.moves(usual, kind) { "goes to its targets" } else { "stays" };
            let told = kind == FailureKind::ContentPolicy && self.on_refusal.is_some();
            write!(f, "\n{what} {to}{}", if told { ", and is told to a reviewer" } else { "" })?;
        }
        Ok(())
    }

    fn has_own(&self, target: &Target) -> bool {
        self.of_targets.iter().any(|(name, _)| name == target.key())
    }
}

impl fmt::Display for FallbackLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        if config.targets.all().is_empty() {
            return f.write_str("no targets: each request is handed on as it is");
        }
        write!(f, "{}\n{} targets at most", config.targets, config.max_targets)?;
        match config.max_attempts {
            Some(most) => write!(f, ", and after {most} attempts no further one")?,
            None => f.write_str(", and after 4 attempts, or as many as targets, no third one")?,
        }
        config.table(f)?;
        if config.on_auth_failure.is_some() {
            f.write_str("\na key that is not accepted is told to somebody")?;
        }
        if let Some(budget) = config.spill.budget() {
            let (burst, share) = budget.settings();
            write!(f, "\nspills over for {} % of all calls, {burst} at once", share * 100.0)?;
        }
        if let Some(sticky) = &config.sticky {
            write!(f, "\na conversation stays where it was answered for {}", time(sticky.ttl()))?;
        }
        if config.share < 1.0 {
            write!(
                f,
                "\na target that is not the last may take {} % of the time left to begin its answer",
                config.share * 100.0
            )?;
        }
        match config.recovery {
            Duration::ZERO => f.write_str("\nwaits for no recovery")?,
            longest => write!(f, "\nwaits for up to {} for the first to recover, where all are kept back", time(longest))?,
        }
        if config.answer_headers { f.write_str("\nsays in headers who answered") } else { Ok(()) }
    }
}

/// Each on its line, under what it is for.
impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drawn = self.with_role(Role::Ordinary).any(|target| target.weight().is_some());
        f.write_str(if drawn { "drawn by weight:" } else { "in this order:" })?;
        let lists = [
            (Role::Ordinary, ""),
            (Role::Window, "for prompts that are too long:"),
            (Role::Policy, "for what a content policy refuses:"),
        ];
        for (role, what) in lists {
            if !what.is_empty() && self.has(role) {
                write!(f, "\n{what}")?;
            }
            self.with_role(role).try_for_each(|target| write!(f, "\n  {target}"))?;
        }
        Ok(())
    }
}
