//! What a rule concludes, and how a rule is written.

use towline_core::{Failure, FailureKind as Kind, Origin, Phase, RetryVerdict, Scope};

use super::report::Report;

/// The conclusion of a rule: a failure without its hint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    kind: Kind,
    scope: Scope,
    retry: RetryVerdict,
    origin: Origin,
}

/// One line of a table. It matches where its code is among the report's codes, all of its words are in the text, and the
/// status is one of `on`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    weight: Weight,
    on: &'static [u16],
    /// Whether they must be known.
    strict: bool,
    code: Option<&'static str>,
    words: &'static [&'static str],
    then: Verdict,
}

/// How much a rule's evidence is worth; the first that matches decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// A code whose meaning certain words change, or words that are an exception to others.
    CodeAndWords,
    /// A code that means one thing.
    Code,
    /// Words of a provider's own, in a recognisable envelope.
    Words,
    /// A code that names a class but hides exceptions, which words tell.
    Class,
    /// A code that is the same for nearly all errors; worth something only where no status is known.
    Vague,
}

const fn verdict(kind: Kind, scope: Scope, retry: RetryVerdict) -> Verdict {
    Verdict { kind, scope, retry, origin: Origin::Upstream }
}

/// A limit that refills by itself.
pub(crate) const RATE: Verdict = verdict(Kind::RateLimited, Scope::Credential, RetryVerdict::Backoff);
/// An account's money or allowance is spent.
pub(crate) const QUOTA: Verdict = verdict(Kind::QuotaExhausted, Scope::Credential, RetryVerdict::Never);
/// One model's allowance is spent.
pub(crate) const MODEL_QUOTA: Verdict = verdict(Kind::QuotaExhausted, Scope::Model, RetryVerdict::Never);
/// Over capacity.
pub(crate) const OVERLOADED: Verdict = verdict(Kind::Overloaded, Scope::Provider, RetryVerdict::Backoff);
/// The provider failed.
pub(crate) const SERVER: Verdict = verdict(Kind::ServerError, Scope::Provider, RetryVerdict::Backoff);
/// A generation failed, though the request is valid.
pub(crate) const GENERATION: Verdict = verdict(Kind::ServerError, Scope::Model, RetryVerdict::Backoff);
/// The host cannot serve this model at all.
pub(crate) const INCAPABLE: Verdict = verdict(Kind::ServerError, Scope::Model, RetryVerdict::Never);
/// The provider says that time ran out.
pub(crate) const TIMEOUT: Verdict = verdict(Kind::Timeout(Phase::Upstream), Scope::Provider, RetryVerdict::Backoff);
/// The provider says that the caller left.
pub(crate) const CANCELLED: Verdict =
    Verdict { kind: Kind::Timeout(Phase::Upstream), scope: Scope::Request, retry: RetryVerdict::Never, origin: Origin::Caller };
/// The credential is no good.
pub(crate) const AUTH: Verdict = verdict(Kind::Auth, Scope::Credential, RetryVerdict::Never);
/// The account, key, network or action is refused.
pub(crate) const PERMISSION: Verdict = verdict(Kind::Permission, Scope::Credential, RetryVerdict::Never);
/// One model or feature is refused to this account.
pub(crate) const MODEL_PERMISSION: Verdict = verdict(Kind::Permission, Scope::Model, RetryVerdict::Never);
/// An object that lives on this target is not this credential's, or does not exist.
pub(crate) const STATE_PERMISSION: Verdict = verdict(Kind::Permission, Scope::Request, RetryVerdict::Never);
/// The request is larger than this target ever admits.
pub(crate) const TOO_LARGE: Verdict = verdict(Kind::PayloadTooLarge, Scope::Model, RetryVerdict::Never);
/// The prompt does not fit the model's window.
pub(crate) const CONTEXT: Verdict = verdict(Kind::ContextLength, Scope::Model, RetryVerdict::Never);
/// Refused by the provider's policy.
pub(crate) const POLICY: Verdict = verdict(Kind::ContentPolicy, Scope::Model, RetryVerdict::Never);
/// Refused by the customer's own guard, which no fallback may evade.
pub(crate) const GUARD: Verdict = verdict(Kind::ContentPolicy, Scope::Request, RetryVerdict::Never);
/// No such model or route here.
pub(crate) const NOT_FOUND: Verdict = verdict(Kind::NotFound, Scope::Model, RetryVerdict::Never);
/// No such object; whatever it was, it lives on this target alone.
pub(crate) const STATE_NOT_FOUND: Verdict = verdict(Kind::NotFound, Scope::Request, RetryVerdict::Never);
/// The state of an object on this target forbids it for now.
pub(crate) const CONFLICT: Verdict = verdict(Kind::Conflict, Scope::Request, RetryVerdict::Once);
/// This model or provider lacks a feature, or caps it lower.
pub(crate) const FEATURE: Verdict = verdict(Kind::InvalidRequest, Scope::Model, RetryVerdict::Never);
/// The request is wrong everywhere.
pub(crate) const CALLER: Verdict = verdict(Kind::InvalidRequest, Scope::Request, RetryVerdict::Never);
/// Nothing is known.
pub(crate) const UNKNOWN: Verdict = verdict(Kind::Unknown, Scope::Provider, RetryVerdict::Backoff);
/// The answer is empty or not what the protocol promises.
pub(crate) const MALFORMED: Verdict = verdict(Kind::Malformed, Scope::Provider, RetryVerdict::Backoff);

/// A code that means one thing, wherever it stands.
pub(crate) const fn code(code: &'static str, then: Verdict) -> Rule {
    Rule { weight: Weight::Code, on: &[], strict: false, code: Some(code), words: &[], then }
}

/// A code that means something else under certain words.
pub(crate) const fn both(code: &'static str, words: &'static [&'static str], then: Verdict) -> Rule {
    Rule { weight: Weight::CodeAndWords, on: &[], strict: false, code: Some(code), words, then }
}

/// Words that all stand in the text, in lower case.
pub(crate) const fn words(words: &'static [&'static str], then: Verdict) -> Rule {
    Rule { weight: Weight::Words, on: &[], strict: false, code: None, words, then }
}

/// Words that are an exception to what more general words mean.
pub(crate) const fn except(words: &'static [&'static str], then: Verdict) -> Rule {
    Rule { weight: Weight::CodeAndWords, on: &[], strict: false, code: None, words, then }
}

/// A code that names a class.
pub(crate) const fn class(code: &'static str, then: Verdict) -> Rule {
    Rule { weight: Weight::Class, on: &[], strict: false, code: Some(code), words: &[], then }
}

/// A code that is the same for nearly all errors.
pub(crate) const fn vague(code: &'static str, then: Verdict) -> Rule {
    Rule { weight: Weight::Vague, on: &[], strict: false, code: Some(code), words: &[], then }
}

impl Verdict {
    /// The failure, without a hint.
    pub(crate) fn failure(self) -> Failure {
        Failure::new(self.kind).scope(self.scope).retry(self.retry).origin(self.origin)
    }

    /// Among rules of one weight the lower rank decides: quota, rate, transient, credential, model, caller.
    fn rank(self) -> u8 {
        match self.kind {
            Kind::QuotaExhausted => 0,
            Kind::RateLimited => 1,
            Kind::Overloaded => 2,
            Kind::Timeout(_) => 3,
            Kind::ServerError => 4,
            Kind::Auth => 5,
            Kind::Permission => 6,
            Kind::PayloadTooLarge => 7,
            Kind::ContextLength => 8,
            Kind::ContentPolicy => 9,
            Kind::Conflict => 10,
            Kind::NotFound => 11,
            _ if self.scope == Scope::Model => 12,
            _ => 13,
        }
    }
}

impl Rule {
    /// The same rule for these statuses only; a rule of words also where no status is known.
    pub(crate) const fn on(mut self, statuses: &'static [u16]) -> Self {
        self.on = statuses;
        self
    }

    /// The same rule for these statuses only, and for none where none is known: for words that are too common to say anything alone.
    pub(crate) const fn only_on(mut self, statuses: &'static [u16]) -> Self {
        (self.on, self.strict) = (statuses, true);
        self
    }

    pub(crate) fn matches(&self, report: &Report) -> bool {
        let unknown = report.status == 0 && self.weight == Weight::Words && !self.strict;
        (self.on.is_empty() || unknown || self.on.contains(&report.status))
            && self.code.is_none_or(|code| report.codes.iter().any(|told| told == code))
            && self.words.iter().all(|word| report.text.contains(word))
    }
}

/// The verdict of the weightiest rule that matches; of several, the one whose class comes first.
pub(crate) fn judge(tables: &[&[Rule]], weights: std::ops::RangeInclusive<Weight>, report: &Report) -> Option<Verdict> {
    let rules = tables.iter().flat_map(|table| table.iter());
    rules
        .filter(|rule| weights.contains(&rule.weight) && rule.matches(report))
        .min_by_key(|rule| (rule.weight, rule.then.rank()))
        .map(|rule| rule.then)
}
