//! What became of a response, by its head and what was read of its body.

use http::response::Parts;
use towline_core::{Dialect, Failure, FailureKind, Outcome, wall_clock};
use towline_wire::error::Answer;

use crate::{
    layer::Config,
    look::is_no_json,
    plan::{is_encoded, is_failure, says_json},
};

impl Config {
    /// Judges a response and writes the outcome into its extensions, unless it is a success that looks like one.
    ///
    /// `complete` says that `body` is all there is.
    pub(crate) fn judge(&self, parts: &mut Parts, dialect: Option<Dialect>, body: &[u8], complete: bool) {
        let readable = if is_encoded(&parts.headers) { &[] } else { body };
        let said = self.rules.iter().find_map(|rule| rule(parts, readable));
        let outcome = said.unwrap_or_else(|| {
            let failure = if parts.status.is_success() {
                self.disguised(parts, dialect, readable, complete)
            } else {
                failed(parts, dialect, readable)
            };
            failure.map_or(Outcome::Success, Outcome::Failure)
        });
        if outcome != Outcome::Success || is_failure(parts.status) {
            parts.extensions.insert(outcome);
        }
    }

    /// The failure that a success may hide. Of half a document nothing is believed.
    fn disguised(&self, parts: &Parts, dialect: Option<Dialect>, body: &[u8], complete: bool) -> Option<Failure> {
        if !complete {
            return None;
        }
        let told = read(parts, dialect, body).filter(|failure| self.reject_empty || failure.kind != FailureKind::Malformed);
        let broken = || (says_json(parts) && is_no_json(body)).then(|| Failure::new(FailureKind::Malformed));
        told.or_else(broken).or_else(|| self.validators.iter().find_map(|check| check(parts, body).err()))
    }
}

/// The failure that a failed status is. Only of 4xx and 5xx do the dialects know more than the status says.
fn failed(parts: &Parts, dialect: Option<Dialect>, body: &[u8]) -> Option<Failure> {
    let known = parts.status.is_client_error() || parts.status.is_server_error();
    let told = known.then(|| read(parts, dialect, body)).flatten();
    told.or_else(|| Failure::from_status(parts.status, &parts.headers))
}

fn read(parts: &Parts, dialect: Option<Dialect>, body: &[u8]) -> Option<Failure> {
    Answer { status: parts.status, headers: &parts.headers, body, dialect }.failure(wall_clock())
}
