//! What holds for each call, and for all together.

use std::time::Duration;

use tokio::time::Instant;
use towline::FailureKind;

use crate::{
    history::Told,
    plan::{Does, Plan, Streams},
    upstream::Sent,
};

/// A retry that was not made, for want of budget; or one that stood in line.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    pub place: usize,
    pub at: Instant,
}

/// To no target twice, no more targets than allowed, and no more attempts at each and over all.
pub fn attempts(plan: &Plan, sent: &[Sent]) {
    let hops: Vec<&[Sent]> = sent.chunk_by(|one, next| one.place == next.place).collect();
    let mut places: Vec<_> = hops.iter().map(|hop| hop[0].place).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), hops.len(), "to no target twice: {sent:?}");
    assert!(hops.len() <= plan.max_targets, "{} targets", hops.len());
    let mut before = 0;
    for hop in hops {
        assert!(before < plan.max_attempts as usize, "{before} attempts, and another target: {sent:?}");
        let place = hop[0].place;
        let left = hop.iter().filter(|sent| !matches!(sent.does, Does::Refuse)).count();
        let most = plan.attempts_at(place) as usize;
        // One that never left is made again at once, outside the count.
        assert!(hop.len() <= most + 1 && left <= most, "{} attempts at {place}", hop.len());
        before += left;
    }
}

/// An answer is that of one attempt, and nothing is sent after it.
pub fn answer(call: &Told, sent: &[Sent]) {
    let Some(got) = &call.got else { return };
    let text = got.text();
    let ids: Vec<usize> = text.split('<').skip(1).map(|rest| rest[..rest.find('>').unwrap()].parse().unwrap()).collect();
    match got.status {
        0 => assert!(got.error.is_some() && ids.is_empty(), "{got:?}"),
        200 if got.failure.is_none() => {
            let last = sent.last().unwrap();
            assert_eq!(ids, [last.id], "one answer, that of the last attempt");
            assert_eq!(got.who, last.place.to_string());
            let whole = matches!(last.does, Does::Status(..) | Does::Stream(Streams::Whole, _));
            let in_time = got.error == Some(FailureKind::DeadlineExceeded);
            assert_eq!(got.error.is_none(), whole && !in_time, "nothing that is cut looks whole: {got:?}");
        }
        // A failure's own answer is that of an attempt of this call, the most useful one.
        _ => assert!(ids.iter().all(|id| sent.iter().any(|sent| sent.id == *id)), "{got:?}"),
    }
}

/// No more retries than the budget of each target pays for, and none refused by one that is not spent.
pub fn budgets(plan: &Plan, log: &[Sent], told: &[Told], [stops, waits]: [&[Stop]; 2], start: Instant) {
    let lasted = told.iter().map(|call| call.ended).max().map_or(Duration::ZERO, |end| end - start);
    for place in 0..plan.places.len() {
        let (mut good, mut failed, mut spent) = (0, 0, Vec::new());
        for (caller, call) in told.iter().enumerate() {
            let hop: Vec<_> = log.iter().filter(|sent| (sent.place, sent.caller) == (place, caller)).collect();
            good += usize::from(hop.first().is_some_and(|sent| succeeds(sent.does)));
            // The one after the first that never left is free.
            let free = hop.iter().position(|sent| matches!(sent.does, Does::Refuse)).map(|nth| nth + 1);
            let answered =
                call.got.as_ref().is_some_and(|got| got.status == 200 && got.failure.is_none() && got.who == place.to_string());
            for (nth, sent) in hop.iter().enumerate().skip(1).filter(|(nth, _)| Some(*nth) != free) {
                failed += usize::from(!succeeds(sent.does));
                // The price of one that succeeds comes back.
                spent.extend((nth + 1 < hop.len() || !answered).then_some(sent.at));
            }
        }
        let funds = f64::from(plan.tokens) + 0.1 * good as f64 + lasted.as_secs_f64() / 10.0 + 1.0;
        assert!(failed as f64 <= funds, "{failed} retries that failed at {place}, of {funds} tokens");
        for stop in stops.iter().filter(|stop| stop.place == place) {
            let spent = spent.iter().filter(|at| **at <= stop.at).count();
            // Those under way may yet have theirs back. Who is dropped in line has paid: whether it had left by then, its retry cannot know.
            let under_way = told.iter().filter(|call| call.began <= stop.at && call.ended >= stop.at).count() - 1;
            let in_line = waits.iter().filter(|wait| wait.place == place && wait.at <= stop.at).count();
            let gone = (spent + under_way + in_line) as f64;
            assert!(gone > f64::from(plan.tokens) - 1.0, "{spent}, {under_way} and {in_line} of {} at {place}", plan.tokens);
        }
    }
}

/// Whether a retry layer takes it for a success.
const fn succeeds(does: Does) -> bool {
    matches!(does, Does::Status(200, _) | Does::Stream(Streams::Whole | Streams::Cut | Streams::Stalled, _))
}
