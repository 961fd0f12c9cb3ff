//! The fifteenth fault takes a while: 20 requests 4 s apart, of whose first minute the primary is down.

use std::time::Duration;

use towline_testkit::Fault;

use crate::bench::{Bench, STEP};

const SECOND: Duration = Duration::from_secs(1);

/// Everybody is served, the primary is seldom probed, and the calls are back with it within 30 s of its recovery.
pub async fn is_ridden_out(bench: &Bench) {
    let (primary, second) = (bench.direct(Fault::PRIMARY).await, bench.direct(Fault::FALLBACK).await);
    let began = tokio::time::Instant::now();
    let mut back = None;
    for nth in 0..20_u32 {
        let due = began + 4 * SECOND * nth;
        bench.clock.drive(STEP, tokio::time::sleep_until(due)).await;
        let got = bench.ask().await;
        assert_eq!((got.status, got.error), (200, None), "call {nth}: {}", got.trail);
        assert_eq!(got.body, if got.who == "primary" { &primary } else { &second }, "call {nth}");
        assert!(got.took < 4 * SECOND, "call {nth} took {:?}", got.took);
        match (&*got.who, back) {
            ("primary", None) => back = Some(began.elapsed()),
            ("second", Some(_)) => panic!("it went away again, with call {nth}: {}", got.trail),
            _ => {}
        }
    }
    let back = back.unwrap();
    assert!((60 * SECOND..=90 * SECOND).contains(&back), "back after {back:?}");
    let down = bench.primary.requests().iter().filter(|request| request.at < began + 60 * SECOND).count();
    // Three of the first call and two of the second open the circuit; after that one probe each time that it is half-open.
    assert!(down <= 5 + 5, "{down} attempts at a primary that is down");
    bench.check_providers(&[bench.primary.hits(), bench.second.hits()], [0, 30_000]);
}
