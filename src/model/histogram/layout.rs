//! Which buckets are written down: compaction, coarser schemas, comparing.

use super::{Buckets, Histogram, Span};

impl Buckets {
    /// Buckets from numbers and counts in rising order of numbers.
    pub fn from_numbered(numbered: impl IntoIterator<Item = (i32, f64)>) -> Self {
        let mut out = Self::default();
        let mut behind = 0i32;
        for (number, count) in numbered {
            match out.spans.last_mut() {
                Some(last) if number == behind => last.length += 1,
                Some(_) => out.spans.push(Span { offset: number.wrapping_sub(behind), length: 1 }),
                None => out.spans.push(Span { offset: number, length: 1 }),
            }
            out.counts.push(count);
            behind = number.wrapping_add(1);
        }
        out
    }

    fn is_compact(&self) -> bool {
        let apart = self.spans.iter().skip(1).all(|span| span.offset > 0);
        apart
            && self.spans.iter().all(|span| span.length > 0)
            && self.counts.iter().all(|count| *count != 0.0)
    }

    /// Drops empty buckets and joins adjacent spans.
    pub fn compact(&mut self) {
        if !self.is_compact() {
            *self = Self::from_numbered(self.numbered().filter(|(_, count)| *count != 0.0));
        }
    }

    /// Numbers and counts in a coarser schema, rising; buckets that fall together are added.
    pub fn coarser(&self, from: i32, to: i32) -> Vec<(i32, f64)> {
        let mut out: Vec<(i32, f64)> = Vec::with_capacity(self.counts.len());
        for (number, count) in self.numbered() {
            let number = coarser_number(number, from, to);
            match out.last_mut() {
                Some((last, sum)) if *last == number => *sum += count,
                _ => out.push((number, count)),
            }
        }
        out
    }

    fn same_bits(&self, other: &Self) -> bool {
        self.counts.len() == other.counts.len()
            && self
                .numbered()
                .zip(other.numbered())
                .all(|(a, b)| a.0 == b.0 && a.1.to_bits() == b.1.to_bits())
    }
}

/// Number of the bucket of schema `to` that holds bucket `number` of schema `from`, which is not coarser.
pub fn coarser_number(number: i32, from: i32, to: i32) -> i32 {
    let shift = u32::try_from(from.saturating_sub(to)).unwrap_or(0).min(31);
    (number.wrapping_sub(1) >> shift).wrapping_add(1)
}

impl Histogram {
    /// Drops empty buckets and joins adjacent spans.
    pub fn compact(&mut self) {
        self.positive.compact();
        self.negative.compact();
    }

    /// Whether both hold the same data, bit for bit. What is known of counter resets does not count.
    pub fn same_data(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.count.to_bits() == other.count.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && self.custom_values == other.custom_values
            && self.zero_threshold == other.zero_threshold
            && self.zero_count.to_bits() == other.zero_count.to_bits()
            && self.negative.same_bits(&other.negative)
            && self.positive.same_bits(&other.positive)
    }

    /// How many plain samples it weighs as much as.
    pub fn weight(&self) -> usize {
        /// Bytes of a histogram without spans, buckets and bounds; each of those adds eight.
        const FIXED: usize = 168;
        let parts = self.positive.spans.len()
            + self.positive.counts.len()
            + self.negative.spans.len()
            + self.negative.counts.len()
            + self.custom_values.len();
        (FIXED + 8 * parts + 8) / 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(spans: &[(i32, u32)], counts: &[f64]) -> Buckets {
        let spans = spans.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect();
        Buckets { spans, counts: counts.to_vec() }
    }

    #[test]
    fn compacts_to_what_is_populated() {
        let mut some = buckets(&[(-1, 3), (0, 2), (3, 1)], &[0.0, 1.0, 0.0, 2.0, 3.0, 0.0]);
        some.compact();
        assert_eq!(some, buckets(&[(0, 1), (1, 2)], &[1.0, 2.0, 3.0]));
        let mut nothing = buckets(&[(4, 2)], &[0.0, 0.0]);
        nothing.compact();
        assert_eq!(nothing, Buckets::default());
    }

    #[test]
    fn adds_what_falls_together() {
        let fine = buckets(&[(-3, 6)], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        // Pairs: (-3, -2), (-1, 0), (1, 2).
        assert_eq!(fine.coarser(1, 0), [(-1, 3.0), (0, 7.0), (1, 11.0)]);
        assert_eq!(fine.coarser(1, 1).len(), 6);
        assert_eq!(coarser_number(1, 4, 0), 1);
        assert_eq!(coarser_number(16, 4, 0), 1);
        assert_eq!(coarser_number(17, 4, 0), 2);
        assert_eq!(coarser_number(0, 4, 0), 0);
        assert_eq!(coarser_number(-16, 4, 0), -1);
    }

    #[test]
    fn weighs_as_much_as_several_samples() {
        assert_eq!(Histogram::default().weight(), 11);
        let positive = buckets(&[(0, 2)], &[1.0, 2.0]);
        assert_eq!(Histogram { positive, ..Histogram::default() }.weight(), 12);
    }
}
