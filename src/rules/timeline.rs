//! When alerts were pending and firing, read back from the series `ALERTS` that rules write.
//!
//! Stored samples are looked at, not steps of a query: a span begins with a sample and ends with the marker that its
//! series is stale. Where there is none, as after a crash, it ends when the next state of the same alert begins, or
//! once the newest sample is older than the lookback. So it works as well on data that another server wrote.
//!
//! **Bounds**: at most [`MAX_ALERTS`] alerts and [`MAX_SPANS`] spans; what is beyond is counted.

use std::collections::HashMap;

use super::alert::AlertState;
use super::batches::{ALERT_NAME, ALERTS};
use crate::model::{Labels, LabelsBuf, METRIC_NAME, Matcher, Samples, TimeRange, is_stale};
use crate::storage::{Queryable, SelectRequest, StorageError, Watch};

/// Most alerts of a timeline.
pub const MAX_ALERTS: usize = 2_000;
/// Most spans of a timeline.
pub const MAX_SPANS: usize = 100_000;

const ALERT_STATE: &str = "alertstate";
const STATES: [AlertState; 2] = [AlertState::Pending, AlertState::Firing];

/// What is wanted of the history of alerts.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// From when to when, in milliseconds.
    pub range: TimeRange,
    /// After how many milliseconds without a sample an alert is over.
    pub lookback: i64,
    /// Names of alerts; none for all.
    pub names: &'a [String],
    /// States; none for both.
    pub states: &'a [AlertState],
    /// Selectors of which one must match a series of the alert, its name and `alertstate` included; none for all.
    pub selectors: &'a [Vec<Matcher>],
}

/// Part of the time of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Pending or firing.
    pub state: AlertState,
    /// When it began, in milliseconds, no earlier than the range.
    pub from: i64,
    /// When it ended, in milliseconds; none if it had not at the end of the range.
    pub to: Option<i64>,
    /// Whether it was so already before the range.
    pub since_before: bool,
    /// Whether its end follows from the lack of samples alone.
    is_guessed: bool,
}

impl Span {
    /// Its length within a range that ends at `end`, in milliseconds.
    pub fn length(&self, end: i64) -> i64 {
        self.to.unwrap_or(end).saturating_sub(self.from).max(0)
    }
}

/// The spans of one alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertTimeline {
    /// Its labels, `alertname` among them.
    pub labels: Labels,
    /// In the order of time.
    pub spans: Vec<Span>,
}

/// The alerts of a range.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// By name, then by labels.
    pub alerts: Vec<AlertTimeline>,
    /// Alerts that were left out.
    pub alerts_left_out: usize,
    /// Spans that were left out.
    pub spans_left_out: usize,
}

/// Reads the timeline of `source`.
///
/// # Errors
/// When data cannot be read, or `watch` says to stop.
pub fn read(source: &dyn Queryable, wanted: &Wanted<'_>, watch: Watch<'_>) -> Result<Timeline, StorageError> {
    let range = TimeRange::new(wanted.range.start.saturating_sub(wanted.lookback), wanted.range.end);
    let matchers = [Matcher::equal(METRIC_NAME, ALERTS)];
    let querier = source.querier(range)?;
    let set = querier.select(&SelectRequest { watch, ..SelectRequest::new(&matchers, range) })?;
    let mut found: HashMap<Labels, Vec<Span>> = HashMap::new();
    let (mut samples, mut timeline, mut spans) = (Samples::new(), Timeline::default(), 0);
    let mut left_out: std::collections::HashSet<Labels> = std::collections::HashSet::new();
    for index in 0..set.len() {
        watch.check(0)?;
        let series = set.labels(index);
        let Some(state) = state_of(&series) else { continue };
        let labels = alert_labels(&series);
        if !STATES.iter().any(|state| wanted.shows(&labels, *state)) {
            continue;
        }
        set.read(index, range, &mut samples)?;
        let mut more = wanted.spans(state, &samples);
        if more.is_empty() {
            continue;
        }
        let is_new = !found.contains_key(&labels);
        if is_new && found.len() >= MAX_ALERTS {
            if left_out.len() < MAX_SPANS && left_out.insert(labels) {
                timeline.alerts_left_out += 1;
            }
            continue;
        }
        let room = MAX_SPANS - spans;
        if more.len() > room {
            timeline.spans_left_out += more.len() - room;
            more.truncate(room);
        }
        spans += more.len();
        found.entry(labels).or_default().extend(more);
    }
    let alerts = found.into_iter().map(|(labels, spans)| AlertTimeline { labels, spans: in_order(spans) });
    let mut alerts: Vec<AlertTimeline> = alerts.collect();
    for alert in &mut alerts {
        let [pending, firing] = STATES.map(|state| wanted.shows(&alert.labels, state));
        alert.spans.retain(|span| if span.state == AlertState::Firing { firing } else { pending });
    }
    alerts.retain(|alert| !alert.spans.is_empty());
    let name = |alert: &AlertTimeline| alert.labels.get(ALERT_NAME).unwrap_or_default().to_owned();
    alerts.sort_by(|a, b| name(a).cmp(&name(b)).then_with(|| a.labels.cmp(&b.labels)));
    timeline.alerts = alerts;
    Ok(timeline)
}

fn alert_labels(series: &Labels) -> Labels {
    let mut buffer = LabelsBuf::new();
    buffer.reset_to(series);
    buffer.remove(METRIC_NAME);
    buffer.remove(ALERT_STATE);
    buffer.to_labels()
}

/// The state that a series tells of.
fn state_of(series: &Labels) -> Option<AlertState> {
    // Both are read whatever is wanted: one ends where the other begins.
    STATES.into_iter().find(|state| series.get(ALERT_STATE) == Some(state.name()))
}

/// Spans of both states of an alert in the order of time; none whose end is guessed lasts into the next one.
fn in_order(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.from, span.state));
    for at in 1..spans.len() {
        let next = spans[at].from;
        let span = &mut spans[at - 1];
        if span.is_guessed && span.to.is_none_or(|to| to > next) {
            span.to = Some(next);
        }
    }
    spans
}

impl Wanted<'_> {
    /// Whether spans of an alert in a state are wanted.
    fn shows(&self, alert: &Labels, state: AlertState) -> bool {
        let name = alert.get(ALERT_NAME).unwrap_or_default();
        let is_named = self.names.is_empty() || self.names.iter().any(|wanted| wanted == name);
        if !is_named || !(self.states.is_empty() || self.states.contains(&state)) {
            return false;
        }
        if self.selectors.is_empty() {
            return true;
        }
        let mut buffer = LabelsBuf::new();
        buffer.reset_to(alert);
        buffer.set(METRIC_NAME, ALERTS);
        buffer.set(ALERT_STATE, state.name());
        let series = buffer.to_labels();
        let all = |matchers: &Vec<Matcher>| matchers.iter().all(|matcher| matcher.matches_labels(&series));
        self.selectors.iter().any(all)
    }

    /// The spans that the samples of a series make up.
    fn spans(&self, state: AlertState, samples: &Samples) -> Vec<Span> {
        let TimeRange { start, end } = self.range;
        let mut spans = Vec::new();
        // The first and the last sample of the span under way.
        let mut open: Option<(i64, i64)> = None;
        let mut close = |(first, last): (i64, i64), marked: Option<i64>| {
            let over = last.saturating_add(self.lookback);
            let to = match marked {
                Some(marker) => Some(marker),
                None => (over <= end).then_some(over),
            };
            if to.is_some_and(|to| to <= start) {
                return;
            }
            let since_before = first < start;
            let from = first.max(start);
            spans.push(Span { state, from, to, since_before, is_guessed: marked.is_none() });
        };
        for (time, value) in samples.timestamps.iter().zip(&samples.values) {
            if let Some((first, last)) = open
                && time.saturating_sub(last) > self.lookback
            {
                close((first, last), None);
                open = None;
            }
            if is_stale(*value) {
                if let Some(span) = open.take() {
                    close(span, Some(*time));
                }
            } else {
                open = Some((open.map_or(*time, |(first, _)| first), *time));
            }
        }
        if let Some(span) = open {
            close(span, None);
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stale_nan;
    use crate::storage::fixed::FixedStorage;

    const LOOKBACK: i64 = 300;

    /// Adds samples at these times; one below zero is a stale marker.
    fn add(storage: &mut FixedStorage, name: &str, host: &str, state: &str, times: &[i64]) {
        let labels = [("__name__", ALERTS), ("alertname", name), ("host", host), ("alertstate", state)];
        let labels = Labels::from_pairs(labels);
        for time in times {
            storage.add(&labels, time.abs(), if *time < 0 { stale_nan() } else { 1.0 });
        }
    }

    /// Alerts as `name/host state from-to`, of a range from 1000 to 5000.
    fn told<'a>(storage: &FixedStorage, change: impl FnOnce(&mut Wanted<'a>)) -> Vec<String> {
        let range = TimeRange::new(1_000, 5_000);
        let mut wanted = Wanted { range, lookback: LOOKBACK, names: &[], states: &[], selectors: &[] };
        change(&mut wanted);
        let timeline = read(storage, &wanted, Watch::NONE).expect("a timeline");
        let text = |alert: &AlertTimeline| {
            let label = |name| alert.labels.get(name).unwrap_or_default().to_owned();
            let spans: Vec<String> = alert
                .spans
                .iter()
                .map(|span| {
                    let to = span.to.map_or_else(|| "now".to_owned(), |to| to.to_string());
                    let before = if span.since_before { "<" } else { "" };
                    format!("{} {before}{}-{to}", span.state.name(), span.from)
                })
                .collect();
            format!("{}/{} {}", label("alertname"), label("host"), spans.join(", "))
        };
        timeline.alerts.iter().map(text).collect()
    }

    #[test]
    fn spans_end_with_markers_or_the_lookback() {
        let mut storage = FixedStorage::new();
        add(&mut storage, "B", "a", "pending", &[1_200, 1_300, -1_400]);
        add(&mut storage, "B", "a", "firing", &[1_400, 1_500, 1_600, -1_700, 3_000, 3_100]);
        // The server died while it was pending, and was back when it fired.
        add(&mut storage, "A", "b", "pending", &[2_000, 2_100]);
        add(&mut storage, "A", "b", "firing", &[2_200, 2_300, 2_400, 4_900]);
        assert_eq!(
            told(&storage, |_| ()),
            [
                "A/b pending 2000-2200, firing 2200-2700, firing 4900-now",
                "B/a pending 1200-1400, firing 1400-1700, firing 3000-3400",
            ]
        );
    }

    #[test]
    fn what_was_so_before_the_range_is_told() {
        let mut storage = FixedStorage::new();
        add(&mut storage, "A", "a", "firing", &[800, 900, 1_000, 1_100, -1_200]);
        add(&mut storage, "A", "b", "firing", &[800, 900, -950]);
        add(&mut storage, "A", "c", "firing", &[750]);
        assert_eq!(told(&storage, |_| ()), ["A/a firing <1000-1200", "A/c firing <1000-1050"]);
    }

    #[test]
    fn filters_hold() {
        let mut storage = FixedStorage::new();
        for (name, host) in [("A", "a"), ("A", "b"), ("B", "a")] {
            add(&mut storage, name, host, "pending", &[2_000, -2_100]);
            add(&mut storage, name, host, "firing", &[2_100, -2_200]);
        }
        let names = ["B".to_owned()];
        assert_eq!(told(&storage, |w| w.names = &names), ["B/a pending 2000-2100, firing 2100-2200"]);
        let selectors = [vec![Matcher::equal("host", "b")]];
        assert_eq!(told(&storage, |w| w.selectors = &selectors).len(), 1);
        let of_series = [vec![
            Matcher::equal("__name__", "ALERTS"),
            Matcher::equal("alertstate", "firing"),
            Matcher::equal("host", "b"),
        ]];
        assert_eq!(told(&storage, |w| w.selectors = &of_series), ["A/b firing 2100-2200"]);
        let of_others = [vec![Matcher::equal("__name__", "up")]];
        assert_eq!(told(&storage, |w| w.selectors = &of_others), [""; 0]);
        let firing = told(&storage, |w| w.states = &[AlertState::Firing]);
        assert_eq!(firing, ["A/a firing 2100-2200", "A/b firing 2100-2200", "B/a firing 2100-2200"]);
    }
}
