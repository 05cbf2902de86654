//! One compiled rule.

use crate::model::{Labels, LabelsBuf, METRIC_NAME};
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
    /// Labels that are added, those of the group among them, by name; of an alerting rule with templates as they are
    /// written. An empty value removes a label.
    pub labels: Vec<(String, String)>,
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
    /// Annotations as they are written, by name.
    pub annotation_texts: Vec<(String, String)>,
}

impl Rule {
    /// What stays the same as long as it is the same rule, whatever its query: state is handed on by this.
    pub fn identity(&self) -> String {
        let labels: Vec<_> = self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!("{}{{{}}}", self.name, labels.join(", "))
    }

    /// The rule without annotations, where nobody reads them.
    pub(super) fn without_annotations(&self) -> Self {
        let mut rule = self.clone();
        if let Some(alerting) = &mut rule.alerting {
            (alerting.annotations, alerting.annotation_texts) = (Vec::new(), Vec::new());
        }
        rule
    }

    /// Labels of a series that a recording rule writes for one with the labels `found`.
    pub(super) fn recorded(&self, found: &Labels) -> Labels {
        let mut buffer = LabelsBuf::new();
        buffer.reset_to(found);
        buffer.set(METRIC_NAME, &self.name);
        for (name, value) in &self.labels {
            buffer.set(name, value);
        }
        buffer.to_labels()
    }
}
