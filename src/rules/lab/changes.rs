//! Which recorded series a proposal changes, and which rules write them.
//!
//! A recording rule is the same if its name, query, labels, interval, offset and limit are. Compared are the proposed
//! groups and the loaded ones that they replace, both ways; what reads a changed series is changed itself. Rules of
//! other groups that write series of the same names go on, and are evaluated too.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::error::Error;
use super::proposal::Settings;
use crate::lanes::Turn;
use crate::model::{METRIC_NAME, Matcher};
use crate::promql;
use crate::rules::load::GroupSpec;
use crate::rules::rule::Rule;

type OfGroup<'a> = (&'a GroupSpec, &'a Rule);

/// What a proposal does to recorded series.
pub(super) struct Changes<'a> {
    /// Names of series that are, or may be, other ones.
    names: BTreeSet<&'a str>,
    /// The rules that write those of them that proposed alerts look at, in the order in which they are evaluated.
    pub(super) rules: Vec<OfGroup<'a>>,
    /// Names of those of which no rule is left.
    pub(super) gone: Vec<&'a str>,
}

/// The series a rule may look at, by the matchers of their name; none for all.
struct Reads(Option<Vec<Vec<Matcher>>>);

impl Reads {
    fn of(rule: &Rule) -> Self {
        let of_name = |mut matchers: Vec<Matcher>| {
            matchers.retain(|matcher| matcher.name() == METRIC_NAME);
            matchers
        };
        Self(promql::selectors(&rule.expr).ok().map(|all| all.into_iter().map(of_name).collect()))
    }

    fn may_read(&self, name: &str) -> bool {
        let Some(selectors) = &self.0 else { return true };
        selectors.iter().any(|matchers| matchers.iter().all(|matcher| matcher.matches(name)))
    }

    fn any<'n>(&self, names: impl IntoIterator<Item = &'n &'n str>) -> bool {
        names.into_iter().any(|name| self.may_read(name))
    }
}

/// What tells recording rules apart.
#[derive(PartialEq, Eq, Hash)]
struct Identity<'a> {
    name: &'a str,
    query: &'a str,
    labels: &'a [(String, String)],
    interval: Duration,
    offset: i64,
    limit: usize,
}

impl<'a> Changes<'a> {
    /// The changes of a proposal; `pairs` are its groups, each with the one it replaces.
    ///
    /// # Errors
    /// When the time is over.
    pub(super) fn of(
        turn: &Turn,
        settings: &Settings<'a>,
        pairs: &[(&'a GroupSpec, Option<&'a GroupSpec>)],
    ) -> Result<Self, Error> {
        let replaced = || pairs.iter().filter_map(|(_, loaded)| *loaded);
        let is_replaced = |group: &GroupSpec| replaced().any(|other| std::ptr::eq(other, group));
        let before: Vec<OfGroup<'a>> = replaced().flat_map(recording).collect();
        let after: Vec<OfGroup<'a>> = settings.proposed.iter().flat_map(recording).collect();
        let others = settings.current.iter().filter(|group| !is_replaced(group)).flat_map(recording);
        let writers: Vec<(OfGroup<'a>, Reads)> =
            after.iter().copied().chain(others).map(|one| (one, Reads::of(one.1))).collect();
        let identity = |(group, rule): &OfGroup<'a>| Identity {
            name: &rule.name,
            query: &rule.query,
            labels: &rule.labels,
            interval: group.interval,
            offset: settings.offset_of(group),
            limit: group.limit,
        };
        let [old, new] = [&before, &after].map(|rules| rules.iter().map(identity).collect::<HashSet<_>>());
        let mut names: BTreeSet<&'a str> = old.symmetric_difference(&new).map(|one| one.name).collect();
        loop {
            turn.check()?;
            let is_more = |((_, rule), reads): &&(OfGroup<'a>, Reads)| {
                !names.contains(rule.name.as_str()) && reads.any(&names)
            };
            let more: Vec<&'a str> =
                writers.iter().filter(is_more).map(|((_, rule), _)| &*rule.name).collect();
            if more.is_empty() {
                break;
            }
            names.extend(more);
        }
        // Those that alerts look at, directly or by way of others.
        let alerts = settings.proposed.iter().flat_map(|group| &group.rules);
        let alerts: Vec<Reads> = alerts.filter(|rule| rule.alerting.is_some()).map(Reads::of).collect();
        let (mut readers, mut wanted): (Vec<&Reads>, BTreeSet<&'a str>) =
            (alerts.iter().collect(), BTreeSet::new());
        while let Some(reader) = readers.pop() {
            turn.check()?;
            for name in names.iter().filter(|name| reader.may_read(name)) {
                if wanted.insert(*name) {
                    let of_name = writers.iter().filter(|((_, rule), _)| rule.name == *name);
                    readers.extend(of_name.map(|(_, reads)| reads));
                }
            }
        }
        let written: HashSet<&str> = writers.iter().map(|((_, rule), _)| rule.name.as_str()).collect();
        let gone = wanted.iter().copied().filter(|name| !written.contains(name)).collect();
        // Other groups have no order among them; those that read what is changed come behind it.
        let place = |number: usize, reads: &Reads| match number < after.len() {
            true => 1,
            false if reads.any(&wanted) => 2,
            false => 0,
        };
        let mut rules: Vec<(i32, OfGroup<'a>)> = Vec::new();
        for (number, (one, reads)) in writers.iter().enumerate() {
            if wanted.contains(one.1.name.as_str()) {
                rules.push((place(number, reads), *one));
            }
        }
        rules.sort_by_key(|(place, _)| *place);
        let rules = rules.into_iter().map(|(_, one)| one).collect();
        Ok(Self { names, rules, gone })
    }

    /// Whether a rule looks at a changed series.
    pub(super) fn touch(&self, rule: &Rule) -> bool {
        Reads::of(rule).any(&self.names)
    }
}

/// The recording rules of a group.
fn recording(group: &GroupSpec) -> impl Iterator<Item = OfGroup<'_>> {
    group.rules.iter().filter(|rule| rule.alerting.is_none()).map(move |rule| (group, rule))
}
