//! The one word that a closed circuit reads: its state, its generation, and its run of failures.

/// What a circuit does with the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Closed,
    Open,
    HalfOpen,
    /// Closed again, and not yet letting everything through.
    Ramping,
    ForcedOpen,
    ForcedClosed,
}

/// A circuit's state at one moment, small enough to be read and changed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) state: State,
    /// Counts the changes of `state`, modulo 2^29; a permit of another generation changes nothing.
    pub(crate) generation: u32,
    /// How many failures there have been since the last success.
    pub(crate) run: u32,
}

const GENERATIONS: u32 = (1 << 29) - 1;
const STATES: u64 = 7;

impl Word {
    pub(crate) const CLOSED: Self = Self { state: State::Closed, generation: 0, run: 0 };

    /// The first word of the next generation.
    pub(crate) const fn next(self, state: State) -> Self {
        Self { state, generation: self.generation.wrapping_add(1) & GENERATIONS, run: 0 }
    }

    /// Whether a packed word is of a circuit that is closed, which is asked of each request.
    #[inline]
    pub(crate) const fn is_closed(bits: u64) -> bool {
        bits & (STATES << 32) == 0
    }

    /// Whether outcomes of this generation's requests can open the circuit.
    pub(crate) const fn counts(self) -> bool {
        matches!(self.state, State::Closed | State::Ramping)
    }

    #[inline]
    pub(crate) const fn pack(self) -> u64 {
        (self.generation as u64) << 35 | (self.state as u64) << 32 | self.run as u64
    }

    #[inline]
    pub(crate) const fn unpack(bits: u64) -> Self {
        let state = match bits >> 32 & STATES {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            3 => State::Ramping,
            4 => State::ForcedOpen,
            _ => State::ForcedClosed,
        };
        // Truncation is the point: the run is the low half.
        Self { state, generation: (bits >> 35) as u32, run: bits as u32 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(generation in 0..=GENERATIONS, run: u32, state in 0..6_u8) {
            let states =
                [State::Closed, State::Open, State::HalfOpen, State::Ramping, State::ForcedOpen, State::ForcedClosed];
            let word = Word { state: states[usize::from(state)], generation, run };
            prop_assert_eq!(Word::unpack(word.pack()), word);
            prop_assert_eq!(Word::is_closed(word.pack()), word.state == State::Closed);
        }
    }

    #[test]
    fn generations_come_round_rather_than_overflow() {
        let last = Word { state: State::Open, generation: GENERATIONS, run: 7 };
        assert_eq!(last.next(State::HalfOpen), Word { state: State::HalfOpen, generation: 0, run: 0 });
    }
}
