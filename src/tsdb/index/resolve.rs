//! Matchers -> postings.
//!
//! **Cost**: equality and sets of literals are look-ups; other expressions look at each value of their label once.

use roaring::{MultiOps as _, RoaringBitmap};

use super::LabelIndex;
use crate::model::{MatchOp, Matcher};

/// Numbers of the series for which all of `matchers` hold.
pub fn resolve(index: &LabelIndex, matchers: &[Matcher]) -> RoaringBitmap {
    let mut kept: Option<RoaringBitmap> = None;
    // First what narrows down, then what takes away: a matcher that accepts "" also accepts absent labels,
    // so it is answered by the series it rejects.
    let (requiring, allowing): (Vec<_>, Vec<_>) = matchers.iter().partition(|m| !m.matches_empty());
    for matcher in requiring {
        let found = with_matching_value(index, matcher);
        let next = match kept {
            None => found,
            Some(old) => old & found,
        };
        if next.is_empty() {
            return next;
        }
        kept = Some(next);
    }
    let mut kept = kept.unwrap_or_else(|| index.all().clone());
    for matcher in allowing {
        if kept.is_empty() {
            break;
        }
        kept -= with_rejected_value(index, matcher);
    }
    kept
}

/// The series that have the label with a value that matches.
fn with_matching_value(index: &LabelIndex, matcher: &Matcher) -> RoaringBitmap {
    let Some(values) = index.values(matcher.name()) else { return RoaringBitmap::new() };
    let literals = matcher.regex().and_then(|r| r.literals());
    match (matcher.op(), literals) {
        (MatchOp::Equal, _) => values.get(matcher.value()).cloned().unwrap_or_default(),
        (MatchOp::Regex, Some(set)) => set.iter().filter_map(|v| values.get(v.as_str())).union(),
        _ => values.iter().filter(|(v, _)| matcher.matches(v)).map(|(_, p)| p).union(),
    }
}

/// The series that have the label with a value that does not match.
fn with_rejected_value(index: &LabelIndex, matcher: &Matcher) -> RoaringBitmap {
    let Some(values) = index.values(matcher.name()) else { return RoaringBitmap::new() };
    let literals = matcher.regex().and_then(|r| r.literals());
    match (matcher.op(), literals) {
        (MatchOp::NotEqual, _) => values.get(matcher.value()).cloned().unwrap_or_default(),
        (MatchOp::NotRegex, Some(set)) => set.iter().filter_map(|v| values.get(v.as_str())).union(),
        _ => values.iter().filter(|(v, _)| !matcher.matches(v)).map(|(_, p)| p).union(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    #[test]
    fn agrees_with_matching_every_series() {
        let mut index = LabelIndex::new();
        let mut series = Vec::new();
        for number in 0..60u32 {
            let mut pairs = vec![("__name__".to_owned(), format!("m{}", number % 3))];
            if number % 2 == 0 {
                pairs.push(("job".to_owned(), format!("j{}", number % 5)));
            }
            if number % 7 == 0 {
                pairs.push(("zone".to_owned(), "z".to_owned()));
            }
            let labels = Labels::from_pairs(pairs);
            index.insert(number, &labels);
            series.push(labels);
        }
        for number in (0..60u32).step_by(4) {
            index.remove(number, &series[number as usize]);
        }
        let live = |number: u32| !number.is_multiple_of(4);
        let check = |matchers: &[(&str, MatchOp, &str)]| {
            let matchers: Vec<Matcher> =
                matchers.iter().map(|(n, op, v)| Matcher::new(*n, *op, *v).expect("matcher")).collect();
            let expected: Vec<u32> = (0..60)
                .filter(|n| live(*n) && matchers.iter().all(|m| m.matches_labels(&series[*n as usize])))
                .collect();
            assert_eq!(resolve(&index, &matchers).iter().collect::<Vec<_>>(), expected, "{matchers:?}");
        };
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        check(&[]);
        check(&[("__name__", Equal, "m1")]);
        check(&[("__name__", Regex, "m1|m2|nope"), ("job", NotEqual, "j1")]);
        check(&[("job", Equal, "")]);
        check(&[("job", NotEqual, "")]);
        check(&[("job", Regex, ".*")]);
        check(&[("job", Regex, ".+"), ("zone", NotRegex, "z|y")]);
        check(&[("job", NotRegex, "j[12]"), ("__name__", Regex, "m.")]);
        check(&[("absent", Equal, "x")]);
        check(&[("absent", NotEqual, "x")]);
        check(&[("zone", Regex, "z?")]);
    }
}
