//! From a failure to what a fallback does about it.

use towline_core::{Failure, FailureKind, Origin, Scope};

/// Whether another target may do better.
pub(crate) fn moves_on(failure: &Failure) -> bool {
    use FailureKind as K;
    match failure.kind {
        K::CircuitOpen | K::LimitedLocally | K::Untranslatable => true,
        K::DeadlineExceeded | K::BudgetExhausted | K::ContextLength | K::ContentPolicy => false,
        // Also in our own words, when no key of the target has any left.
        K::QuotaExhausted => failure.scope != Scope::Request,
        K::Auth | K::Permission => failure.scope == Scope::Model,
        // Whose request it is decides, whatever the kind: one that is wrong everywhere is sent nowhere else.
        _ => failure.scope != Scope::Request && failure.origin == Origin::Upstream,
    }
}

/// Whether a layer of ours kept the target back, so that it was never asked.
pub(crate) fn is_refusal(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::CircuitOpen | FailureKind::LimitedLocally)
}

/// Whether `new` tells the caller more than `old`, which came first.
pub(crate) fn is_more_useful(new: &Failure, old: &Failure) -> bool {
    let spoken = |failure: &Failure| failure.origin == Origin::Upstream;
    match (new.hint.retry_after, old.hint.retry_after) {
        _ if spoken(new) != spoken(old) => spoken(new),
        (Some(new), Some(old)) => new < old,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn moves(kind: FailureKind) -> bool {
        moves_on(&Failure::new(kind))
    }

    #[test]
    fn what_is_one_targets_trouble_moves_on_and_what_is_the_requests_own_stays() {
        use FailureKind as K;
        for kind in [
            K::RateLimited,
            K::QuotaExhausted,
            K::Overloaded,
            K::ServerError,
            K::Connect,
            K::Transport,
            K::StreamBroken,
            K::Malformed,
            K::NotFound,
        ] {
            assert!(moves(kind), "{kind}");
        }
        for kind in [
            K::CircuitOpen,
            K::LimitedLocally,
            K::Untranslatable,
            K::PayloadTooLarge,
            K::Unknown,
            K::Timeout(towline_core::Phase::Head),
        ] {
            assert!(moves(kind), "{kind}");
        }
        for kind in [
            K::InvalidRequest,
            K::Conflict,
            K::Auth,
            K::Permission,
            K::ContextLength,
            K::ContentPolicy,
            K::DeadlineExceeded,
            K::BudgetExhausted,
        ] {
            assert!(!moves(kind), "{kind}");
        }
    }

    #[test]
    fn scope_and_origin_overrule_the_kind() {
        assert!(moves_on(&Failure::new(FailureKind::InvalidRequest).scope(Scope::Model)), "a feature that this model lacks");
        assert!(moves_on(&Failure::new(FailureKind::Permission).scope(Scope::Model)));
        assert!(!moves_on(&Failure::new(FailureKind::NotFound).scope(Scope::Request)), "state that lives nowhere else");
        assert!(!moves_on(&Failure::new(FailureKind::PayloadTooLarge).origin(Origin::Caller)));
    }

    #[test]
    fn the_most_useful_failure_is_spoken_by_a_provider_and_names_the_shortest_wait() {
        let open = Failure::new(FailureKind::CircuitOpen).retry_after(Duration::from_secs(1));
        let limited = |secs| Failure::new(FailureKind::RateLimited).retry_after(Duration::from_secs(secs));
        let broken = Failure::new(FailureKind::ServerError);
        assert!(is_more_useful(&broken, &open) && !is_more_useful(&open, &broken));
        assert!(is_more_useful(&limited(2), &limited(3)) && !is_more_useful(&limited(3), &limited(2)));
        assert!(!is_more_useful(&broken, &limited(9)) && !is_more_useful(&limited(9), &broken), "the first stands");
    }
}
