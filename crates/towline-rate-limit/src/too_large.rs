//! What no wait would help.

use std::{error::Error, fmt};

use crate::Dimension;

/// A request that costs more than a whole limit allows, so that no wait would ever be long enough.
///
/// It is the [`source`](Error::source) of the [`towline_core::Error`] that refuses it at once: `LimitedLocally`, without a time to
/// retry after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestTooLarge {
    /// Whose limit it is.
    pub dimension: Dimension,
    /// What the request would cost.
    pub cost: u64,
    /// What the limit allows.
    pub limit: u64,
}

impl fmt::Display for RequestTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request alone costs {} of {} {}", self.cost, self.limit, self.dimension)
    }
}

impl Error for RequestTooLarge {}
