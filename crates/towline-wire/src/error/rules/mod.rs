//! The tables, one file for each family of envelopes. Within a table: quota, rate, transient, credential, model, caller.

mod anthropic;
mod bedrock;
mod compatible;
mod general;
mod google;
mod openai;
mod status;

use super::verdict::Rule;

pub(crate) use status::{by_status, plain};

/// All tables. A proxy may put any provider's error into any envelope, so each table reads each report; what keeps them
/// apart is that a rule names a provider's own code or sentence.
pub(crate) const ALL: [&[Rule]; 10] = [
    openai::CODES,
    openai::WORDS,
    anthropic::RULES,
    google::RULES,
    bedrock::RULES,
    compatible::PROVIDERS,
    compatible::SERVERS,
    compatible::PROXIES,
    compatible::CLASSES,
    general::RULES,
];
