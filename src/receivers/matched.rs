//! Which silences match which alerts, kept for each alert: a set of places of silences.
//!
//! Whether a silence matches an alert depends on neither the time nor other alerts, so it is found once: for an alert when
//! it comes in ([`Survey`]), for a silence when it is made ([`Matched`]). Both take long where there are many, so both are
//! done without a lock, on what was copied before.
//!
//! **Cost**: for each alert a bit for each silence at most. A survey looks up the silences that name the value of a label,
//! and asks each expression once for each value of its label.

use std::collections::HashMap;
use std::sync::Arc;

use super::places::PlaceSet;
use super::silence::Silence;
use crate::model::{Labels, MatchOp, Matcher};

/// Alerts and pairs of alert and silence of one survey at most: some tenths of a second.
const MAX_ALERTS: usize = 1_000;
const MAX_PAIRS: usize = 500_000;

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

    pub(super) fn run(self) -> Surveyed {
        let Self { alerts, silences } = self;
        let mut index = Index::new(&silences);
        let sets: Vec<PlaceSet> = alerts.iter().map(|labels| index.of(labels)).collect();
        Surveyed { alerts: alerts.into_iter().zip(sets).collect(), silences }
    }
}

impl Surveyed {
    /// Looks at the silences among `now` that were made since.
    pub(super) fn catch_up(&mut self, now: &[(u16, Arc<Silence>)]) {
        let known: HashMap<u16, &str> =
            self.silences.iter().map(|(place, silence)| (*place, silence.id.as_str())).collect();
        let new: Vec<_> =
            now.iter().filter(|(place, silence)| known.get(place) != Some(&silence.id.as_str())).collect();
        for (labels, places) in &mut self.alerts {
            for (place, silence) in &new {
                places.set(*place, silence.matches(labels));
            }
        }
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
                    let passes = others.iter().filter(|(matcher, _)| matcher.matches(pair.1));
                    passes.map(|(_, place)| *place).collect()
                };
                check(self.asked.entry(pair).or_insert_with(ask));
            }
        }
        found
    }
}

/// Which of some alerts a silence matches.
#[derive(Debug)]
pub(super) struct Matched(HashMap<Labels, bool>);

impl Matched {
    pub(super) fn new(silence: &Silence, alerts: Vec<Labels>) -> Self {
        let one = |labels: Labels| {
            let is_matched = silence.matches(&labels);
            (labels, is_matched)
        };
        Self(alerts.into_iter().map(one).collect())
    }

    /// Whether it matches the alert with `labels`, which may have come in since.
    pub(super) fn of(&self, silence: &Silence, labels: &Labels) -> bool {
        self.0.get(labels).copied().unwrap_or_else(|| silence.matches(labels))
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
        let mut caught_up = early.run();
        caught_up.catch_up(&silences);
        let found = Survey::new(alerts.iter(), silences.clone()).expect("alerts").run();
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
}
