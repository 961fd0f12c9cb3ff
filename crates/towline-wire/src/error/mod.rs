//! What a provider's error means.

mod answer;
mod report;
mod rules;
mod verdict;

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode};
use towline_core::{Dialect, Failure, Hint, RetryVerdict};

pub(crate) use self::{
    answer::{Said, bedrock_reason, chat_reason, gemini_reason, read as read_answer},
    report::Report,
    verdict::{GUARD, POLICY},
};
use self::{
    report::Quota,
    verdict::{MODEL_QUOTA, RATE, TOO_LARGE, UNKNOWN, Verdict, Weight, judge},
};
use crate::{duration, limits};

/// From here on a wait is no wait: whoever is asked for it had better ask elsewhere.
const LONG: Duration = Duration::from_secs(3600);

/// An answer in whole: head and body. Of an error's body the first 64 KiB are enough. `Debug` shows no text of it.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body, unencoded.
    pub body: &'a [u8],
    /// The dialect in which an answer is expected, where it is known. Without it a 200 is a failure only if it says so.
    pub dialect: Option<Dialect>,
}

impl Answer<'_> {
    /// What went wrong, or `None` if nothing did.
    #[must_use]
    pub fn failure(&self, now: SystemTime) -> Option<Failure> {
        if self.status.is_success() {
            return answer::failure(self.body, self.dialect, self.headers, now);
        }
        if self.status.is_informational() {
            return None;
        }
        let report = Report::of_body(self.status, self.headers, self.body);
        Some(conclude(&report, Some((self.headers, now))))
    }
}

impl fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.body.len();
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("size", &size)
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}

/// From what an error says to a failure with its hint.
pub(crate) fn conclude(report: &Report, head: Option<(&HeaderMap, SystemTime)>) -> Failure {
    let verdict = decide(report, head.map(|(headers, _)| headers));
    let hint = hint(report, head);
    let mut failure = verdict.failure().hint(hint);
    if hint.retry_after.is_some_and(|wait| wait >= LONG) {
        failure = failure.retry(RetryVerdict::Never);
    }
    failure
}

/// Codes before the status before words, with the numbers ahead of all: they alone prove that a request never fits. A code that
/// no table knows is read as words at last.
fn decide(report: &Report, headers: Option<&HeaderMap>) -> Verdict {
    let rules = |from, to| judge(&rules::ALL, from..=to, report);
    never_fits(report, headers)
        .or_else(|| google_quota(report.quota))
        .or_else(|| rules(Weight::CodeAndWords, Weight::Words))
        .or_else(|| rules::plain(report.status, report.envelope))
        .or_else(|| rules(Weight::Class, Weight::Class))
        .or_else(|| judge(&rules::ALL, Weight::Words..=Weight::Words, &report.spoken()))
        .or_else(|| rules::by_status(report.status))
        .or_else(|| rules(Weight::Vague, Weight::Vague))
        .unwrap_or(UNKNOWN)
}

/// "Limit 30000, Requested 30601" can never be admitted, whatever the status. The same 429 without numbers shows a bucket
/// that is full.
fn never_fits(report: &Report, headers: Option<&HeaderMap>) -> Option<Verdict> {
    let number = |name: &str| {
        let after = report.text.get(report.text.find(name)? + name.len()..)?;
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        after.get(..digits)?.parse::<u64>().ok()
    };
    let asked = number("requested ").zip(number("limit ")).is_some_and(|(requested, limit)| requested > limit);
    let header = |name| headers.and_then(|h| h.get(name)).and_then(|v| v.to_str().ok());
    let full = report.status == 429
        && !report.text.contains("limit reached")
        && header("x-ratelimit-limit-tokens").is_some_and(|limit| header("x-ratelimit-remaining-tokens") == Some(limit))
        && header("x-ratelimit-reset-tokens").and_then(duration::go) == Some(Duration::ZERO)
        && report.codes.iter().any(|code| code == "tokens");
    // Of a text that is too long only the numbers tell a name from a prompt.
    let text = report.codes.iter().any(|code| code == "string_above_max_length")
        && number("with maximum length ").is_some_and(|longest| longest >= 100_000);
    (asked || full || text).then_some(TOO_LARGE)
}

/// Google's sentence is the same for all quotas; their ids tell them apart.
fn google_quota(quota: Quota) -> Option<Verdict> {
    match quota {
        Quota { zero: true, .. } | Quota { per_day: true, .. } => Some(MODEL_QUOTA),
        Quota { per_minute: true, .. } => Some(RATE),
        _ => None,
    }
}

/// Headers first, then Google's `RetryInfo`, then fields of the body, then prose.
fn hint(report: &Report, head: Option<(&HeaderMap, SystemTime)>) -> Hint {
    let told = head.map_or_else(Hint::none, |(headers, now)| {
        Hint::from_headers(headers, now).with_retry_after(limits::retry_after(headers, now))
    });
    let wait = told.retry_after.or(report.retry_info).or(report.wait);
    told.with_retry_after(wait.or_else(|| duration::prose(&report.text)))
}

#[cfg(test)]
mod tests;
