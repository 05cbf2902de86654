//! One compiled rule.

use crate::model::{Labels, METRIC_NAME};
use crate::promql::Expr;
use crate::template::Template;

use super::alert::Timing;

/// A rule, with its query and texts parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The name of the series, or of the alert.
    pub name: String,
    /// The parsed query.
    pub expr: Expr,
    /// The query as it is shown: the parsed one printed.
    pub query: String,
    /// Labels that are added, those of the group among them; of an alerting rule with templates as they are written.
    pub labels: Labels,
    /// Set for an alerting rule.
    pub alerting: Option<Alerting>,
}

/// What an alerting rule has beside.
#[derive(Debug, Clone, PartialEq)]
pub struct Alerting {
    /// How long states last.
    pub timing: Timing,
    /// Labels of alerts, by name.
    pub labels: Vec<(String, Template)>,
    /// Annotations of alerts, by name.
    pub annotations: Vec<(String, Template)>,
    /// Annotations as they are written.
    pub annotation_texts: Labels,
}

impl Rule {
    /// What stays the same as long as it is the same rule, whatever its query: state is handed on by this.
    pub fn identity(&self) -> String {
        format!("{}{}", self.name, self.labels)
    }

    /// Labels of a series that a recording rule writes for one with the labels `found`.
    pub(super) fn recorded(&self, found: &Labels) -> Labels {
        let mut buffer = crate::model::LabelsBuf::new();
        buffer.reset_to(found);
        buffer.set(METRIC_NAME, &self.name);
        for (name, value) in &self.labels {
            buffer.set(name, value);
        }
        buffer.to_labels()
    }
}
