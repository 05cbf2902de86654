//! Exemplars: single observations of a series, with labels that lead to what was observed.

use std::cmp::Ordering;

use super::Labels;

/// Characters that the names and values of an exemplar's labels may have together, as OpenMetrics says.
pub const MAX_EXEMPLAR_CHARACTERS: usize = 128;

/// One exemplar.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Of the observation, mostly the id of a trace; not those of the series.
    pub labels: Labels,
    /// What was observed.
    pub value: f64,
    /// When, in milliseconds since the Unix epoch.
    pub timestamp: i64,
}

impl Exemplar {
    /// The order in which a series keeps them: time, value, labels.
    pub fn order(&self, other: &Self) -> Ordering {
        let by_value = || self.value.partial_cmp(&other.value).unwrap_or(Ordering::Equal);
        let by_time = self.timestamp.cmp(&other.timestamp);
        by_time.then_with(by_value).then_with(|| self.labels.cmp(&other.labels))
    }

    /// Whether the two say the same, bit for bit.
    pub fn is_same(&self, other: &Self) -> bool {
        self.timestamp == other.timestamp && self.is_same_observation(other)
    }

    /// Whether the two say the same, times aside.
    pub fn is_same_observation(&self, other: &Self) -> bool {
        self.value.to_bits() == other.value.to_bits() && self.labels == other.labels
    }

    /// Characters of the names and values of its labels.
    pub fn characters(&self) -> usize {
        self.labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum()
    }
}

/// Brings the exemplars of one series into their order and leaves out what is there twice.
pub fn sort_exemplars(exemplars: &mut Vec<Exemplar>) {
    exemplars.sort_by(|a, b| a.order(b).then_with(|| a.value.to_bits().cmp(&b.value.to_bits())));
    exemplars.dedup_by(|a, b| a.is_same(b));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_sorted_and_kept_once() {
        let one = |timestamp, value, id: &str| Exemplar {
            labels: Labels::from_pairs([("trace_id", id)]),
            value,
            timestamp,
        };
        let nan = one(2, f64::NAN, "x");
        let mut all =
            vec![one(2, 1.0, "b"), nan.clone(), one(1, 9.0, "a"), one(2, 1.0, "a"), one(2, 1.0, "b"), nan];
        sort_exemplars(&mut all);
        let shown: Vec<_> = all.iter().map(|e| (e.timestamp, e.labels.get("trace_id"))).collect();
        assert_eq!(shown.first(), Some(&(1, Some("a"))));
        assert_eq!(shown.len(), 4, "{shown:?}");
        assert_eq!(one(0, 0.0, "\u{e9}\u{e9}").characters(), 10);
    }
}
