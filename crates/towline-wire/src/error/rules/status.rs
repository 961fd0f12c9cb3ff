//! What a status means where nothing more precise is told.

use super::super::verdict::{
    AUTH, CALLER, CANCELLED, CONFLICT, FEATURE, GUARD, INCAPABLE, NOT_FOUND, OVERLOADED, PERMISSION, POLICY, QUOTA, RATE, SERVER,
    TIMEOUT, TOO_LARGE, UNKNOWN, Verdict,
};

/// The verdict of a status; `None` for one that says nothing, such as 200.
pub(crate) fn by_status(status: u16) -> Option<Verdict> {
    Some(match status {
        401 | 407 => AUTH,
        402 => QUOTA,
        403 => PERMISSION,
        404 | 410 => NOT_FOUND,
        408 | 504 | 522 | 524 => TIMEOUT,
        409 => CONFLICT,
        413 | 414 => TOO_LARGE,
        415 | 501 => FEATURE,
        424 => SERVER,
        429 => RATE,
        // Portkey's own guardrails.
        446 => GUARD,
        451 => POLICY,
        // Groq's flex capacity.
        498 => OVERLOADED,
        499 => CANCELLED,
        400..=499 => CALLER,
        505 => INCAPABLE,
        503 | 529 => OVERLOADED,
        500..=599 => SERVER,
        300..=399 => UNKNOWN,
        _ => return None,
    })
}

/// Statuses whose meaning the shape of the envelope changes: Cohere answers an invalid token with 498 and a message.
pub(crate) fn plain(status: u16, envelope: bool) -> Option<Verdict> {
    (status == 498 && envelope).then_some(AUTH)
}
