//! `info()`: labels of info series added to the series they describe.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::model::{Labels, LabelsBuf, METRIC_NAME, Matcher};
use crate::promql::error::Error;
use crate::promql::exec::Context;
use crate::promql::exec::batch::{Batch, Presence, ROW_WORK, Row, braced};
use crate::promql::memory::Ticket;

/// Labels by which a series and its info series find each other.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// No info series.
const NONE: usize = usize::MAX;

/// What `info()` is asked for.
pub(crate) struct InfoOp<'p> {
    /// Conditions on the names of info series.
    pub(crate) names: &'p [Matcher],
    /// Conditions on their other labels; if there are any, only these labels are copied.
    pub(crate) data: &'p [Matcher],
    pub(crate) steps: usize,
}

/// Info series of one name with the same identifying labels, and which of them counts at each step.
struct Candidates {
    winners: Vec<usize>,
}

/// Info series by name, then by identifying labels.
type Index = BTreeMap<String, HashMap<Labels, Candidates>>;

fn identity(labels: &Labels) -> Labels {
    labels.without(|name| !IDENTIFYING.contains(&name))
}

impl InfoOp<'_> {
    /// The rows of `base` with the labels of `info`, whose values are the times of their samples in milliseconds.
    pub(crate) fn run(&self, base: &[Row], info: &[Row], cx: &Context<'_>) -> Result<Batch, Error> {
        let mut there = Presence::none(self.steps);
        for row in base {
            there.union(&row.present);
        }
        let info: Vec<&Row> = self.relevant(base, info);
        let mut memory = cx.reserve(0)?;
        let index = self.index(&info, &there, &mut memory, cx)?;
        let mut known: HashMap<Labels, usize> = HashMap::new();
        let mut out: Batch = Vec::new();
        for row in base {
            cx.check()?;
            let candidates = self.candidates(row, &index);
            cx.work(self.steps)?;
            let winner_count = candidates.len();
            let mut last: Option<(Vec<usize>, Option<usize>)> = None;
            for at in row.present.iter() {
                let winners: Vec<usize> = candidates.iter().map(|c| c.winners[at]).collect();
                let target = match &last {
                    Some((same, target)) if *same == winners => *target,
                    _ => match self.labels(row, &winners, &info)? {
                        None => None,
                        Some(labels) => Some(match known.entry(labels) {
                            Entry::Occupied(slot) => *slot.get(),
                            Entry::Vacant(slot) => {
                                let mut fresh = cx.row(slot.key().clone(), self.steps)?;
                                fresh.drop_name = row.drop_name;
                                out.push(fresh);
                                *slot.insert(out.len() - 1)
                            }
                        }),
                    },
                };
                last = Some((winners, target));
                let Some(target) = target else { continue };
                if out[target].present.get(at) {
                    return Err(Error::DuplicateLabels);
                }
                out[target].put_element(at, row.existing(at), cx)?;
                cx.work(winner_count)?;
            }
        }
        cx.release(base.iter().map(Row::count).sum());
        cx.hold(out.iter().map(Row::count).sum())?;
        Ok(out)
    }

    /// Whether a series is an info series itself, which stays as it is.
    fn is_info(&self, row: &Row) -> bool {
        let name = row.labels.metric_name();
        self.names.iter().all(|matcher| matcher.matches(name))
    }

    /// Info series whose identifying labels occur in the base.
    fn relevant<'a>(&self, base: &[Row], info: &'a [Row]) -> Vec<&'a Row> {
        let values = |label: &str| -> BTreeSet<&str> {
            base.iter().filter(|row| !self.is_info(row)).filter_map(|row| row.labels.get(label)).collect()
        };
        let wanted = IDENTIFYING.map(|label| (label, values(label)));
        if wanted.iter().all(|(_, values)| values.is_empty()) {
            return Vec::new();
        }
        let fits = |row: &&Row| {
            wanted.iter().all(|(label, values)| {
                values.is_empty() || values.contains(row.labels.get(label).unwrap_or(""))
            })
        };
        info.iter().filter(fits).collect()
    }

    fn index(
        &self,
        info: &[&Row],
        there: &Presence,
        memory: &mut Ticket,
        cx: &Context<'_>,
    ) -> Result<Index, Error> {
        let mut index = Index::new();
        for (at, row) in info.iter().enumerate() {
            cx.work(self.steps + ROW_WORK)?;
            let of_name = index.entry(row.labels.metric_name().to_owned()).or_default();
            let candidates = match of_name.entry(identity(&row.labels)) {
                Entry::Occupied(slot) => slot.into_mut(),
                Entry::Vacant(slot) => {
                    cx.grow(memory, self.steps * size_of::<usize>() + 2 * row.labels.packed_len())?;
                    slot.insert(Candidates { winners: vec![NONE; self.steps] })
                }
            };
            for step in row.present.iter().filter(|step| there.get(*step)) {
                if row.histogram(step).is_some() {
                    return Err(Error::Execution("info sample should be float".to_owned()));
                }
                let winner = &mut candidates.winners[step];
                let Some(other) = info.get(*winner) else {
                    *winner = at;
                    continue;
                };
                let (newest, time) = (other.values[step], row.values[step]);
                if newest == time {
                    return Err(Error::Execution(format!(
                        "found duplicate series for info metric: existing {} @ {newest}, new {} @ {time}",
                        braced(&other.labels),
                        braced(&row.labels)
                    )));
                }
                if time > newest {
                    *winner = at;
                }
            }
        }
        Ok(index)
    }

    fn candidates<'a>(&self, row: &Row, index: &'a Index) -> Vec<&'a Candidates> {
        if self.is_info(row) {
            return Vec::new();
        }
        let identity = identity(&row.labels);
        index.values().filter_map(|of_name| of_name.get(&identity)).collect()
    }

    /// The labels of a base series with those of its info series; nothing when it has none but needs one.
    fn labels(&self, row: &Row, winners: &[usize], info: &[&Row]) -> Result<Option<Labels>, Error> {
        if self.is_info(row) {
            return Ok(Some(row.labels.clone()));
        }
        let found: Vec<&&Row> = winners.iter().filter_map(|at| info.get(*at)).collect();
        if found.is_empty() && !self.data.iter().all(Matcher::matches_empty) {
            return Ok(None);
        }
        let mut added = LabelsBuf::new();
        for info in found {
            for (name, value) in &info.labels {
                let asked = self.data.is_empty() || self.data.iter().any(|m| m.name() == name);
                if name == METRIC_NAME || !asked {
                    continue;
                }
                if added.get(name).is_some_and(|other| other != value) {
                    return Err(Error::Execution(format!("conflicting label: {name}")));
                }
                if row.labels.get(name).is_none() {
                    added.set(name, value);
                }
            }
        }
        let mut buf = LabelsBuf::new();
        buf.reset_to(&row.labels);
        for (name, value) in added.iter() {
            buf.set(name, value);
        }
        Ok(Some(buf.to_labels()))
    }
}
