//! The sixteen faults of Failover Bench, a public crash test for LLM gateways, ridden out by the documented stack over real sockets:
//! OpenAI's chat and Anthropic's wire format, streamed and whole. Each test looks from both sides: at what the caller got, and at what each
//! provider saw.
//!
//! No answer is continued elsewhere, so a stream that dies within (8, 9, 14) is to end with an error that nobody can miss. The stack has the
//! defaults of each layer but for the limits that the bench sets: a call may take 30 s, and first content 10 s.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and its modules are its own"
)]

#[path = "sixteen_faults/bench.rs"]
mod bench;
#[path = "sixteen_faults/expected.rs"]
mod expected;
#[path = "sixteen_faults/outage.rs"]
mod outage;
#[path = "sixteen_faults/variations.rs"]
mod variations;

use towline_testkit::{Dialect, Fault};

/// Four tests for each fault.
macro_rules! faults {
    ($($name:ident = $fault:ident,)*) => {
        $(mod $name {
            use super::{Dialect, Fault, bench::meets};

            #[tokio::test(start_paused = true)]
            async fn openai_chat_streamed() {
                meets(Fault::$fault, Dialect::OpenAiChat, true).await;
            }

            #[tokio::test(start_paused = true)]
            async fn openai_chat_whole() {
                meets(Fault::$fault, Dialect::OpenAiChat, false).await;
            }

            #[tokio::test(start_paused = true)]
            async fn anthropic_streamed() {
                meets(Fault::$fault, Dialect::Anthropic, true).await;
            }

            #[tokio::test(start_paused = true)]
            async fn anthropic_whole() {
                meets(Fault::$fault, Dialect::Anthropic, false).await;
            }
        })*

        #[test]
        fn none_of_the_sixteen_is_left_out() {
            assert_eq!([$(Fault::$fault),*], Fault::ALL);
        }
    };
}

faults! {
    fault_01_a_429_once_with_a_wait = LimitedOnce,
    fault_02_a_429_for_ever = Limited,
    fault_03_a_500_once = ErrorOnce,
    fault_04_a_503_for_ever = Down,
    fault_05_a_reset_once = ResetOnce,
    fault_06_silence = Silent,
    fault_07_a_late_first_token = LateFirstToken,
    fault_08_a_stream_that_dies = StreamCut,
    fault_09_a_stream_that_stalls = StreamStall,
    fault_10_a_broken_event = BrokenEvent,
    fault_11_no_terminator = NoTerminator,
    fault_12_a_prompt_too_long = ContextLength,
    fault_13_a_refusal = ContentPolicy,
    fault_14_a_prefill_that_is_refused = PrefillRefused,
    fault_15_an_outage_of_a_minute = Outage,
    fault_16_somebody_else_answers = Substitute,
}
