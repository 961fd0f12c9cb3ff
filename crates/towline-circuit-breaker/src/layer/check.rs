//! What a user may have meant, and what he cannot have.

use std::{num::NonZeroU32, time::Duration};

use towline_core::InvalidConfig;

use crate::{
    rules::ALL,
    span::{Ratio, Span},
};

/// More would be a mistake: in the unit, most likely.
const A_DAY: Duration = Duration::from_secs(86_400);
const AN_HOUR: Duration = Duration::from_secs(3600);

pub(super) fn positive(field: &'static str, n: u32) -> Result<NonZeroU32, InvalidConfig> {
    NonZeroU32::new(n).ok_or_else(|| InvalidConfig::new(field, "must be at least 1"))
}

/// A share as a user gives it.
pub(super) fn share(ratio: f64, window: Duration, min_samples: u32) -> Result<Ratio, InvalidConfig> {
    // Whatever is no number is out of range; in range the cast is exact.
    let millionths = (ratio * f64::from(ALL)).round() as u32;
    if !(ratio > 0.0 && ratio <= 1.0 && millionths > 0) {
        return Err(InvalidConfig::new("ratio", "must be above 0 and at most 1, to a millionth"));
    }
    if !(Duration::from_secs(1)..=AN_HOUR).contains(&window) {
        return Err(InvalidConfig::new("window", "must lie between a second and an hour"));
    }
    Ok(Ratio { millionths, span: Span::new(window), samples: positive("min_samples", min_samples)? })
}

pub(super) fn between(field: &'static str, value: Duration, least: Duration, why: &'static str) -> Result<(), InvalidConfig> {
    if (least..=A_DAY).contains(&value) { Ok(()) } else { Err(InvalidConfig::new(field, why)) }
}
