//! The routing tree, made flat: which nodes take an alert, and the group it belongs to there.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::config::{GroupBy, RouteConfig};
use crate::model::name::Quoted;
use crate::model::{Labels, Matcher};

/// A node of the tree.
#[derive(Debug)]
pub(super) struct Route {
    /// Name of the receiver.
    pub(super) receiver: Arc<str>,
    pub(super) group_by: GroupBy,
    /// In milliseconds, like the next two.
    pub(super) group_wait: i64,
    pub(super) group_interval: i64,
    pub(super) repeat_interval: i64,
    matchers: Vec<Matcher>,
    continues: bool,
    /// The matchers on the way here. Nodes beside each other may have the same.
    pub(super) key: String,
    /// The same with the places of the nodes, so that each node has another.
    pub(super) id: Arc<str>,
    below: Vec<usize>,
}

impl Route {
    /// Whether a group of `other` goes on under this node: it has the same name for receivers and in the log.
    pub(super) fn continues_groups_of(&self, other: &Self) -> bool {
        self.key == other.key && self.receiver == other.receiver && self.group_by == other.group_by
    }

    /// The labels that name the group of an alert with `labels`.
    pub(super) fn group_labels(&self, labels: &Labels) -> Labels {
        match &self.group_by {
            GroupBy::All => labels.clone(),
            GroupBy::Labels(names) => labels.without(|name| !names.iter().any(|wanted| wanted == name)),
        }
    }

    /// The key of a group, as Alertmanager writes it.
    pub(super) fn group_key(&self, group_labels: &Labels) -> String {
        let mut out = format!("{}:{{", self.key);
        for (number, (name, value)) in group_labels.iter().enumerate() {
            let _ = write!(out, "{}{name}={}", if number > 0 { ", " } else { "" }, Quoted(value));
        }
        out.push('}');
        out
    }
}

/// The tree; the root is the first node.
#[derive(Debug)]
pub(super) struct Routes(Vec<Arc<Route>>);

impl Routes {
    pub(super) fn new(config: &RouteConfig) -> Self {
        let mut all = Vec::new();
        add(&mut all, config, "", "");
        Self(all.into_iter().map(Arc::new).collect())
    }

    /// The nodes that take an alert with `labels`; at least the root.
    pub(super) fn of(&self, labels: &Labels) -> Vec<Arc<Route>> {
        let mut found = Vec::new();
        self.find(0, labels, &mut found);
        found
    }

    /// Whether the node took it, or one below. The depth of the tree is bounded by the configuration.
    fn find(&self, at: usize, labels: &Labels, found: &mut Vec<Arc<Route>>) -> bool {
        let Some(route) = self.0.get(at) else { return false };
        if !route.matchers.iter().all(|matcher| matcher.matches_labels(labels)) {
            return false;
        }
        let before = found.len();
        for below in &route.below {
            if self.find(*below, labels, found) && !self.0[*below].continues {
                break;
            }
        }
        if found.len() == before {
            found.push(Arc::clone(route));
        }
        true
    }

    /// All nodes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.0.iter()
    }
}

fn add(all: &mut Vec<Route>, config: &RouteConfig, key: &str, id: &str) -> usize {
    let matchers: Vec<String> = config.matchers.iter().map(ToString::to_string).collect();
    let own = format!("{{{}}}", matchers.join(","));
    let key = if key.is_empty() { own.clone() } else { format!("{key}/{own}") };
    let id = format!("{id}/{own}");
    let ms = |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let at = all.len();
    all.push(Route {
        receiver: config.receiver.as_str().into(),
        group_by: config.group_by.clone(),
        group_wait: ms(config.group_wait),
        group_interval: ms(config.group_interval),
        repeat_interval: ms(config.repeat_interval),
        matchers: config.matchers.clone(),
        continues: config.continues,
        key: key.clone(),
        id: id.as_str().into(),
        below: Vec::new(),
    });
    for (number, below) in config.routes.iter().enumerate() {
        let below = add(all, below, &key, &format!("{id}/{number}"));
        all[at].below.push(below);
    }
    at
}
