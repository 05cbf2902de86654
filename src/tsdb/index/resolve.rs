//! Matchers -> postings.
//!
//! **Cost**: equality and sets of literals are look-ups; other expressions look at those values of their label that
//! start as the expression does, once each. The smallest postings are intersected first.

use std::ops::ControlFlow;

use roaring::{MultiOps as _, RoaringBitmap};

use super::{LabelSource, Postings};
use crate::model::{MatchOp, Matcher};

/// Numbers of the series for which all of `matchers` hold.
pub fn resolve(index: &dyn LabelSource, matchers: &[Matcher]) -> RoaringBitmap {
    // First what narrows down, then what takes away: a matcher that accepts "" also accepts absent labels,
    // so it is answered by the series it rejects.
    let (requiring, allowing): (Vec<_>, Vec<_>) = matchers.iter().partition(|m| !m.matches_empty());
    let mut found: Vec<Postings<'_>> = Vec::with_capacity(requiring.len());
    for matcher in requiring {
        let postings = with_value(index, matcher, true);
        if postings.is_empty() {
            return RoaringBitmap::new();
        }
        found.push(postings);
    }
    found.sort_by_key(|postings| postings.len());
    let mut found = found.into_iter();
    let mut kept = found.next().unwrap_or_else(|| index.all()).into_owned();
    for postings in found {
        kept &= &*postings;
    }
    for matcher in allowing {
        if kept.is_empty() {
            break;
        }
        kept -= &*with_value(index, matcher, false);
    }
    kept
}

/// The series that have the label with a value for which the matcher says `wanted`.
fn with_value<'a>(index: &'a dyn LabelSource, matcher: &Matcher, wanted: bool) -> Postings<'a> {
    let literals = matcher.regex().and_then(|r| r.literals());
    let positive = matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex);
    // What the text or the expression itself selects, as against all other values.
    let named = positive == wanted;
    match literals {
        _ if named && matcher.regex().is_none() => index.postings(matcher.name(), matcher.value()),
        Some(set) if named => {
            let all: Vec<Postings<'a>> = set.iter().map(|v| index.postings(matcher.name(), v)).collect();
            Postings::Owned(all.iter().map(|postings| &**postings).union())
        }
        _ => {
            let prefix = if named { matcher.regex().map_or("", |r| r.prefix()) } else { "" };
            let mut all: Vec<Postings<'a>> = Vec::new();
            index.each_value(matcher.name(), prefix, &mut |value, postings| {
                if matcher.matches(value) == wanted {
                    all.push(postings());
                }
                ControlFlow::Continue(())
            });
            Postings::Owned(all.iter().map(|postings| &**postings).union())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;
    use crate::tsdb::index::ValueVisitor;

    /// Label sets by number, looked through one by one.
    struct Plain(std::collections::BTreeMap<u32, Labels>);

    impl Plain {
        fn with(&self, which: impl Fn(&Labels) -> bool) -> Postings<'_> {
            Postings::Owned(
                self.0.iter().filter(|(_, labels)| which(labels)).map(|(number, _)| *number).collect(),
            )
        }
    }

    impl LabelSource for Plain {
        fn all(&self) -> Postings<'_> {
            self.with(|_| true)
        }
        fn postings(&self, name: &str, value: &str) -> Postings<'_> {
            self.with(|labels| labels.get(name) == Some(value))
        }
        fn each_value<'a>(&'a self, name: &str, prefix: &str, visit: &mut ValueVisitor<'a, '_>) {
            let values: std::collections::BTreeSet<&str> =
                self.0.values().filter_map(|l| l.get(name)).collect();
            for value in values.into_iter().filter(|value| value.starts_with(prefix)) {
                if visit(value, &|| self.with(|labels| labels.get(name) == Some(value))).is_break() {
                    return;
                }
            }
        }
        fn each_name(&self, _: &mut dyn FnMut(&str)) {}
    }

    #[test]
    fn agrees_with_matching_every_series() {
        let mut index = Plain(std::collections::BTreeMap::new());
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
            index.0.insert(number, labels.clone());
            series.push(labels);
        }
        for number in (0..60u32).step_by(4) {
            index.0.remove(&number);
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
