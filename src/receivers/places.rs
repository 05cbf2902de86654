//! Sets of places of silences, a bit for each.

/// Places of silences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PlaceSet(Vec<u64>);

impl PlaceSet {
    pub(super) fn set(&mut self, place: u16, is_in: bool) {
        let (word, bit) = (usize::from(place / 64), 1 << (place % 64));
        if is_in && word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word = if is_in { *word | bit } else { *word & !bit };
        }
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    /// The places that are in both.
    pub(super) fn both<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u16> + 'a {
        let words = self.0.iter().zip(&other.0).map(|(a, b)| a & b);
        words.zip((0_u16..).step_by(64)).filter(|(word, _)| *word != 0).flat_map(|(word, first)| {
            (0..64_u16).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_and_go() {
        let (mut a, mut b) = (PlaceSet::default(), PlaceSet::default());
        for place in [0, 63, 64, 4_999] {
            a.set(place, true);
        }
        assert!(!a.meets(&b) && !b.meets(&a));
        for place in [1, 63, 4_999, 5_000] {
            b.set(place, true);
        }
        assert_eq!(a.both(&b).collect::<Vec<_>>(), [63, 4_999]);
        b.set(63, false);
        b.set(60_000, false);
        assert_eq!(a.both(&b).collect::<Vec<_>>(), [4_999]);
        assert!(a.meets(&b) && b.meets(&a));
    }
}
