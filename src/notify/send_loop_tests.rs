//! Tests of one loop on paused time, against a server that does what it is told.

use std::collections::VecDeque;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout as within;

use super::*;
use crate::model::Labels;
use crate::notify::metrics::NotifyMetrics;
use crate::telemetry::Registry;
use crate::telemetry::metrics::encode;

/// What the next request comes to; a request nothing is said of succeeds.
enum Answer {
    Ok,
    Status(u16),
    Hang,
    Panic,
}

use Answer::{Hang, Panic, Status};

struct Fake {
    answers: Mutex<VecDeque<Answer>>,
    /// When a request came, and the alerts of its body with the ends they have.
    seen: mpsc::UnboundedSender<(Instant, String)>,
}

impl Post for Fake {
    fn post<'a>(&'a self, _url: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), PostError>> {
        let alerts: Vec<serde_json::Value> = serde_json::from_slice(&body).expect("a list");
        let show = |alert: &serde_json::Value| {
            let name = alert["labels"]["alertname"].as_str().expect("a name");
            let end = alert["endsAt"].as_str().expect("an end").trim_end_matches('Z');
            format!("{name}{}", &end[end.len() - 1..])
        };
        let shown: Vec<String> = alerts.iter().map(show).collect();
        self.seen.send((Instant::now(), shown.join(" "))).expect("somebody looks");
        let answer = lock(&self.answers).pop_front().unwrap_or(Answer::Ok);
        Box::pin(async move {
            match answer {
                Answer::Ok => Ok(()),
                Status(code) => {
                    Err(PostError::Status { code, text: code.to_string(), reason: String::new() })
                }
                Hang => std::future::pending().await,
                Panic => panic!("on purpose"),
            }
        })
    }
}

/// A loop that runs.
struct Started {
    send_loop: Arc<SendLoop>,
    begun: Instant,
    seen: mpsc::UnboundedReceiver<(Instant, String)>,
    end: watch::Sender<End>,
    task: JoinHandle<()>,
    registry: Registry,
}

fn start(capacity: usize, answers: impl IntoIterator<Item = Answer>) -> Started {
    start_after(std::future::ready(()), capacity, answers)
}

fn start_after(
    before: impl Future<Output = ()> + Send + 'static,
    capacity: usize,
    answers: impl IntoIterator<Item = Answer>,
) -> Started {
    let mut registry = Registry::default();
    let metrics = NotifyMetrics::new(capacity, &mut registry);
    let (sender, seen) = mpsc::unbounded_channel();
    let answers = Mutex::new(answers.into_iter().collect());
    let delivery =
        Delivery { post: Arc::new(Fake { answers, seen: sender }), timeout: Duration::from_secs(10) };
    let send_loop = Arc::new(SendLoop::new(
        "u".to_owned(),
        capacity,
        2,
        delivery,
        metrics.of("u"),
        metrics.panics.clone(),
    ));
    let (end, watch) = watch::channel(None);
    let running = Arc::clone(&send_loop);
    let task = tokio::spawn(async move { running.run(before, watch).await });
    Started { send_loop, begun: Instant::now(), seen, end, task, registry }
}

impl Started {
    /// Hands in alerts called by the letters of `names`.
    fn push(&self, names: &str, ends_at_ms: i64) {
        let alert = |name: char| {
            Arc::new(Alert::new(
                Labels::from_pairs([("alertname", name.to_string())]),
                Labels::empty(),
                (0, ends_at_ms),
                String::new(),
            ))
        };
        self.send_loop.push(&names.chars().map(alert).collect::<Vec<_>>());
    }

    /// The next request: seconds since the start, and its alerts.
    async fn next(&mut self) -> (u64, String) {
        let next = within(Duration::from_secs(3600), self.seen.recv()).await.expect("a request");
        let (at, alerts) = next.expect("it runs");
        ((at - self.begun).as_secs(), alerts)
    }

    /// Nothing is sent for an hour.
    async fn nothing(&mut self) {
        within(Duration::from_secs(3600), self.seen.recv()).await.expect_err("nothing is sent");
    }

    fn end(&self, after: Duration) {
        self.end.send(Some(Instant::now() + after)).expect("it runs");
    }

    async fn over(&mut self) -> u64 {
        within(Duration::from_secs(3600), &mut self.task).await.expect("it ends").expect("no panic");
        self.begun.elapsed().as_secs()
    }

    fn metric(&self, name: &str) -> u64 {
        let text = encode(&self.registry);
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}{{alertmanager=\"u\"}} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
    }

    /// Sent, errors, dropped, waiting.
    fn counts(&self) -> [u64; 4] {
        ["sent_total", "errors_total", "dropped_total", "queue_length"]
            .map(|name| self.metric(&format!("prometheus_notifications_{name}")))
    }
}

fn seen(at: u64, alerts: &str) -> (u64, String) {
    (at, alerts.to_owned())
}

#[tokio::test(start_paused = true)]
async fn alerts_are_sent_in_batches_in_the_order_in_which_they_came() {
    let mut it = start(10, []);
    it.push("abcde", 1);
    assert_eq!(it.counts(), [0, 0, 0, 5]);
    for batch in ["a1 b1", "c1 d1", "e1"] {
        assert_eq!(it.next().await, seen(0, batch));
    }
    it.push("a", 2);
    assert_eq!(it.next().await, seen(0, "a2"));
    it.nothing().await;
    assert_eq!(it.counts(), [6, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_batch_is_sent_again_less_and_less_often_with_what_came_meanwhile() {
    let mut it = start(10, [Status(503), Status(429), Hang, Status(500)]);
    it.push("ab", 1);
    assert_eq!(it.next().await, seen(0, "a1 b1"));
    // The firing state of an alert that was resolved meanwhile is not sent any more.
    it.push("cb", 2);
    assert_eq!(it.next().await, seen(1, "a1 b2"));
    assert_eq!(it.next().await, seen(3, "a1 b2"), "no answer for 10 s");
    it.push("a", 3);
    assert_eq!(it.next().await, seen(17, "b2 c2"));
    assert_eq!(it.next().await, seen(25, "b2 c2"));
    assert_eq!(it.next().await, seen(25, "a3"), "no pause after a success");
    it.nothing().await;
    assert_eq!(it.counts(), [3, 8, 0, 0]);
    assert_eq!(it.metric("emberkeep_notifications_superseded_total"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_not_sent_again() {
    let mut it = start(10, [Status(400), Status(301), Answer::Ok]);
    it.push("abcde", 1);
    for batch in ["a1 b1", "c1 d1", "e1"] {
        assert_eq!(it.next().await, seen(0, batch));
    }
    it.nothing().await;
    assert_eq!(it.counts(), [1, 4, 4, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_alert_is_given_up_in_the_end_and_a_newer_state_of_it_is_not() {
    let mut it = start(10, (0..9).map(|_| Status(503)));
    it.push("ab", 1);
    let mut times = Vec::new();
    for attempt in 1..=8 {
        let (at, alerts) = it.next().await;
        times.push(at);
        assert_eq!(alerts, if attempt == 8 { "a1 b2" } else { "a1 b1" });
        if attempt == 7 {
            it.push("b", 2);
        }
    }
    assert_eq!(times, [0, 1, 3, 7, 15, 31, 61, 91]);
    assert_eq!(it.next().await, seen(121, "b2"));
    assert_eq!(it.counts()[2], 1);
    assert_eq!(it.next().await, seen(151, "b2"));
    it.nothing().await;
    assert_eq!(it.counts(), [1, 17, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_full_loses_its_oldest_alerts() {
    let mut it = start(3, [Hang]);
    it.push("abcde", 1);
    assert_eq!(it.counts(), [0, 0, 2, 3]);
    assert_eq!(it.next().await, seen(0, "c1 d1"));
    it.push("fgh", 1);
    assert_eq!(it.counts(), [0, 0, 3, 3]);
    // There is no room to put back what could not be sent.
    assert_eq!(it.next().await, seen(11, "f1 g1"));
    assert_eq!(it.next().await, seen(11, "h1"));
    it.nothing().await;
    assert_eq!(it.counts(), [3, 2, 5, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_sent_before_the_end() {
    let mut it = start(10, [Status(503), Status(503), Status(503)]);
    it.push("abc", 1);
    for at in [0, 1, 3] {
        assert_eq!(it.next().await, seen(at, "a1 b1"));
    }
    // It does not wait for the end of its pause.
    tokio::task::yield_now().await;
    it.end(Duration::from_secs(5));
    assert_eq!(it.next().await, seen(3, "a1 b1"));
    assert_eq!(it.next().await, seen(3, "c1"));
    assert_eq!(it.over().await, 3);
    assert_eq!(it.counts(), [3, 6, 0, 0]);
    it.push("d", 1);
    assert_eq!(it.counts(), [3, 6, 0, 0], "nothing is taken any more");
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_in_time_whatever_the_server_does() {
    let mut it = start(10, [Hang]);
    it.push("abc", 1);
    assert_eq!(it.next().await, seen(0, "a1 b1"));
    it.end(Duration::from_secs(5));
    assert_eq!(it.over().await, 5);
    assert_eq!(it.counts(), [0, 0, 3, 0]);
    let mut it = start(10, []);
    it.end(Duration::ZERO);
    assert_eq!(it.over().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_does_not_end_the_loop() {
    let mut it = start(10, [Panic]);
    it.push("abc", 1);
    assert_eq!(it.next().await, seen(0, "a1 b1"));
    assert_eq!(it.next().await, seen(1, "c1"));
    assert_eq!(it.send_loop.panics.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_sent_in_halves() {
    let mut it = start(10, [Status(413), Status(413), Answer::Ok, Status(413)]);
    it.push("abc", 1);
    assert_eq!(it.next().await, seen(0, "a1 b1"));
    // An alert that is too large by itself is given up.
    assert_eq!(it.next().await, seen(0, "a1"));
    assert_eq!(it.next().await, seen(0, "b1"));
    assert_eq!(it.next().await, seen(0, "c1"));
    it.push("de", 1);
    assert_eq!(it.next().await, seen(0, "d1"));
    assert_eq!(it.next().await, seen(0, "e1"));
    it.nothing().await;
    assert_eq!(it.counts(), [3, 4, 2, 0]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_loop_before_is_over_nor_waited_for_beyond_the_end() {
    let (over, wait) = tokio::sync::oneshot::channel::<()>();
    let mut it = start_after(async { drop(wait.await) }, 10, []);
    it.push("a", 1);
    it.nothing().await;
    it.push("a", 2);
    drop(over);
    assert_eq!(it.next().await, seen(3600, "a2"));
    let mut it = start_after(std::future::pending(), 10, []);
    it.push("a", 1);
    it.end(Duration::from_secs(5));
    assert_eq!(it.over().await, 5);
    assert_eq!(it.counts(), [0, 0, 1, 0]);
}
