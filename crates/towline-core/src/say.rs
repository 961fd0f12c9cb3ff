//! Numbers as people write them, for what a layer tells of its settings.

use std::{fmt, time::Duration};

/// A length of time as people write it: `250 ms`, `1.5 s`, `2 min`, `1 h 30 min`.
///
/// To the millisecond, which is finer than any setting needs; what is shorter than one is written as [`Duration`]'s `Debug` does.
///
/// ```
/// use std::time::Duration;
/// use towline_core::say;
///
/// assert_eq!(say::time(Duration::from_secs(90)).to_string(), "1 min 30 s");
/// ```
#[must_use]
pub const fn time(time: Duration) -> Time {
    Time(time)
}

/// A number of bytes as people write it: `64 KiB`, `32 MiB`, `1000 bytes` where no unit divides it.
#[must_use]
pub const fn size(bytes: u64) -> Size {
    Size(bytes)
}

/// Displays a length of time. Made by [`time`].
#[derive(Clone, Copy, Debug)]
pub struct Time(Duration);

/// Displays a number of bytes. Made by [`size`].
#[derive(Clone, Copy, Debug)]
pub struct Size(u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, millis) = (self.0.as_secs(), self.0.subsec_millis());
        match (secs, millis) {
            (0, 0) if self.0.is_zero() => f.write_str("0 s"),
            (0, 0) => write!(f, "{:?}", self.0),
            (0, _) => write!(f, "{millis} ms"),
            (..60, 1..) => write!(f, "{} s", format!("{secs}.{millis:03}").trim_end_matches('0')),
            _ => parts(f, secs, millis),
        }
    }
}

fn parts(f: &mut fmt::Formatter<'_>, secs: u64, millis: u32) -> fmt::Result {
    let units = [(secs / 86_400, "d"), (secs / 3600 % 24, "h"), (secs / 60 % 60, "min"), (secs % 60, "s"), (millis.into(), "ms")];
    let mut between = "";
    for (n, unit) in units.into_iter().filter(|(n, _)| *n > 0) {
        write!(f, "{between}{n} {unit}")?;
        between = " ";
    }
    Ok(())
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.into_iter().find(|(unit, _)| self.0 >= *unit && self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{} {name}", self.0 / unit),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_write_them() {
        let said = [
            0, 1, 250, 999, 1000, 1500, 2250, 59_999, 60_000, 90_000, 600_000, 3_600_000, 5_400_000, 86_400_000, 90_061_001,
            60_500,
        ]
        .map(|millis| time(Duration::from_millis(millis)).to_string());
        let written = ["0 s", "1 ms", "250 ms", "999 ms", "1 s", "1.5 s", "2.25 s", "59.999 s", "1 min", "1 min 30 s", "10 min"];
        assert_eq!(said[..11], written);
        assert_eq!(said[11..], ["1 h", "1 h 30 min", "1 d", "1 d 1 h 1 min 1 s 1 ms", "1 min 500 ms"]);
        assert_eq!(time(Duration::from_micros(20)).to_string(), "20µs");
    }

    #[test]
    fn sizes_are_written_in_the_largest_unit_that_divides_them() {
        let said = [0, 1000, 1024, 65_536, 32 << 20, 3 << 30, (1 << 20) + 1].map(|bytes| size(bytes).to_string());
        assert_eq!(said, ["0 bytes", "1000 bytes", "1 KiB", "64 KiB", "32 MiB", "3 GiB", "1048577 bytes"]);
    }
}
