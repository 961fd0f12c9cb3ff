//! A gateway's process, a client for it, and readers of what it answers.

mod ask;
mod file;
mod process;
mod said;

pub(crate) use ask::{Answer, path, question};
pub(crate) use file::{File, base_url, pair, provider, started};
pub(crate) use process::{Gateway, resident, run};
pub(crate) use said::Said;
