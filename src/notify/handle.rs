//! Where alerts come in, and what the API shows. Cheap to use from any thread.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::alert::{self, Alert};
use super::send_loop::SendLoop;
use crate::config::AlertmanagerConfig;
use crate::model::Labels;
use crate::relabel::Rule;
use crate::telemetry::Restarts;

/// The Alertmanagers at one moment, by the URLs that alerts are posted to, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alertmanagers {
    /// Those that are told.
    pub active: Vec<String>,
    /// Those that relabelling dropped.
    pub dropped: Vec<String>,
}

/// Who is told of what.
#[derive(Default)]
pub(super) struct Routing {
    pub(super) external_labels: Labels,
    pub(super) alert_relabel_configs: Vec<Rule>,
    /// Loops whose alerts are rewritten in one way.
    pub(super) routes: Vec<(Arc<AlertmanagerConfig>, Vec<Arc<SendLoop>>)>,
    pub(super) shown: Alertmanagers,
}

/// Somebody in this process who takes alerts as Alertmanagers do.
pub trait AlertSink: Send + Sync {
    /// Whether alerts are wanted now.
    fn is_open(&self) -> bool;

    /// Takes alerts, with their labels as Alertmanagers see them. Does not block.
    fn take(&self, alerts: &[Arc<Alert>]);
}

/// Takes alerts for all Alertmanagers, and for a sink in this process. Clones are cheap and mean the same.
#[derive(Clone, Default)]
pub struct NotifyHandle {
    pub(super) routing: Arc<ArcSwap<Routing>>,
    pub(super) restarts: Restarts,
    pub(super) sink: Option<Arc<dyn AlertSink>>,
}

impl NotifyHandle {
    /// Hands alerts on to every Alertmanager there is now; later states of an alert take the place of earlier ones that
    /// still wait. Never blocks: alerts without room in a queue are counted and dropped, the oldest first.
    pub fn send(&self, alerts: Vec<Alert>) {
        let routing = self.routing.load();
        let sink = self.sink.as_ref().filter(|sink| sink.is_open());
        if routing.routes.is_empty() && sink.is_none() {
            return;
        }
        let alerts: Vec<Arc<Alert>> = alerts.into_iter().map(Arc::new).collect();
        let alerts = alert::relabel(&alerts, &routing.external_labels, &routing.alert_relabel_configs);
        if let Some(sink) = sink {
            sink.take(&alerts);
        }
        for (group, loops) in &routing.routes {
            let own = alert::relabel(&alerts, &Labels::empty(), &group.alert_relabel_configs);
            if !own.is_empty() {
                loops.iter().for_each(|send_loop| send_loop.push(&own));
            }
        }
    }

    /// How often sending alerts, or looking after the Alertmanagers, panicked and was begun again.
    pub fn restarts(&self) -> u64 {
        self.restarts.count()
    }

    /// The Alertmanagers now.
    pub fn alertmanagers(&self) -> Alertmanagers {
        self.routing.load().shown.clone()
    }
}

impl std::fmt::Debug for NotifyHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotifyHandle").field("alertmanagers", &self.alertmanagers()).finish()
    }
}
