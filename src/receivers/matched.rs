//! Which silences match which alerts, kept for each alert: a set of places of silences.
//!
//! Whether a silence matches an alert depends on neither the time nor other alerts, so it is found once: for an alert when
//! it comes in ([`Survey`]), for a silence when it is made ([`Matched`]). Both take long where there are many, so both are
//! done without a lock, on what was copied before.
//!
//! Neither asks silences that are over, and both are bounded by time: a survey hands back what it has found until then, a
//! silence that takes longer is refused.
//!
//! **Cost**: for each alert a bit for each silence at most. A survey looks up the silences that name the value of a label,
//! and asks each expression once for each value of its label.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::places::PlaceSet;
use super::silence::{Silence, passes};
use crate::model::{Labels, MatchOp, Matcher, Stopped};

/// Alerts and pairs of alert and silence of one survey at most: some tenths of a second.
const MAX_ALERTS: usize = 1_000;
const MAX_PAIRS: usize = 500_000;

/// No further alert is begun with after so long.
pub(super) const SURVEY_TIME: Duration = Duration::from_millis(100);

/// Alerts of which it is not known yet what silences them, in the order in which they came in.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    numbers: HashMap<Labels, u64>,
    in_order: BTreeMap<u64, Labels>,
    last: u64,
}

impl Unknown {
    pub(super) fn insert(&mut self, labels: &Labels) {
        if !self.contains(labels) {
            self.last += 1;
            self.numbers.insert(labels.clone(), self.last);
            self.in_order.insert(self.last, labels.clone());
        }
    }

    pub(super) fn remove(&mut self, labels: &Labels) {
        if let Some(number) = self.numbers.remove(labels) {
            self.in_order.remove(&number);
        }
    }

    pub(super) fn retain(&mut self, stays: impl Fn(&Labels) -> bool) {
        self.in_order.retain(|_, labels| stays(labels));
        self.numbers.retain(|labels, _| stays(labels));
    }

    pub(super) fn clear(&mut self) {
        self.numbers.clear();
        self.in_order.clear();
    }

    pub(super) fn contains(&self, labels: &Labels) -> bool {
        self.numbers.contains_key(labels)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Those that came in first come first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Labels> {
        self.in_order.values()
    }
}

/// Alerts of which it is not known yet what silences them, and the silences of the moment.
#[derive(Debug)]
pub(super) struct Survey {
    alerts: Vec<Labels>,
    silences: Vec<(u16, Arc<Silence>)>,
}

/// What a survey found of each alert, and among which silences.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub(super) alerts: Vec<(Labels, PlaceSet)>,
    silences: Vec<(u16, Arc<Silence>)>,
}

impl Survey {
    /// As many of `alerts` as one survey looks at; none if there are none.
    pub(super) fn new<'a>(
        alerts: impl Iterator<Item = &'a Labels>,
        silences: Vec<(u16, Arc<Silence>)>,
    ) -> Option<Self> {
        let most = (MAX_PAIRS / silences.len().max(1)).clamp(1, MAX_ALERTS);
        let alerts: Vec<Labels> = alerts.take(most).cloned().collect();
        (!alerts.is_empty()).then_some(Self { alerts, silences })
    }

    /// Looks at the first of them, and at others while less than `time` has passed.
    pub(super) fn run(self, time: Duration) -> Surveyed {
        let began = Instant::now();
        let Self { alerts, silences } = self;
        let mut index = Index::new(&silences);
        let mut sets: Vec<PlaceSet> = Vec::with_capacity(alerts.len());
        for labels in &alerts {
            if !sets.is_empty() && began.elapsed() >= time {
                break;
            }
            sets.push(index.of(labels));
        }
        Surveyed { alerts: alerts.into_iter().zip(sets).collect(), silences }
    }
}

impl Surveyed {
    /// Looks at the silences among `now` that were made since. What that would take longer for than `time` is dropped, but
    /// for the first alert.
    pub(super) fn catch_up(&mut self, now: &[(u16, Arc<Silence>)], time: Duration) {
        let began = Instant::now();
        let known: HashMap<u16, &str> =
            self.silences.iter().map(|(place, silence)| (*place, silence.id.as_str())).collect();
        let new: Vec<_> =
            now.iter().filter(|(place, silence)| known.get(place) != Some(&silence.id.as_str())).collect();
        let mut done = 0;
        for (labels, places) in &mut self.alerts {
            if done > 0 && began.elapsed() >= time {
                break;
            }
            for (place, silence) in &new {
                places.set(*place, silence.matches(labels));
            }
            done += 1;
        }
        self.alerts.truncate(done);
    }
}

/// Silences, found by one of their matchers that an alert without the label does not pass.
struct Index<'a> {
    silences: HashMap<u16, &'a Silence>,
    /// By label and value.
    exact: HashMap<(&'a str, &'a str), Vec<u16>>,
    /// By label.
    others: HashMap<&'a str, Vec<(&'a Matcher, u16)>>,
    /// Those of `others` that a value of a label passes, once that was asked.
    asked: HashMap<(&'a str, &'a str), Vec<u16>>,
    /// Those without such a matcher.
    unnamed: Vec<u16>,
}

impl<'a> Index<'a> {
    fn new(silences: &'a [(u16, Arc<Silence>)]) -> Self {
        let mut index = Self {
            silences: silences.iter().map(|(place, silence)| (*place, silence.as_ref())).collect(),
            exact: HashMap::new(),
            others: HashMap::new(),
            asked: HashMap::new(),
            unnamed: Vec::new(),
        };
        for (place, silence) in silences {
            let needs_label = || silence.matchers.iter().filter(|matcher| !matcher.matches_empty());
            match needs_label()
                .find(|matcher| matcher.op() == MatchOp::Equal)
                .or_else(|| needs_label().next())
            {
                Some(m) if m.op() == MatchOp::Equal => {
                    index.exact.entry((m.name(), m.value())).or_default().push(*place);
                }
                Some(m) => index.others.entry(m.name()).or_default().push((m, *place)),
                None => index.unnamed.push(*place),
            }
        }
        index
    }

    /// The silences that match an alert with `labels`.
    fn of(&mut self, labels: &'a Labels) -> PlaceSet {
        let mut found = PlaceSet::default();
        let mut check = |places: &[u16]| {
            for place in places {
                if self.silences.get(place).is_some_and(|silence| silence.matches(labels)) {
                    found.set(*place, true);
                }
            }
        };
        check(&self.unnamed);
        for pair in labels {
            if let Some(places) = self.exact.get(&pair) {
                check(places);
            }
            if let Some(others) = self.others.get(pair.0) {
                let ask = || {
                    let passes =
                        others.iter().filter(|(matcher, _)| passes(matcher, pair.1, &|| true) == Ok(true));
                    passes.map(|(_, place)| *place).collect()
                };
                check(self.asked.entry(pair).or_insert_with(ask));
            }
        }
        found
    }
}

/// Which of some alerts a silence matches.
#[derive(Debug, Default)]
pub(super) struct Matched(HashMap<Labels, bool>);

impl Matched {
    /// Asks about all of `alerts`.
    ///
    /// # Errors
    /// When it takes longer than `time`, or an expression is too large for the value of a label.
    pub(super) fn new(silence: &Silence, alerts: Vec<Labels>, time: Duration) -> Result<Self, Stopped> {
        let began = Instant::now();
        let go_on = || began.elapsed() < time;
        let one = |labels: Labels| {
            if !go_on() {
                return Err(Stopped);
            }
            let is_matched = silence.matches_while(&labels, &go_on)?;
            Ok((labels, is_matched))
        };
        alerts.into_iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it matches the alert with `labels`; none if that was not asked.
    pub(super) fn of(&self, labels: &Labels) -> Option<bool> {
        self.0.get(labels).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parse_matchers;

    #[test]
    fn an_index_finds_what_asking_each_silence_finds() {
        let texts = [
            r#"a="1""#,
            r#"a="1",b="2""#,
            r#"a=~"1|2""#,
            r#"a=~"1|2",b!="2""#,
            r#"b!="",a!="1""#,
            r#"b=~".+",c="""#,
            r#"a!~"1|""#,
            r#"c=~"x.*""#,
            // Silences in old files may name no label that must be there.
            r#"c!="x""#,
        ];
        let silence = |text: &str| Silence {
            id: text.to_owned(),
            matchers: parse_matchers(text).expect("matchers"),
            starts_at_ms: 0,
            ends_at_ms: 0,
            updated_at_ms: 0,
            created_by: String::new(),
            comment: String::new(),
        };
        let silences: Vec<_> = texts
            .iter()
            .zip((0_u16..).step_by(40))
            .map(|(text, place)| (place, Arc::new(silence(text))))
            .collect();
        let values = ["", "1", "2", "x", "x1"];
        let mut alerts = Vec::new();
        for a in values {
            for b in values {
                for c in values {
                    let pairs = [("a", a), ("b", b), ("c", c), ("alertname", "A")];
                    alerts.push(Labels::from_pairs(
                        pairs.iter().copied().filter(|(_, value)| !value.is_empty()),
                    ));
                }
            }
        }
        let mut expected = PlaceSet::default();
        silences.iter().for_each(|(place, _)| expected.set(*place, true));
        let early = Survey::new(alerts.iter(), silences[..4].to_vec()).expect("alerts");
        let mut caught_up = early.run(SURVEY_TIME * 100);
        caught_up.catch_up(&silences, SURVEY_TIME * 100);
        let found = Survey::new(alerts.iter(), silences.clone()).expect("alerts").run(SURVEY_TIME * 100);
        for ((labels, places), (_, later)) in found.alerts.iter().zip(&caught_up.alerts) {
            let found: Vec<u16> = places.both(&expected).collect();
            let plain = silences.iter().filter(|(_, silence)| silence.matches(labels));
            assert_eq!(found, plain.map(|(place, _)| *place).collect::<Vec<_>>(), "{labels:?}");
            assert_eq!(found, later.both(&expected).collect::<Vec<_>>(), "{labels:?}");
        }
    }

    #[test]
    fn one_survey_is_bounded() {
        let alerts: Vec<Labels> = (0..2_000).map(|n| Labels::from_pairs([("a", n.to_string())])).collect();
        let run = |silences| Survey::new(alerts.iter(), silences).expect("alerts").alerts.len();
        assert_eq!(run(Vec::new()), MAX_ALERTS);
        let silence = Arc::new(Silence {
            id: String::new(),
            matchers: Vec::new(),
            starts_at_ms: 0,
            ends_at_ms: 0,
            updated_at_ms: 0,
            created_by: String::new(),
            comment: String::new(),
        });
        assert_eq!(run(vec![(0, silence); 5_000]), 100);
        assert!(Survey::new([].iter(), Vec::new()).is_none());
    }

    #[test]
    fn a_survey_that_takes_long_hands_back_what_it_has() {
        let mut unknown = Unknown::default();
        let labels = |n: u32| Labels::from_pairs([("a", n.to_string())]);
        (0..100).rev().for_each(|n| unknown.insert(&labels(n)));
        unknown.insert(&labels(99));
        let next = |unknown: &Unknown| {
            let found = Survey::new(unknown.iter(), Vec::new()).expect("alerts").run(Duration::ZERO);
            found.alerts.into_iter().map(|(labels, _)| labels).collect::<Vec<_>>()
        };
        // One at least, and that which came in first; the same of what has to be looked at again.
        let mut found = Survey::new(unknown.iter(), Vec::new()).expect("alerts").run(SURVEY_TIME * 100);
        found.catch_up(&[], Duration::ZERO);
        assert_eq!(found.alerts.len(), 1);
        assert_eq!(next(&unknown), [labels(99)]);
        unknown.remove(&labels(99));
        unknown.retain(|labels| labels.get("a") != Some("98"));
        unknown.insert(&labels(99));
        assert_eq!(next(&unknown), [labels(97)]);
        assert!(unknown.contains(&labels(99)) && !unknown.contains(&labels(98)));
        unknown.clear();
        assert!(unknown.is_empty() && unknown.iter().next().is_none());
    }

    #[test]
    fn a_silence_is_not_asked_for_longer_than_it_may() {
        let silence = Silence {
            id: String::new(),
            matchers: parse_matchers("a=b").expect("matchers"),
            starts_at_ms: 0,
            ends_at_ms: 0,
            updated_at_ms: 0,
            created_by: String::new(),
            comment: String::new(),
        };
        let alerts = || vec![Labels::from_pairs([("a", "b")]), Labels::from_pairs([("a", "c")])];
        assert!(Matched::new(&silence, alerts(), Duration::ZERO).is_err());
        let matched = Matched::new(&silence, alerts(), SURVEY_TIME * 100).expect("quick");
        let asked = ["b", "c", "d"].map(|value| matched.of(&Labels::from_pairs([("a", value)])));
        assert_eq!(asked, [Some(true), Some(false), None]);
    }
}
