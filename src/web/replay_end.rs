//! The end of the replay of the log, for whoever waits for it.

use std::future::poll_fn;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use crate::tsdb::Tsdb;

/// The end of the replay, well or not. Clones wait for it together: the database knows of one waker, however many wait
/// or waited.
pub type ReplayEnd = Shared<BoxFuture<'static, ()>>;

/// The end of the replay of the log of `db`.
pub fn replay_end(db: &Arc<Tsdb>) -> ReplayEnd {
    let db = Arc::clone(db);
    shared(poll_fn(move |cx| db.poll_replayed(cx).map(|_| ())))
}

pub(super) fn shared(end: impl Future<Output = ()> + Send + 'static) -> ReplayEnd {
    end.boxed().shared()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::task::{Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn whoever_gave_up_leaves_no_waker_behind() {
        let (end, mut ends) = tokio::sync::oneshot::channel::<()>();
        let known = Arc::new(Mutex::new(Vec::<Waker>::new()));
        let seen = Arc::clone(&known);
        let end_of_replay = shared(poll_fn(move |cx| {
            let mut seen = seen.lock().expect("lock");
            if !seen.iter().any(|waker| waker.will_wake(cx.waker())) {
                seen.push(cx.waker().clone());
            }
            ends.poll_unpin(cx).map(|_| ())
        }));
        for _ in 0..100 {
            let mut waits = end_of_replay.clone();
            let task = tokio::spawn(poll_fn(move |cx| Poll::Ready(waits.poll_unpin(cx).is_pending())));
            assert!(task.await.expect("ends"), "the log is not replayed yet");
        }
        assert_eq!(known.lock().expect("lock").len(), 1);
        // Those that wait are woken all the same, although the last one that looked is gone.
        let waits = tokio::spawn(end_of_replay);
        tokio::task::yield_now().await;
        end.send(()).expect("somebody waits");
        waits.await.expect("ends");
    }
}
