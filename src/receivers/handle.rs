//! What the API may ask and do. Cheap to clone, usable from any thread.

use std::fmt;
use std::sync::Arc;

use super::alert::HeldAlert;
use super::engine::{AlertView, GroupView};
use super::history::Delivered;
use super::shared::{Active, ChangeError, OFF, Shared};
use super::silence::{Silence, SilenceRequest};
use crate::config::NotificationsConfig;
use crate::model::Labels;
use crate::util::brief;
use crate::util::lock::lock;

/// There is no section `notifications`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{OFF}")]
pub(crate) struct Off;

/// Why nothing was tested.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TestError {
    #[error(transparent)]
    Off(#[from] Off),
    #[error("there is no receiver {0:?}")]
    NoReceiver(String),
    #[error("too many tests are under way, try again later")]
    TooMany,
}

/// Why alerts that were posted were not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PostError {
    #[error(transparent)]
    Off(#[from] Off),
    /// Nobody would be told of them.
    #[error(
        "receivers are silent, because Alertmanagers are configured: post alerts there, or set alongside_alertmanagers"
    )]
    Silent,
    #[error("{0} alerts were not taken: their labels are too long")]
    TooLong(u64),
    #[error("{0} alerts were not taken: there are too many alerts or groups of them")]
    Full(u64),
}

/// An alert that somebody posts.
#[derive(Debug, Clone)]
pub(crate) struct PostedAlert {
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    /// In milliseconds since the Unix epoch, like the next one.
    pub(crate) starts_at_ms: Option<i64>,
    /// Without one the alert ends some time after it was last heard of.
    pub(crate) ends_at_ms: Option<i64>,
    pub(crate) generator_url: String,
}

/// The receivers of this server.
#[derive(Clone)]
pub struct ReceiversHandle(pub(super) Arc<Shared>);

impl fmt::Debug for ReceiversHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiversHandle").finish_non_exhaustive()
    }
}

impl ReceiversHandle {
    /// How often notification panicked and was begun again.
    pub fn restarts(&self) -> u64 {
        self.0.metrics.panics.count()
    }

    fn with<T>(&self, look: impl FnOnce(&Active, i64) -> T) -> Result<T, Off> {
        let now = self.0.clock.now_ms();
        lock(&self.0.state).as_ref().map(|active| look(active, now)).ok_or(Off)
    }

    /// The section as it is live, and whether rules' alerts are left to Alertmanagers.
    pub(crate) fn config(&self) -> Result<(Arc<NotificationsConfig>, bool), Off> {
        self.with(|active, _| (Arc::clone(active.engine.config()), active.is_silent))
    }

    /// The alerts that are not resolved, in the order of their fingerprints.
    pub(crate) fn alerts(&self) -> Result<Vec<AlertView>, Off> {
        self.with(|active, now| active.engine.alerts(now))
    }

    /// The groups with their alerts that are not resolved.
    pub(crate) fn groups(&self) -> Result<Vec<GroupView>, Off> {
        self.with(|active, now| active.engine.groups(now))
    }

    /// All silences.
    pub(crate) fn silences(&self) -> Result<Vec<Arc<Silence>>, Off> {
        self.with(|active, _| active.engine.silences.iter().cloned().collect())
    }

    /// The silence of that name.
    pub(crate) fn silence(&self, id: &str) -> Result<Option<Arc<Silence>>, Off> {
        self.with(|active, _| active.engine.silences.get(id))
    }

    /// Makes or changes a silence, durably. Waits for the disk.
    pub(crate) fn set_silence(&self, request: &SilenceRequest) -> Result<Silence, ChangeError> {
        self.0.set_silence(request)
    }

    /// Ends a silence, durably. Waits for the disk.
    pub(crate) fn expire_silence(&self, id: &str) -> Result<Silence, ChangeError> {
        self.0.expire_silence(id)
    }

    /// The last deliveries, the newest first.
    pub(crate) fn deliveries(&self) -> Vec<Arc<Delivered>> {
        lock(&self.0.history).newest()
    }

    /// The last delivery to an integration of a receiver: its place there and its kind.
    pub(crate) fn last_delivery(&self, receiver: &str, place: usize, kind: &str) -> Option<Arc<Delivered>> {
        lock(&self.0.history).last(receiver, place, kind)
    }

    /// Takes alerts from elsewhere. May take some tenths of a second.
    ///
    /// # Errors
    /// When receivers are off or silent, or some of the alerts were not taken; the others were.
    pub(crate) fn post(&self, alerts: Vec<PostedAlert>) -> Result<(), PostError> {
        let (config, is_silent) = self.config()?;
        if is_silent {
            return Err(PostError::Silent);
        }
        let now = self.0.clock.now_ms();
        let timeout = i64::try_from(config.resolve_timeout.as_millis()).unwrap_or(i64::MAX);
        let held = alerts.into_iter().map(|alert| {
            let ends_at = alert.ends_at_ms.unwrap_or_else(|| now.saturating_add(timeout));
            // One that is over began before it ended.
            let starts_at = alert.starts_at_ms.unwrap_or_else(|| now.min(ends_at));
            HeldAlert {
                labels: alert.labels,
                annotations: alert.annotations,
                starts_at,
                ends_at,
                end_is_assumed: alert.ends_at_ms.is_none(),
                updated_at: now,
                generator_url: alert.generator_url,
            }
        });
        let (too_long, full) = self.0.take(held);
        // Whoever looks next finds alerts as they are, where they are not very many.
        self.0.survey_first();
        match (too_long, full) {
            (0, 0) => Ok(()),
            (too_long, 0) => Err(PostError::TooLong(too_long)),
            (too_long, full) => Err(PostError::Full(too_long + full)),
        }
    }

    /// Tells each integration of the receiver called `name` of a made-up alert, now.
    pub(crate) async fn test(&self, name: &str) -> Result<Vec<Arc<Delivered>>, TestError> {
        let found = self.with(|active, now| {
            let receiver = active.engine.config().receiver(name).cloned();
            receiver.map(|receiver| (receiver, active.outside.clone(), now))
        })?;
        let (receiver, outside, now) = found.ok_or_else(|| TestError::NoReceiver(brief(name)))?;
        let alert = HeldAlert {
            labels: Labels::from_pairs([("alertname", "TestNotification"), ("severity", "none")]),
            annotations: Labels::from_pairs([(
                "summary",
                "Somebody asked this server for a notification to see whether it arrives.",
            )]),
            starts_at: now,
            ends_at: i64::MAX,
            end_is_assumed: false,
            updated_at: now,
            generator_url: String::new(),
        };
        self.0.test(receiver, outside, alert).await.ok_or(TestError::TooMany)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receivers::deliver::Outside;
    use crate::receivers::engine::Engine;
    use crate::receivers::metrics::ReceiverMetrics;
    use crate::receivers::store::Store;
    use crate::telemetry::Registry;
    use crate::util::SystemClock;

    fn alert(name: &str) -> PostedAlert {
        PostedAlert {
            labels: Labels::from_pairs([("alertname", name)]),
            annotations: Labels::empty(),
            starts_at_ms: None,
            ends_at_ms: None,
            generator_url: String::new(),
        }
    }

    /// A handle of receivers that are on.
    fn handle() -> (ReceiversHandle, tempfile::TempDir) {
        let shared = Shared::new(ReceiverMetrics::new(&mut Registry::default()), Arc::new(SystemClock));
        let handle = ReceiversHandle(Arc::new(shared));
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("opens");
        let (log, silences) = store.known(0);
        let text = "notifications: {route: {receiver: a}, receivers: [{name: a}]}";
        let config = crate::config::parse(text, "f.yml", &crate::config::LoadOptions::default());
        let config = config.expect("a configuration").notifications.expect("the section");
        let outside = Outside { clients: Arc::default(), external_url: String::new() };
        let active = Active::new(Engine::new(config, log, silences), Arc::new(store), outside, false);
        *lock(&handle.0.state) = Some(active);
        (handle, folder)
    }

    #[test]
    fn whoever_posts_hears_what_was_not_taken() {
        let shared = Shared::new(ReceiverMetrics::new(&mut Registry::default()), Arc::new(SystemClock));
        let handle = ReceiversHandle(Arc::new(shared));
        assert_eq!(handle.post(vec![alert("A")]), Err(PostError::Off(Off)));
        let (handle, _folder) = self::handle();
        lock(&handle.0.state).as_mut().expect("there").is_silent = true;
        assert_eq!(handle.post(vec![alert("A")]), Err(PostError::Silent));
        lock(&handle.0.state).as_mut().expect("there").is_silent = false;
        let long = alert(&"x".repeat(1 << 20));
        assert_eq!(handle.post(vec![alert("A"), long, alert("B")]), Err(PostError::TooLong(1)));
        assert_eq!(handle.alerts().expect("on").len(), 2);
        let many = (0..20_000).map(|number| alert(&number.to_string())).collect();
        assert_eq!(handle.post(many), Err(PostError::Full(2)));
    }

    #[test]
    fn many_alerts_are_not_waited_for_by_whoever_posts_them() {
        use crate::model::Matcher;
        use crate::receivers::silence::SilenceRequest;
        let (handle, _folder) = handle();
        let now = handle.0.clock.now_ms();
        let silence = |value: &str| SilenceRequest {
            id: None,
            matchers: vec![Matcher::equal("alertname", value)],
            starts_at_ms: now,
            ends_at_ms: now + 3_600_000,
            created_by: "me".to_owned(),
            comment: "why".to_owned(),
        };
        handle.set_silence(&silence("1")).expect("kept");
        let named = |names: std::ops::Range<u32>| names.map(|number| alert(&number.to_string())).collect();
        let unknown = || handle.alerts().expect("on").iter().filter(|view| !view.is_known).count();
        handle.post(named(0..10)).expect("taken");
        assert_eq!(unknown(), 0);
        handle.post(named(10..5_000)).expect("taken");
        assert_eq!(unknown(), 3_990, "one survey looks at a thousand");
        assert!(handle.0.begins_surveys() && !handle.0.begins_surveys());
        handle.0.survey_all();
        handle.0.end_surveys();
        assert!(unknown() == 0 && !handle.0.begins_surveys());
        handle.set_silence(&silence("2")).expect("kept");
        assert_eq!(handle.alerts().expect("on").iter().filter(|view| view.is_suppressed()).count(), 2);
    }

    #[test]
    fn a_silence_that_takes_long_to_match_is_refused_without_keeping_others_waiting() {
        use crate::model::parse_matchers;
        use crate::receivers::silence::{SilenceError, SilenceRequest};
        let (handle, _folder) = handle();
        let labels = Labels::from_pairs([("alertname", "A"), ("l", &"a".repeat(14 << 10))]);
        handle.post(vec![PostedAlert { labels, ..alert("A") }]).expect("taken");
        let now = handle.0.clock.now_ms();
        let request = SilenceRequest {
            id: None,
            matchers: parse_matchers("l=~\"(.*a){1000}\"").expect("matchers"),
            starts_at_ms: now,
            ends_at_ms: now + 3_600_000,
            created_by: "me".to_owned(),
            comment: "why".to_owned(),
        };
        let (done, ends) = std::sync::mpsc::channel();
        // Another change is under way.
        let changing = lock(&handle.0.changes);
        let setting = std::thread::spawn({
            let handle = handle.clone();
            move || done.send(handle.set_silence(&request).map(|silence| silence.id))
        });
        let refused =
            ends.recv_timeout(std::time::Duration::from_secs(60)).expect("it does not wait for that");
        assert!(matches!(refused, Err(ChangeError::Silence(SilenceError::TooSlow))), "{refused:?}");
        drop(changing);
        setting.join().expect("ends").expect("somebody listens");
        assert!(handle.silences().expect("on").is_empty());
    }
}
