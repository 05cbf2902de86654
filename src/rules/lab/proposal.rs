//! What is compared: loaded groups and proposed ones, and which of them belong together.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::play::Plan;
use crate::rules::load::GroupSpec;

/// How the groups of a comparison are played.
pub struct Settings<'a> {
    /// The range, and how much is compared. Interval, offset and limit are those of each group.
    pub plan: Plan,
    /// The offset of groups that do not say, in milliseconds.
    pub offset: i64,
    /// The groups that are loaded.
    pub current: &'a [GroupSpec],
    /// The groups that are proposed.
    pub proposed: &'a [GroupSpec],
    /// The file of the loaded groups that the proposal replaces; none for any.
    pub file: Option<&'a str>,
}

impl<'a> Settings<'a> {
    /// How far back a group looks, in milliseconds.
    pub(super) fn offset_of(&self, group: &GroupSpec) -> i64 {
        group.query_offset.map_or(self.offset, ms)
    }

    /// Proposed groups, each with the loaded one that it replaces.
    pub(super) fn pairs(&self) -> Vec<(&'a GroupSpec, Option<&'a GroupSpec>)> {
        let mut taken = HashSet::new();
        let mut pair = |proposed: &'a GroupSpec| {
            let equal =
                |loaded: &GroupSpec| loaded.rules.iter().filter(|rule| proposed.rules.contains(rule)).count();
            let found = self.namesakes(proposed).filter(|(number, _)| !taken.contains(number));
            let best = found.max_by_key(|(number, loaded)| (equal(loaded), Reverse(*number)));
            best.map(|(number, loaded)| {
                taken.insert(number);
                loaded
            })
        };
        self.proposed.iter().map(|group| (group, pair(group))).collect()
    }

    /// Loaded groups that a proposed one may replace.
    fn namesakes(&self, proposed: &'a GroupSpec) -> impl Iterator<Item = (usize, &'a GroupSpec)> {
        let all = self.current.iter().enumerate().filter(|(_, loaded)| loaded.name == proposed.name);
        all.filter(|(_, loaded)| self.file.is_none_or(|file| loaded.file == file))
    }

    /// How the rules of a group are played.
    pub(super) fn plan_of(&self, group: &GroupSpec) -> Plan {
        Plan { interval: ms(group.interval), offset: self.offset_of(group), limit: group.limit, ..self.plan }
    }
}

fn ms(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
