//! The six presets. The reason of each number is in `docs/presets.md`.

use std::time::Duration;

use towline_core::FailureKind;

use super::{
    BreakerRule, Preset,
    Role::{
        self, CheapSibling, LargerWindow, OneStepDown, OtherFamily, Primary, Queue, Reviewer, SameModel, SecondKey, Stronger,
    },
    Wanted,
};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn s(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn min(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

const fn needed(role: Role) -> Wanted {
    Wanted { role, needed: true }
}

const fn wanted(role: Role) -> Wanted {
    Wanted { role, needed: false }
}

/// Where somebody waits for answers: 5 failures in 60 s, the first probe after 5 s, 2 good ones.
const BREAKER: BreakerRule =
    BreakerRule { failures: 5, window: Duration::from_secs(60), share: None, open: (s(5), s(10)), good_probes: 2 };

/// Where there are hundreds of requests a minute, five failures say little unless they are half of all.
const BREAKER_BY_SHARE: BreakerRule = BreakerRule { share: Some(0.5), ..BREAKER };

impl Preset {
    /// Real-time chat: somebody waits for each answer, and any good one beats none.
    #[must_use]
    pub fn chat() -> Self {
        Self {
            name: "chat".into(),
            purpose: "real-time chat: fails fast, waits little, available before all".into(),
            roles: vec![needed(Primary), needed(OtherFamily), wanted(CheapSibling)],
            attempts: 2,
            backoff: (ms(250), s(1)),
            throttle_backoff: (ms(500), s(2)),
            max_server_delay: s(5),
            deadline: s(90),
            stream_deadline: min(5),
            head: s(30),
            first_content: s(10),
            idle: s(20),
            content_idle: s(30),
            breaker: BREAKER,
            limit_share: 0.95,
            limit_wait: s(1),
            moves_on: Vec::new(),
            auth_moves_on: false,
            one_model: false,
            max_targets: 3,
            max_attempts: 5,
            answer_headers: false,
            cached_for: None,
            answer: Some("I cannot answer at the moment. Please try again in a minute.".into()),
        }
    }

    /// Document analysis: quality is kept, and a prompt that is too long goes to a larger window.
    #[must_use]
    pub fn documents() -> Self {
        Self {
            name: "documents".into(),
            purpose: "document analysis: quality is kept, long prompts find a larger window".into(),
            roles: vec![needed(Primary), wanted(Stronger), needed(LargerWindow)],
            attempts: 3,
            backoff: (ms(500), s(8)),
            throttle_backoff: (s(1), s(20)),
            max_server_delay: min(1),
            deadline: min(5),
            stream_deadline: min(15),
            head: min(2),
            first_content: min(1),
            idle: min(1),
            content_idle: min(2),
            limit_wait: s(30),
            max_attempts: 6,
            cached_for: Some(min(30)),
            answer: None,
            ..Self::chat()
        }
    }

    /// Code generation: keys rotate before quality drops.
    #[must_use]
    pub fn code() -> Self {
        Self {
            name: "code".into(),
            purpose: "code generation: keys rotate before quality drops".into(),
            roles: vec![needed(Primary), needed(SecondKey), needed(OtherFamily)],
            attempts: 3,
            backoff: (ms(500), s(4)),
            throttle_backoff: (s(1), s(10)),
            max_server_delay: s(30),
            deadline: min(4),
            stream_deadline: min(15),
            head: s(90),
            first_content: s(30),
            idle: s(30),
            content_idle: s(60),
            limit_wait: s(10),
            max_targets: 2,
            max_attempts: 6,
            answer: None,
            ..Self::chat()
        }
    }

    /// Batch classification or summarisation: cheap, patient, and queued rather than failed.
    #[must_use]
    pub fn batch() -> Self {
        Self {
            name: "batch".into(),
            purpose: "batch work: cheap, may wait for minutes, queued rather than failed".into(),
            roles: vec![needed(Primary), needed(OtherFamily), needed(Queue)],
            attempts: 4,
            backoff: (s(1), s(60)),
            throttle_backoff: (s(2), s(60)),
            max_server_delay: min(2),
            deadline: min(30),
            stream_deadline: min(30),
            head: min(5),
            first_content: min(2),
            idle: min(2),
            content_idle: min(3),
            breaker: BreakerRule { open: (s(30), min(1)), ..BREAKER_BY_SHARE },
            limit_share: 0.9,
            limit_wait: min(5),
            max_targets: 2,
            max_attempts: 8,
            answer: None,
            ..Self::chat()
        }
    }

    /// Legal and compliance work: never a weaker answer unnoticed, never a refusal routed round, loud when it fails.
    #[must_use]
    pub fn legal() -> Self {
        Self {
            name: "legal".into(),
            purpose: "legal and compliance: no weaker answer unnoticed, refusals reviewed, loud when it fails".into(),
            roles: vec![needed(Primary), wanted(OneStepDown), needed(Reviewer)],
            attempts: 3,
            moves_on: vec![(FailureKind::ContentPolicy, false)],
            max_targets: 2,
            answer_headers: true,
            cached_for: None,
            ..Self::documents()
        }
    }

    /// Embeddings: vectors of two models do not mix, so there is one model, wherever it runs.
    #[must_use]
    pub fn embeddings() -> Self {
        Self {
            name: "embeddings".into(),
            purpose: "embeddings: vectors of one model only, wherever it runs".into(),
            roles: vec![needed(Primary), wanted(SameModel)],
            attempts: 4,
            backoff: (ms(500), s(8)),
            throttle_backoff: (s(1), s(20)),
            max_server_delay: s(20),
            deadline: min(1),
            stream_deadline: min(1),
            head: s(15),
            first_content: s(15),
            idle: s(15),
            content_idle: s(15),
            breaker: BREAKER_BY_SHARE,
            limit_wait: s(20),
            one_model: true,
            max_targets: 2,
            max_attempts: 8,
            cached_for: Some(min(30)),
            answer: None,
            ..Self::chat()
        }
    }
}
