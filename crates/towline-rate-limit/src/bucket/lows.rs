//! The low points of what a bucket lacks: how much of a charge there still is to give back.

/// For each charge: the least that the bucket has lacked since.
///
/// Without a charge of `c` the bucket would lack `c` less ever since, but never less than nothing. So what is left to
/// give back is `c` or the least that it has lacked since then, whichever is smaller. What it lacks grows by charges
/// and shrinks in between, so its low points lie just before charges, and of those only the ones that no later one
/// undercuts can matter: a list that rises in both columns.
///
/// It has room for [`MOST`] entries from the start and never needs more. When it is full, close neighbours are merged
/// at their lowest value, which can only make a refund smaller: after a burst of a thousand at once, each given back,
/// less than a tenth is lost.
#[derive(Debug)]
pub(super) struct Lows(Vec<Low>);

#[derive(Clone, Copy, Debug)]
struct Low {
    /// How many charges had been made before this point.
    after: u64,
    missing: u128,
}

pub(super) const MOST: usize = 64;

impl Lows {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(MOST))
    }

    /// Notes that `missing` is lacking after the first `after` charges.
    #[inline]
    pub(super) fn note(&mut self, after: u64, missing: u128) {
        let low = Low { after, missing };
        match &mut self.0[..] {
            // As when each request finds the bucket full.
            [only] if missing <= only.missing => *only = low,
            _ => self.note_behind(low),
        }
    }

    fn note_behind(&mut self, low: Low) {
        // Behind those that it does not undercut.
        let place = self.0.iter().rposition(|other| other.missing < low.missing).map_or(0, |before| before + 1);
        if let Some(undercut) = self.0.get_mut(place) {
            *undercut = low;
            self.0.truncate(place + 1);
            return;
        }
        if self.0.len() == MOST {
            self.thin();
        }
        self.0.push(low);
    }

    /// Takes charge number `nth` of `units`, counted from 0, out of the history, and tells how much that gives back
    /// now.
    ///
    /// The point of now must have been noted before.
    pub(super) fn give_back(&mut self, nth: u64, units: u128) -> u128 {
        let since = self.0.partition_point(|low| low.after <= nth);
        let Some(least) = self.0.get(since).map(|low| low.missing) else { return 0 };
        let back = least.min(units);
        self.0.iter_mut().skip(since).for_each(|low| low.missing -= back);
        // Earlier points that are not below the changed ones have been undercut.
        let below = self.0.partition_point(|low| low.after <= nth && low.missing < least - back);
        self.0.drain(below..since);
        back
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Merges what lies close together; half of the room is free afterwards.
    fn thin(&mut self) {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return };
        let step = (last.missing - first.missing) / (MOST as u128 / 2);
        self.0.dedup_by(|next, kept| {
            let near = next.missing - kept.missing <= step;
            if near {
                kept.after = next.after;
            }
            near
        });
    }
}
