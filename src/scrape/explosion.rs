//! What a target has so many series of: the metric with most of them, and its label with most values.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;

use crate::model::{LabelsBuf, METRIC_NAME};

/// More metric names than this are not told apart: then it is the names that explode.
const MAX_NAMES: usize = 20_000;
/// Values of labels of a metric that are told apart, over all labels.
const MAX_VALUES: usize = 200_000;

/// The metric with most series, and its label with most values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explosion {
    /// Name of the metric.
    pub metric: String,
    /// Its series.
    pub series: u64,
    /// The label; none if the metric has no label with more than one value.
    pub label: Option<String>,
    /// Different values of that label, or as many as are told apart.
    pub values: u64,
}

/// Finds it in two looks at all series: `each` calls what it is given with the labels of every one of them.
pub(super) fn find(mut each: impl FnMut(&mut dyn FnMut(&LabelsBuf))) -> Option<Explosion> {
    let mut by_name: HashMap<String, u64> = HashMap::new();
    each(&mut |labels| {
        let name = labels.metric_name();
        if let Some(count) = by_name.get_mut(name) {
            *count += 1;
        } else if by_name.len() < MAX_NAMES {
            by_name.insert(name.to_owned(), 1);
        }
    });
    // Of equal ones always the same.
    let (metric, series) = by_name.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)))?;
    let mut values: HashMap<String, HashSet<u64>> = HashMap::new();
    let mut room = MAX_VALUES;
    each(&mut |labels| {
        if labels.metric_name() != metric {
            return;
        }
        for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
            if room == 0 {
                return;
            }
            let hash = FixedState::default().hash_one(value);
            let is_new = match values.get_mut(name) {
                Some(known) => known.insert(hash),
                None => values.insert(name.to_owned(), HashSet::from([hash])).is_none(),
            };
            room -= usize::from(is_new);
        }
    });
    let most = values.into_iter().map(|(name, known)| (name, known.len() as u64));
    let most = most.filter(|(_, values)| *values > 1);
    let most = most.max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)));
    let (label, values) = most.map_or((None, 1), |(name, values)| (Some(name), values));
    Some(Explosion { metric, series, label, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(series: &[&[(&str, &str)]]) -> Option<Explosion> {
        find(|look| {
            for labels in series {
                let mut buffer = LabelsBuf::new();
                labels.iter().for_each(|(name, value)| buffer.set(name, value));
                look(&buffer);
            }
        })
    }

    #[test]
    fn is_the_metric_with_most_series_and_its_label_with_most_values() {
        let found = of(&[
            &[(METRIC_NAME, "a"), ("user", "1"), ("code", "200")],
            &[(METRIC_NAME, "b"), ("other", "1")],
            &[(METRIC_NAME, "a"), ("user", "2"), ("code", "200")],
            &[(METRIC_NAME, "b"), ("other", "2")],
            &[(METRIC_NAME, "a"), ("user", "3"), ("code", "500")],
        ]);
        let label = Some("user".to_owned());
        assert_eq!(found, Some(Explosion { metric: "a".into(), series: 3, label, values: 3 }));
    }

    #[test]
    fn a_metric_without_varying_labels_has_none() {
        let found = of(&[&[(METRIC_NAME, "b"), ("x", "1")], &[(METRIC_NAME, "a"), ("x", "1")]]);
        assert_eq!(found, Some(Explosion { metric: "a".into(), series: 1, label: None, values: 1 }));
        assert_eq!(of(&[]), None);
    }
}
