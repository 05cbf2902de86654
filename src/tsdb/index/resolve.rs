//! Matchers -> postings.
//!
//! **Cost**: equality and sets of literals are look-ups; other expressions look at those values of their label that
//! start as the expression does, once each. The smallest postings are intersected first. Expressions may take seconds, so
//! an index behind a lock is asked by [`Patterns`], which looks at values while nobody holds it.

use std::ops::ControlFlow;

use roaring::{MultiOps as _, RoaringBitmap};

use super::{LabelSource, Postings};
use crate::model::{MatchOp, Matcher};
use crate::storage::{StorageError, Watch};

/// Steps of matching, see [`Matcher::effort`], between two looks whether to go on.
const STEPS: usize = 1 << 16;

/// Steps that are taken while an index is locked: some milliseconds at most.
const STEPS_LOCKED: usize = 1 << 19;

/// How often values that came meanwhile are looked at while the index is not locked, for each matcher.
const MAX_ROUNDS: usize = 8;

/// What is said of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Is(bool),
    /// That has to be found out first; the other values are asked nevertheless.
    Later,
    /// Nobody wants to know.
    Never,
}

/// Tells whether a value passes the matcher of this number. Of each matcher values are asked in order.
type Ask<'a> = dyn FnMut(usize, &str) -> Answer + 'a;

/// Numbers of the series for which all of `matchers` hold.
///
/// # Errors
/// When `watch` says no.
pub fn resolve(
    index: &dyn LabelSource,
    matchers: &[Matcher],
    watch: Watch<'_>,
) -> Result<RoaringBitmap, StorageError> {
    watch.check(0)?;
    let mut meter = Meter { steps: 0, bytes: 0, watch };
    let mut ask = |number: usize, value: &str| match meter.matches(&matchers[number], value) {
        Ok(said) => Answer::Is(said),
        Err(_) => Answer::Never,
    };
    find(index, matchers, &mut ask).ok_or(StorageError::GivenUp)
}

/// Asks its watch every so many steps.
struct Meter<'a> {
    steps: usize,
    bytes: usize,
    watch: Watch<'a>,
}

impl Meter<'_> {
    fn matches(&mut self, matcher: &Matcher, value: &str) -> Result<bool, StorageError> {
        self.steps = self.steps.saturating_add(matcher.effort(value.len()));
        if self.steps >= STEPS {
            self.steps = 0;
            self.watch.check(self.bytes)?;
        }
        let go_on = || self.watch.check(self.bytes).is_ok();
        matcher.matches_while(value, &go_on).map_err(|_| StorageError::GivenUp)
    }
}

/// The series for which all of `matchers` hold; none if an answer is missing.
fn find(index: &dyn LabelSource, matchers: &[Matcher], ask: &mut Ask<'_>) -> Option<RoaringBitmap> {
    // First what narrows down, then what takes away: a matcher that accepts "" also accepts absent labels,
    // so it is answered by the series it rejects.
    let mut found: Vec<Postings<'_>> = Vec::with_capacity(matchers.len());
    let mut allowing = Vec::new();
    for (number, matcher) in matchers.iter().enumerate() {
        let accepts_none = match ask(number, "") {
            Answer::Is(said) => said,
            Answer::Later | Answer::Never => return None,
        };
        if accepts_none {
            allowing.push(number);
            continue;
        }
        let postings = with_value(index, (number, matcher), true, ask)?;
        if postings.is_empty() {
            return Some(RoaringBitmap::new());
        }
        found.push(postings);
    }
    found.sort_by_key(|postings| postings.len());
    let mut found = found.into_iter();
    let mut kept = found.next().unwrap_or_else(|| index.all()).into_owned();
    for postings in found {
        kept &= &*postings;
    }
    for number in allowing {
        if kept.is_empty() {
            break;
        }
        kept -= &*with_value(index, (number, &matchers[number]), false, ask)?;
    }
    Some(kept)
}

/// The series that have the label with a value for which the matcher says `wanted`; none if an answer is missing.
fn with_value<'a>(
    index: &'a dyn LabelSource,
    (number, matcher): (usize, &Matcher),
    wanted: bool,
    ask: &mut Ask<'_>,
) -> Option<Postings<'a>> {
    let literals = matcher.regex().and_then(|r| r.literals());
    let positive = matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex);
    // What the text or the expression itself selects, as against all other values.
    let named = positive == wanted;
    match literals {
        _ if named && matcher.regex().is_none() => Some(index.postings(matcher.name(), matcher.value())),
        Some(set) if named => {
            let all: Vec<Postings<'a>> = set.iter().map(|v| index.postings(matcher.name(), v)).collect();
            Some(Postings::Owned(all.iter().map(|postings| &**postings).union()))
        }
        _ => {
            let prefix = if named { matcher.regex().map_or("", |r| r.prefix()) } else { "" };
            let mut all: Vec<Postings<'a>> = Vec::new();
            let mut missing = false;
            index.each_value(matcher.name(), prefix, &mut |value, postings| {
                match ask(number, value) {
                    Answer::Is(said) if said == wanted && !missing => all.push(postings()),
                    Answer::Is(_) => {}
                    Answer::Later => missing = true,
                    Answer::Never => {
                        missing = true;
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            });
            (!missing).then(|| Postings::Owned(all.iter().map(|postings| &**postings).union()))
        }
    }
}

/// Texts in order.
#[derive(Default)]
struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end)
    }

    fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

/// Values that a matcher was asked about, in order, and what it said.
#[derive(Default)]
struct Known {
    values: Texts,
    said: Vec<bool>,
    /// The first value that was not asked again in this round.
    next: usize,
}

impl Known {
    /// What was said of `value`, which is behind those asked in this round.
    fn look_up(&mut self, value: &str) -> Option<bool> {
        while let Some(known) = self.values.get(self.next) {
            match known.cmp(value) {
                std::cmp::Ordering::Less => self.next += 1,
                std::cmp::Ordering::Equal => return Some(self.said[self.next]),
                std::cmp::Ordering::Greater => return None,
            }
        }
        None
    }

    /// Adds others.
    fn add(&mut self, others: &Known) {
        let mut joined = Self::default();
        let (mut mine, mut theirs) = (0, 0);
        loop {
            let (from, at) = match (self.values.get(mine), others.values.get(theirs)) {
                (None, None) => break,
                (Some(one), Some(other)) if one > other => (others, &mut theirs),
                (Some(_), _) => (&*self, &mut mine),
                (None, Some(_)) => (others, &mut theirs),
            };
            joined.values.push(from.values.get(*at).unwrap_or_default());
            joined.said.push(from.said[*at]);
            *at += 1;
        }
        *self = joined;
    }
}

/// Matchers on their way to postings of an index behind a lock. Whoever holds the lock asks for the series; if there are
/// values whose answer would take long, they are noted, the lock is given back, they are looked at, and the index is
/// asked again.
pub struct Patterns<'m> {
    matchers: &'m [Matcher],
    known: Vec<Known>,
    /// Values that were noted, of the matcher of this number.
    open: (usize, Texts),
    rounds: usize,
}

impl<'m> Patterns<'m> {
    /// Nothing is known yet.
    pub fn new(matchers: &'m [Matcher]) -> Self {
        let known = matchers.iter().map(|_| Known::default()).collect();
        Self { matchers, known, open: (0, Texts::default()), rounds: 0 }
    }

    /// Numbers of the series for which all matchers hold; none if [`Patterns::answer`] has to be called first.
    pub fn resolve(&mut self, index: &dyn LabelSource) -> Option<RoaringBitmap> {
        // Values that come faster than they are looked at do not keep a request for ever.
        let often = self.rounds > MAX_ROUNDS.saturating_mul(self.matchers.len() + 1);
        self.rounds += 1;
        self.ask(index, if often { usize::MAX } else { STEPS_LOCKED })
    }

    /// The same at once, however long it takes.
    pub fn resolve_now(&mut self, index: &dyn LabelSource) -> RoaringBitmap {
        self.ask(index, usize::MAX).unwrap_or_default()
    }

    fn ask(&mut self, index: &dyn LabelSource, mut steps: usize) -> Option<RoaringBitmap> {
        let Self { matchers, known, open, .. } = self;
        known.iter_mut().for_each(|known| known.next = 0);
        let mut ask = |number: usize, value: &str| {
            if let Some(said) = known[number].look_up(value) {
                return Answer::Is(said);
            }
            let matcher = &matchers[number];
            if let Some(left) = steps.checked_sub(matcher.effort(value.len())) {
                steps = left;
                return Answer::Is(matcher.matches(value));
            }
            open.0 = number;
            open.1.push(value);
            Answer::Later
        };
        find(index, matchers, &mut ask)
    }

    /// Looks at the values that were noted. No lock is to be held.
    ///
    /// # Errors
    /// When `watch` says no.
    pub fn answer(&mut self, watch: Watch<'_>) -> Result<(), StorageError> {
        let (number, values) = std::mem::take(&mut self.open);
        let bytes = self.known.iter().map(|known| known.values.bytes() + known.said.len()).sum::<usize>();
        let mut meter = Meter { steps: 0, bytes: bytes + 2 * values.bytes(), watch };
        watch.check(meter.bytes)?;
        let mut asked = Known { values, ..Known::default() };
        while let Some(value) = asked.values.get(asked.said.len()) {
            let said = meter.matches(&self.matchers[number], value)?;
            asked.said.push(said);
        }
        if let Some(known) = self.known.get_mut(number) {
            known.add(&asked);
        }
        Ok(())
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
            let found = resolve(&index, &matchers, Watch::NONE).expect("nobody says no");
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{matchers:?}");
            // As behind a lock, with values that are there in one round and not in the other.
            let mut patterns = Patterns::new(&matchers);
            let part =
                Plain(index.0.iter().filter(|(n, _)| *n % 3 == 0).map(|(n, l)| (*n, l.clone())).collect());
            for source in [&part, &index, &part] {
                while patterns.ask(source, 0).is_none() {
                    patterns.answer(Watch::NONE).expect("nobody says no");
                }
            }
            let again = patterns.ask(&index, 0).or_else(|| {
                patterns.answer(Watch::NONE).expect("nobody says no");
                patterns.ask(&index, 0)
            });
            assert_eq!(again.expect("all is known").iter().collect::<Vec<_>>(), expected, "{matchers:?}");
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

    #[test]
    fn a_slow_expression_ends_when_nobody_waits_and_is_not_asked_behind_a_lock() {
        let slow: Vec<String> = (0..400).map(|n| format!(".{{0,20}}a{n}")).collect();
        let matchers = [Matcher::new("name", MatchOp::Regex, slow.join("|")).expect("matcher")];
        let labels = |n: u32| (n, Labels::from_pairs([("name", format!("{n:b}").repeat(100))]));
        let index = Plain((0..200).map(labels).collect());
        let asked = std::cell::Cell::new(0);
        let watch = |_: usize| asked.replace(asked.get() + 1) < 3;
        assert!(matches!(resolve(&index, &matchers, Watch(&watch)), Err(StorageError::GivenUp)));
        assert_eq!(asked.get(), 4);
        let mut patterns = Patterns::new(&matchers);
        assert!(patterns.resolve(&index).is_none());
        assert!(patterns.open.1.ends.len() > 190, "a few are looked at behind the lock at most");
        assert!(matches!(patterns.answer(Watch(&|_| false)), Err(StorageError::GivenUp)));
    }
}
