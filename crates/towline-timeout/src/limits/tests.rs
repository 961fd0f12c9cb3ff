use proptest::{option::of, prelude::*};

use super::*;

fn ms(limit: Option<u64>) -> Option<Duration> {
    limit.map(Duration::from_millis)
}

prop_compose! {
    fn limits()(
        head in of(1..50_u64), first_content in of(1..50_u64), idle in of(1..50_u64), content_idle in of(1..50_u64),
        floor in of(1..50_u64), total in of(1..50_u64), stream_total in of(1..50_u64),
    ) -> Limits {
        Limits {
            head: ms(head), first_content: ms(first_content), idle: ms(idle), content_idle: ms(content_idle),
            floor: ms(floor).map(|window| Floor { bytes: 1, window }), total: ms(total), stream_total: ms(stream_total),
        }
    }
}

proptest! {
    /// The plain model looks at each millisecond and asks each limit in turn.
    #[test]
    fn the_first_limit_is_the_one_that_a_clock_meets_first(
        limits in limits(), deadline in of(0..50_u64), stream: bool, silent in 0..50_u64,
        first in of(0..60_u64), content in of(0..60_u64), floor in of(0..60_u64),
    ) {
        let began = Instant::now().into_std().into();
        let after = |ms| began + Duration::from_millis(ms);
        let exchange = Exchange { began, deadline: deadline.map(after), stream };
        let met = |limit: Option<Duration>, waited: Option<u64>, from: u64, now: u64| {
            let waited = waited.zip(now.checked_sub(from)).map(|(before, now)| Duration::from_millis(before + now));
            limit.zip(waited).is_some_and(|(limit, waited)| waited >= limit)
        };
        let model = |phases: &[(Phase, Option<Duration>, Option<u64>)], from| (0..=200).find_map(|now| {
            if deadline.is_some_and(|at| at <= now) { return Some((now, Phase::Total, true)) }
            let total = if stream { limits.stream_total } else { limits.total };
            if met(total, Some(0), 0, now) { return Some((now, Phase::Total, false)) }
            phases.iter().find(|(_, limit, waited)| met(*limit, *waited, from, now)).map(|(phase, ..)| (now, *phase, false))
        });
        // The model knows no instant before the silence, at which it would have cut already.
        let seen = |cut: Option<Cut>| cut.map(|cut| ((cut.at - began).as_millis() as u64, cut.phase, cut.deadline));
        let head = if stream { (Phase::FirstContent, limits.first_content) } else { (Phase::Head, limits.head) };
        prop_assert_eq!(seen(limits.on_head(&exchange)), model(&[(head.0, head.1, Some(0))], 0));
        let waits = Waits { since: after(silent), first: ms(first), content: ms(content), floor: ms(floor) };
        let awaited = first.is_some() && limits.first_content.is_some();
        let phases = [
            (Phase::FirstContent, limits.first_content, first),
            (Phase::Idle, limits.idle, Some(0)),
            (Phase::ContentIdle, limits.content_idle, content.filter(|_| !awaited)),
            (Phase::Throughput, limits.floor.map(|floor| floor.window), floor),
        ];
        prop_assert_eq!(seen(limits.on_body(&exchange, &waits)), model(&phases, silent));
    }
}

#[test]
fn a_limit_beyond_all_clocks_is_none() {
    let exchange = Exchange { began: Instant::now(), deadline: None, stream: false };
    assert_eq!(Limits { head: Some(Duration::MAX), ..Limits::default() }.on_head(&exchange), None);
}
