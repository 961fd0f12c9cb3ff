//! The observer that counts, through the `metrics` facade.

use std::{collections::HashMap, fmt, sync::Arc};

use ::metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use parking_lot::RwLock;
use towline_core::{Event, Observe, Origin, StopReason, StreamEnd, Target};

/// Counts what the layers decide, through the `metrics` facade; whoever installs a recorder decides where that goes.
///
/// | metric | labels | |
/// |---|---|---|
/// | `towline_attempts_total` | `target`, `outcome` | attempts, by `success` or the kind of failure; what a layer of ours refused was none |
/// | `towline_retries_total` | `target`, `kind` | further attempts that were decided upon, by what had failed |
/// | `towline_retries_stopped_total` | `target`, `reason` | failed attempts that were the last at their target: `not_retryable`, `attempts`, `not_replayable`, `wait_too_long`, `deadline`, `budget` |
/// | `towline_fallbacks_total` | `from`, `to`, `kind` | moves to the next target |
/// | `towline_exhausted_total` | `kind` | calls that no target answered |
/// | `towline_circuit_state` | `target` | 0 closed, 1 half-open, 2 open |
/// | `towline_circuit_openings_total` | `target` | |
/// | `towline_circuit_refusals_total` | `target` | requests that an open circuit refused |
/// | `towline_limit_waits_total`, `towline_limit_refusals_total` | `target` | requests that stood in line, or were refused by a local limit |
/// | `towline_limit_closed_total` | `target` | times that a provider's 429 stopped everybody |
/// | `towline_timeouts_total` | `target`, `phase` | time limits that passed |
/// | `towline_streams_total` | `target`, `end` | streams, by `complete`, `failed`, `cut`, `dropped` |
///
/// A target is named `-` where there is none. A success costs a look into a map and an addition; all else looks its counter up in the
/// recorder. Counters of a target are made when it is first heard of, or [named](Self::watch): install the recorder before.
///
/// ```
/// use std::sync::Arc;
///
/// use towline::{MetricsObserver, Target};
///
/// let target = Target::new("anthropic/claude", "https://api.anthropic.com")?;
/// let observer = Arc::new(MetricsObserver::new());
/// observer.watch(&target);
/// let retry = towline::RetryLayer::new().observer(observer);
/// # let _ = retry;
/// # Ok::<(), towline::InvalidConfig>(())
/// ```
#[derive(Default)]
pub struct MetricsObserver {
    targets: RwLock<HashMap<Arc<str>, Handles>>,
}

/// What each success, and each change of a circuit, needs of a target.
#[derive(Clone)]
struct Handles {
    succeeded: Counter,
    circuit: Gauge,
}

impl MetricsObserver {
    /// An observer that has heard of no target. It describes its metrics to the recorder.
    #[must_use]
    pub fn new() -> Self {
        for (name, what) in COUNTERS {
            describe_counter!(name, Unit::Count, what);
        }
        describe_gauge!("towline_circuit_state", "0 closed, 1 half-open, 2 open");
        Self::default()
    }

    /// Shows a target before anything has happened there: no success yet, and a closed circuit.
    pub fn watch(&self, target: &Target) {
        self.with(target.key(), |_| ());
    }

    fn with<T>(&self, target: &Arc<str>, read: impl FnOnce(&Handles) -> T) -> T {
        if let Some(handles) = self.targets.read().get(target) {
            return read(handles);
        }
        read(self.targets.write().entry(Arc::clone(target)).or_insert_with(|| Handles::new(target)))
    }

    fn succeeded(&self, target: Option<&Target>) {
        match target {
            Some(target) => self.with(target.key(), |handles| handles.succeeded.increment(1)),
            None => counter!("towline_attempts_total", "target" => "-", "outcome" => "success").increment(1),
        }
    }

    fn circuit(&self, target: Option<&Target>, state: f64) {
        match target {
            Some(target) => self.with(target.key(), |handles| handles.circuit.set(state)),
            None => gauge!("towline_circuit_state", "target" => "-").set(state),
        }
    }
}

impl Handles {
    fn new(target: &Arc<str>) -> Self {
        let succeeded = counter!("towline_attempts_total", "target" => Arc::clone(target), "outcome" => "success");
        let circuit = gauge!("towline_circuit_state", "target" => Arc::clone(target));
        circuit.set(0.0);
        Self { succeeded, circuit }
    }
}

const COUNTERS: [(&str, &str); 12] = [
    ("towline_attempts_total", "Attempts at a target, by success or the kind of failure"),
    ("towline_retries_total", "Further attempts at one target, by what had failed"),
    ("towline_retries_stopped_total", "Failed attempts that were the last at their target, by the reason"),
    ("towline_fallbacks_total", "Moves to the next target"),
    ("towline_exhausted_total", "Calls that no target answered"),
    ("towline_circuit_openings_total", "Circuits that opened"),
    ("towline_circuit_refusals_total", "Requests that an open circuit refused"),
    ("towline_limit_waits_total", "Requests that stood in line for a local limit"),
    ("towline_limit_refusals_total", "Requests that a local limit refused"),
    ("towline_limit_closed_total", "Times that a provider's limit stopped everybody"),
    ("towline_timeouts_total", "Time limits that passed, by phase"),
    ("towline_streams_total", "Streams, by how they ended"),
];

impl Observe for MetricsObserver {
    fn observe(&self, event: &Event<'_>) {
        let of_target = |name: &'static str, target| counter!(name, "target" => label(target)).increment(1);
        match *event {
            Event::AttemptSucceeded { target, .. } => self.succeeded(target),
            Event::AttemptFailed { target, failure, .. } if failure.origin != Origin::Local => {
                counter!("towline_attempts_total", "target" => label(target), "outcome" => failure.kind.name()).increment(1);
            }
            Event::RetryScheduled { target, failure, .. } => {
                counter!("towline_retries_total", "target" => label(target), "kind" => failure.kind.name()).increment(1);
            }
            Event::RetryStopped { target, reason, .. } => {
                counter!("towline_retries_stopped_total", "target" => label(target), "reason" => said(reason)).increment(1);
            }
            Event::CircuitOpened { target, .. } => {
                self.circuit(target, 2.0);
                of_target("towline_circuit_openings_total", target);
            }
            Event::CircuitHalfOpened { target } => self.circuit(target, 1.0),
            Event::CircuitClosed { target } => self.circuit(target, 0.0),
            Event::CircuitRejected { target, .. } => of_target("towline_circuit_refusals_total", target),
            Event::LimitWaiting { target, .. } => of_target("towline_limit_waits_total", target),
            Event::LimitRejected { target, .. } => of_target("towline_limit_refusals_total", target),
            Event::LimitClosed { target, .. } => of_target("towline_limit_closed_total", target),
            Event::TimedOut { target, phase, .. } => {
                counter!("towline_timeouts_total", "target" => label(target), "phase" => phase.name()).increment(1);
            }
            Event::FallbackMoved { from, to, failure } => {
                let (from, to) = (Arc::clone(from.key()), Arc::clone(to.key()));
                counter!("towline_fallbacks_total", "from" => from, "to" => to, "kind" => failure.kind.name()).increment(1);
            }
            Event::FallbackExhausted { failure, .. } => {
                counter!("towline_exhausted_total", "kind" => failure.kind.name()).increment(1);
            }
            Event::StreamEnded { target, end } => {
                counter!("towline_streams_total", "target" => label(target), "end" => ended(end)).increment(1);
            }
            _ => {}
        }
    }
}

fn label(target: Option<&Target>) -> Arc<str> {
    target.map_or_else(|| Arc::from("-"), |target| Arc::clone(target.key()))
}

const fn said(reason: StopReason) -> &'static str {
    match reason {
        StopReason::NotRetryable => "not_retryable",
        StopReason::Attempts => "attempts",
        StopReason::NotReplayable => "not_replayable",
        StopReason::WaitTooLong => "wait_too_long",
        StopReason::Deadline => "deadline",
        StopReason::Budget => "budget",
        _ => "other",
    }
}

const fn ended(end: &StreamEnd) -> &'static str {
    match end {
        StreamEnd::Complete => "complete",
        StreamEnd::Failed(_) => "failed",
        StreamEnd::Cut => "cut",
        StreamEnd::Dropped => "dropped",
        _ => "other",
    }
}

impl fmt::Debug for MetricsObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsObserver").field("targets", &self.targets.read().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics_exporter_prometheus::PrometheusBuilder;
    use towline_core::{Failure, FailureKind, Phase};

    use super::*;

    /// The lines that a scraper gets after these events, but for comments.
    fn scraped(watched: &[&Target], events: &[Event<'_>]) -> Vec<String> {
        let recorder = PrometheusBuilder::new().build_recorder();
        ::metrics::with_local_recorder(&recorder, || {
            let observer = MetricsObserver::new();
            watched.iter().for_each(|target| observer.watch(target));
            events.iter().for_each(|event| observer.observe(event));
        });
        let mut lines: Vec<String> = recorder
            .handle()
            .render()
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    }

    fn target(name: &str) -> Target {
        Target::new(name, "https://host").unwrap()
    }

    #[test]
    fn a_target_is_seen_before_anything_has_happened_there() {
        let told = scraped(&[&target("a/m")], &[]);
        let attempts = r#"towline_attempts_total{target="a/m",outcome="success"} 0"#;
        assert_eq!(told, [attempts, r#"towline_circuit_state{target="a/m"} 0"#]);
    }

    #[test]
    fn attempts_retries_and_moves_are_counted_by_target_and_kind() {
        let (first, second, failure) = (target("first"), target("second"), Failure::new(FailureKind::Overloaded));
        let refused = Failure::new(FailureKind::CircuitOpen);
        let told = scraped(
            &[],
            &[
                Event::AttemptFailed { target: Some(&first), attempt: 1, failure: &failure },
                Event::RetryScheduled { target: Some(&first), attempt: 2, wait: Duration::ZERO, failure: &failure },
                Event::AttemptFailed { target: Some(&first), attempt: 2, failure: &failure },
                Event::AttemptFailed { target: Some(&second), attempt: 1, failure: &refused },
                Event::RetryStopped { target: Some(&first), attempts: 2, reason: StopReason::Attempts, failure: &failure },
                Event::FallbackMoved { from: &first, to: &second, failure: &failure },
                Event::AttemptSucceeded { target: Some(&second), attempt: 1 },
                Event::AttemptSucceeded { target: None, attempt: 1 },
                Event::FallbackExhausted { tried: 2, failure: &failure },
            ],
        );
        assert_eq!(
            told,
            [
                r#"towline_attempts_total{target="-",outcome="success"} 1"#,
                r#"towline_attempts_total{target="first",outcome="overloaded"} 2"#,
                r#"towline_attempts_total{target="second",outcome="success"} 1"#,
                r#"towline_circuit_state{target="second"} 0"#,
                r#"towline_exhausted_total{kind="overloaded"} 1"#,
                r#"towline_fallbacks_total{from="first",to="second",kind="overloaded"} 1"#,
                r#"towline_retries_stopped_total{target="first",reason="attempts"} 1"#,
                r#"towline_retries_total{target="first",kind="overloaded"} 1"#,
            ]
        );
    }

    #[test]
    fn circuits_limits_times_and_streams_are_told() {
        let (target, second) = (target("a"), Duration::from_secs(1));
        let it = Some(&target);
        let told = scraped(
            &[],
            &[
                Event::CircuitOpened { target: it, retry_after: second },
                Event::CircuitRejected { target: it, retry_after: second },
                Event::CircuitHalfOpened { target: it },
                Event::LimitWaiting { target: it, wait: second },
                Event::LimitRejected { target: it, retry_after: second },
                Event::LimitClosed { target: it, pause: second },
                Event::TimedOut { target: it, phase: Phase::FirstContent, limit: second },
                Event::StreamEnded { target: it, end: &StreamEnd::Cut },
                Event::StreamEnded { target: None, end: &StreamEnd::Complete },
            ],
        );
        for line in [
            r#"towline_circuit_openings_total{target="a"} 1"#,
            r#"towline_circuit_refusals_total{target="a"} 1"#,
            r#"towline_circuit_state{target="a"} 1"#,
            r#"towline_limit_closed_total{target="a"} 1"#,
            r#"towline_limit_refusals_total{target="a"} 1"#,
            r#"towline_limit_waits_total{target="a"} 1"#,
            r#"towline_streams_total{target="-",end="complete"} 1"#,
            r#"towline_streams_total{target="a",end="cut"} 1"#,
            r#"towline_timeouts_total{target="a",phase="first_content"} 1"#,
        ] {
            assert!(told.iter().any(|told| told == line), "{line} is missing in {told:#?}");
        }
    }
}
