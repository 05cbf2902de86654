//! Reloads.

use super::*;
use crate::config::{LoadOptions, parse};
use crate::model::Matcher;
use crate::net::SystemResolver;
use crate::receivers::silence::Silence;
use crate::util::SystemClock;

const ON: &str = "notifications: {route: {receiver: a}, receivers: [{name: a}]}";

struct Bench {
    receivers: Receivers,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// Must be called within a runtime.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = ReceiverOptions {
            folder: folder.path().join("notifications"),
            external_url: String::new(),
            resend_delay: Duration::ZERO,
        };
        let dialer = Arc::new(Dialer::new(Arc::new(SystemResolver::new(None))));
        let receivers = Receivers::new(dialer, options, Arc::new(SystemClock), &mut Registry::default());
        Self { receivers, _folder: folder }
    }

    fn load(&self, text: &str) {
        let config = parse(text, "f.yml", &LoadOptions::default()).expect(text);
        let prepared = self.receivers.prepare(&config, Duration::ZERO).expect("prepared");
        self.receivers.commit(prepared);
    }
}

#[tokio::test]
async fn what_is_written_late_is_in_the_file_after_notification_was_off() {
    let bench = Bench::new();
    bench.load(ON);
    let store = {
        let state = lock(&bench.receivers.shared.state);
        Arc::clone(&state.as_ref().expect("on").store)
    };
    let silence = |id: &str| Silence {
        id: id.to_owned(),
        matchers: vec![Matcher::equal("a", "b")],
        starts_at_ms: 0,
        ends_at_ms: i64::MAX,
        updated_at_ms: 0,
        created_by: String::new(),
        comment: String::new(),
    };
    store.silences(&[silence("early")]).expect("written");
    bench.load("");
    // What has begun before ends when notification is on again.
    bench.load(ON);
    store.silences(&[silence("late")]).expect("written");
    bench.load("");
    bench.load(ON);
    assert!(bench.receivers.handle().silence("late").expect("on").is_some());
    bench.receivers.shared.compact();
    let reopened = Store::open(&bench.receivers.options.folder).expect("opens").known(0).1;
    assert!(reopened.get("late").is_some(), "also after a restart");
}
