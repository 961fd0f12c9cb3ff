//! What users of LLM gateways suffered from, and what the stack does instead: a test that names its issue for each of the thirty-three
//! reports, most of them here and over real sockets.
//!
//! | | reported as | shown by |
//! |--:|---|---|
//! | 1 | Portkey 1797: an answer that was cut ended as a clean one | `streams` |
//! | 2 | LiteLLM 40404: no policy for a stream that breaks | `streams`; the policy is *error*. *Continue* and *restart*: second half |
//! | 3 | LiteLLM 27967: the real error was masked by that of a stopgap | fallback's `issues` |
//! | 4 | Bifrost 5395: an error after the opening of a stream | `streams` |
//! | 5 | Bifrost 2917: no retry though nothing had been sent | `streams` |
//! | 6 | LiteLLM 29808: early errors of a stream skipped the retries | `streams` |
//! | 7 | LiteLLM 19077: a call's own policy forgotten within its stream | second half, with the continuation that such a policy is about |
//! | 8 | LiteLLM 28216: other dialects bypassed the machinery | `streams` |
//! | 9 | Bifrost 6472: a trickle that no limit caught | `streams` |
//! | 10 | LiteLLM 32835: output came twice | `streams` |
//! | 11 | Bifrost 7034: time limits that did not fire | `time` |
//! | 12 | Failover Bench S06: minutes before a silent target | fallback's `issues`; `sixteen_faults`, 6 |
//! | 13 | LiteLLM 7130: attempts multiplied | fallback's `issues`; `edge_cases`, 13 |
//! | 14 | LiteLLM 27823: no Retry-After while all cool down | `recovery`; fallback's `issues` |
//! | 15 | LiteLLM 40130: the shorter of two cooldowns counted | fallback's `issues` |
//! | 16 | LiteLLM 34836: 25 failures in a row, and still in rotation | `recovery` |
//! | 17 | LiteLLM 3646: nobody waited for the first to recover | fallback's `issues` |
//! | 18 | Bifrost 125: all traffic back at once | `recovery` |
//! | 19 | LiteLLM 40958: our own refusals counted against the provider | `recovery` |
//! | 20 | TensorZero 3554: our own refusals retried | fallback's `issues` |
//! | 21 | LiteLLM 32798, LibreChat 357: a spent quota, and words that only sound like one | `kinds`; fallback's `issues` |
//! | 22 | gsd-2 2803: an entitlement asked for for ever | `kinds`; fallback's `issues` |
//! | 23 | LiteLLM 9035, 9router 3242: a 200 that is an error | `kinds` |
//! | 24 | TensorZero 3799: an empty answer counted as one | `kinds` |
//! | 25 | agentgateway 1500: a 429 without headers | fallback's `issues`; `sixteen_faults`, 2 |
//! | 26 | agentgateway 1087, 1081: the failing request itself was not helped | fallback's `issues`; `sixteen_faults`, 4 |
//! | 27 | LiteLLM: a 429 that was only quoted | `kinds` |
//! | 28 | LiteLLM 18730: 663 tokens where 100 were allowed | `limits` |
//! | 29 | LiteLLM 40291: as many limits as replicas | `limits`; between processes: second half, with the shared store |
//! | 30 | LiteLLM 14204: each request pushed the window back | `limits`; in a shared store: second half |
//! | 31 | Envoy AI Gateway 1866: policies that never acted | fallback's `issues` |
//! | 32 | LangWatch 7027: four hours with a provider whose day was spent | fallback's `issues` |
//! | 33 | MLflow 25262: no fallback for streams | fallback's `issues`; all of `sixteen_faults` |

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and its modules are its own"
)]

#[path = "requirements/kinds.rs"]
mod kinds;
#[path = "requirements/limits.rs"]
mod limits;
#[path = "requirements/recovery.rs"]
mod recovery;
#[path = "requirements/streams.rs"]
mod streams;
#[path = "requirements/support.rs"]
mod support;
#[path = "requirements/time.rs"]
mod time;

use std::{fs, path::Path};

/// Where a requirement is shown: a file, from the workspace's root, and the beginning of a test's name.
enum Shown {
    By(&'static str, &'static str),
    SecondHalf(&'static str),
}

use Shown::{By, SecondHalf};

const ISSUES: &str = "crates/towline-fallback/tests/issues.rs";
const KINDS: &str = "tests/tests/requirements/kinds.rs";
const LIMITS: &str = "tests/tests/requirements/limits.rs";
const RECOVERY: &str = "tests/tests/requirements/recovery.rs";
const STREAMS: &str = "tests/tests/requirements/streams.rs";
const TIME: &str = "tests/tests/requirements/time.rs";

const TABLE: &[(u8, Shown)] = &[
    (1, By(STREAMS, "portkey_1797")),
    (2, By(STREAMS, "litellm_40404")),
    (3, By(ISSUES, "litellm_27967")),
    (4, By(STREAMS, "bifrost_5395")),
    (5, By(STREAMS, "bifrost_2917")),
    (6, By(STREAMS, "litellm_29808")),
    (7, SecondHalf("nothing is continued elsewhere yet, so there is no policy to carry into the body")),
    (8, By(STREAMS, "litellm_28216")),
    (9, By(STREAMS, "bifrost_6472")),
    (10, By(STREAMS, "litellm_32835")),
    (11, By(TIME, "bifrost_7034")),
    (12, By(ISSUES, "failover_bench_s06")),
    (13, By(ISSUES, "litellm_7130")),
    (14, By(RECOVERY, "litellm_27823")),
    (14, By(ISSUES, "litellm_27823")),
    (15, By(ISSUES, "litellm_40130")),
    (16, By(RECOVERY, "litellm_34836")),
    (17, By(ISSUES, "litellm_3646")),
    (18, By(RECOVERY, "bifrost_125")),
    (19, By(RECOVERY, "litellm_40958")),
    (20, By(ISSUES, "tensorzero_3554")),
    (21, By(KINDS, "litellm_32798")),
    (21, By(KINDS, "librechat_357")),
    (22, By(KINDS, "gsd_2_2803")),
    (23, By(KINDS, "litellm_9035")),
    (24, By(KINDS, "tensorzero_3799")),
    (25, By(ISSUES, "agentgateway_1500")),
    (26, By(ISSUES, "agentgateway_1087_and_1081")),
    (27, By(KINDS, "litellm_11455")),
    (28, By(LIMITS, "litellm_18730")),
    (29, By(LIMITS, "litellm_40291")),
    (30, By(LIMITS, "litellm_14204")),
    (31, By(ISSUES, "ai_gateway_1866")),
    (32, By(ISSUES, "langwatch_7027")),
    (33, By(ISSUES, "mlflow_25262")),
];

#[test]
fn each_requirement_has_a_test_or_a_reason_why_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("tests/tests/requirements.rs")).unwrap();
    for number in 1..=33 {
        assert!(page.contains(&format!("//! | {number} | ")), "{number} is not on the page");
        assert!(TABLE.iter().any(|(of, _)| *of == number), "{number} has neither a test nor a reason");
    }
    for (number, shown) in TABLE {
        match shown {
            By(file, test) => {
                let text = fs::read_to_string(root.join(file)).unwrap();
                let begins = format!("fn {test}_");
                let at = text.find(&begins).unwrap_or_else(|| panic!("{number}: no {test} in {file}"));
                assert!(text[..at].lines().rev().take(3).any(|line| line.contains("test")), "{number}: {test} is no test");
            }
            SecondHalf(reason) => assert!(!reason.is_empty()),
        }
    }
}
