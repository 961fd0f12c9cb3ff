//! Which limit ends first. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;
use towline_core::Phase;

/// How long each part of an exchange may take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) head: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) total: Option<Duration>,
    pub(crate) stream_total: Option<Duration>,
}

/// What is known of one exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    pub(crate) began: Instant,
    /// The deadline of the call that it belongs to.
    pub(crate) deadline: Option<Instant>,
    pub(crate) stream: bool,
}

/// A limit, and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) at: Instant,
    pub(crate) phase: Phase,
    pub(crate) limit: Duration,
    /// Whether it is the call's deadline rather than a limit of ours.
    pub(crate) deadline: bool,
}

impl Limits {
    /// The limit that ends first while the head is awaited.
    pub(crate) fn on_head(&self, exchange: &Exchange) -> Option<Cut> {
        self.first(exchange, own(Phase::Head, self.head, exchange.began))
    }

    /// The limit that ends first while a body has been silent since `silent`.
    pub(crate) fn on_body(&self, exchange: &Exchange, silent: Instant) -> Option<Cut> {
        self.first(exchange, own(Phase::Idle, self.idle, silent))
    }

    /// Of two that end at the same instant the deadline counts: nobody has time to try again after it.
    fn first(&self, exchange: &Exchange, phase: Option<Cut>) -> Option<Cut> {
        let total = if exchange.stream { self.stream_total } else { self.total };
        let total = own(Phase::Total, total, exchange.began);
        [exchange.deadline_cut(), total, phase].into_iter().flatten().min_by_key(|cut| cut.at)
    }
}

impl Exchange {
    fn deadline_cut(&self) -> Option<Cut> {
        let at = self.deadline?;
        Some(Cut { at, phase: Phase::Total, limit: at.saturating_duration_since(self.began), deadline: true })
    }
}

/// A limit that ends beyond what a clock can tell is none.
fn own(phase: Phase, limit: Option<Duration>, from: Instant) -> Option<Cut> {
    let limit = limit?;
    Some(Cut { at: from.checked_add(limit)?, phase, limit, deadline: false })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(limit: Option<u64>) -> Option<Duration> {
        limit.map(Duration::from_millis)
    }

    proptest! {
        /// The plain model looks at each millisecond and asks each limit in turn.
        #[test]
        fn the_first_limit_is_the_one_that_a_clock_meets_first(
            head in proptest::option::of(1..50_u64),
            idle in proptest::option::of(1..50_u64),
            total in proptest::option::of(1..50_u64),
            stream_total in proptest::option::of(1..50_u64),
            deadline in proptest::option::of(0..50_u64),
            stream: bool,
            silent in 0..50_u64,
        ) {
            let began = Instant::now().into_std().into();
            let after = |ms| began + Duration::from_millis(ms);
            let limits = Limits { head: ms(head), idle: ms(idle), total: ms(total), stream_total: ms(stream_total) };
            let exchange = Exchange { began, deadline: deadline.map(after), stream };
            let total = if stream { stream_total } else { total };
            let met = |limit: Option<u64>, from: u64, now: u64| limit.is_some_and(|limit| now == from + limit);
            let model = |phase, limit, from| (0..=200).find_map(|now| {
                if met(deadline, 0, now) { Some((now, Phase::Total, true)) }
                else if met(total, 0, now) { Some((now, Phase::Total, false)) }
                else if met(limit, from, now) { Some((now, phase, false)) }
                else { None }
            });
            let seen = |cut: Option<Cut>| cut.map(|cut| ((cut.at - began).as_millis() as u64, cut.phase, cut.deadline));
            prop_assert_eq!(seen(limits.on_head(&exchange)), model(Phase::Head, head, 0));
            prop_assert_eq!(seen(limits.on_body(&exchange, after(silent))), model(Phase::Idle, idle, silent));
        }
    }

    #[test]
    fn a_limit_beyond_all_clocks_is_none() {
        let exchange = Exchange { began: Instant::now(), deadline: None, stream: false };
        assert_eq!(Limits { head: Some(Duration::MAX), ..Limits::default() }.on_head(&exchange), None);
    }
}
