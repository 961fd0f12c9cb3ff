//! All layers at once, over random targets that answer, limit, fail, break off and hang by random scripts, with random settings for all and for each
//! target, and callers who come at random times and leave whenever they like. In paused time: thousands of histories, each of minutes.
//!
//! | what is promised | where it is asserted |
//! |---|---|
//! | every call ends | `history`: each is over by its deadline |
//! | exactly one answer | `check`: a body is that of one attempt, the last one sent |
//! | no attempt after the deadline | `upstream`: at each attempt |
//! | attempts within the limits of hops and attempts | `check`, for each call |
//! | .. and within the retry budget of each target | `check::budgets`; that nobody is refused by one that is not spent: the same |
//! | the first target that can answer does | `history`, where the plan leaves room for it |
//! | permits and reservations all settled | `history` after the last call; `settled`: circuits, limits and lines are as new |

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and its modules are its own"
)]

#[path = "random_stacks/check.rs"]
mod check;
#[path = "random_stacks/history.rs"]
mod history;
#[path = "random_stacks/plan.rs"]
mod plan;
#[path = "random_stacks/settled.rs"]
mod settled;
#[path = "random_stacks/upstream.rs"]
mod upstream;

use proptest::prelude::*;

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_call_ends_in_time_and_nothing_is_left_of_it(plan in plan::plans(), seed: u64) {
        block_on(history::run(plan, seed));
    }

    #[test]
    fn where_there_is_room_the_first_target_that_can_answer_does(plan in plan::roomy(), seed: u64) {
        block_on(history::run(plan, seed));
    }
}
