//! What a target charges.

use crate::InvalidConfig;

/// What a target charges, in US dollars for a million tokens; kept as whole millionths of a dollar, so that sums stay exact.
///
/// ```
/// use towline_core::Price;
///
/// let price = Price::per_million(3.0, 15.0)?.with_cached_input(0.3)?;
/// assert_eq!((price.input(), price.output(), price.cached_input()), (3_000_000, 15_000_000, 300_000));
/// # Ok::<(), towline_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Price {
    input: u64,
    output: u64,
    cached_input: Option<u64>,
}

impl Price {
    /// So many dollars for a million tokens of input, and for a million of output. What is less than a millionth is rounded.
    ///
    /// # Errors
    ///
    /// `price` unless both lie between 0 and 1,000,000.
    pub fn per_million(input: f64, output: f64) -> Result<Self, InvalidConfig> {
        Ok(Self { input: micros(input)?, output: micros(output)?, cached_input: None })
    }

    /// The same price, with so many dollars for a million tokens of input that the provider had in its cache. Default: as other
    /// input.
    ///
    /// # Errors
    ///
    /// `price` unless it lies between 0 and 1,000,000.
    pub fn with_cached_input(self, cached: f64) -> Result<Self, InvalidConfig> {
        Ok(Self { cached_input: Some(micros(cached)?), ..self })
    }

    /// Of a million tokens of input, in millionths of a dollar.
    #[must_use]
    pub const fn input(&self) -> u64 {
        self.input
    }

    /// Of a million tokens of output, in millionths of a dollar.
    #[must_use]
    pub const fn output(&self) -> u64 {
        self.output
    }

    /// Of a million tokens of input that was cached, in millionths of a dollar.
    #[must_use]
    pub fn cached_input(&self) -> u64 {
        self.cached_input.unwrap_or(self.input)
    }
}

fn micros(dollars: f64) -> Result<u64, InvalidConfig> {
    if (0.0..=1e6).contains(&dollars) {
        // In range, as was just checked.
        return Ok((dollars * 1e6).round() as u64);
    }
    Err(InvalidConfig::new("price", "must lie between 0 and 1,000,000 dollars for a million tokens"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_exact_to_a_millionth_of_a_dollar() -> Result<(), InvalidConfig> {
        let price = Price::per_million(0.1, 0.000_000_6)?;
        assert_eq!((price.input(), price.output(), price.cached_input()), (100_000, 1, 100_000));
        assert_eq!(Price::per_million(0.0, 1e6)?.output(), 1_000_000_000_000);
        Ok(())
    }

    #[test]
    fn a_price_that_is_none_is_refused() -> Result<(), InvalidConfig> {
        for wrong in [-0.1, 1_000_001.0, f64::NAN, f64::INFINITY] {
            for refused in [Price::per_million(wrong, 1.0), Price::per_million(1.0, wrong)] {
                assert_eq!(refused.map_err(|e| e.field()), Err("price"));
            }
            assert!(Price::per_million(1.0, 1.0)?.with_cached_input(wrong).is_err());
        }
        Ok(())
    }
}
