//! An API server on loopback that lists and watches objects as a real one does: versions, pages, bookmarks, and states
//! that are too old to go on from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::discovery::fake::{Reply, Request, serve};
use crate::util::lock::lock;

/// Objects to a page at most, whatever the client asks for.
const PAGE: usize = 2;

#[derive(Default)]
struct State {
    version: u64,
    /// The state that is still known at least.
    oldest: u64,
    objects: BTreeMap<(String, String), Value>,
    /// Events with the paths of what they are about.
    log: Vec<(u64, String, Value)>,
    watches: Vec<(String, mpsc::UnboundedSender<String>)>,
    requests: Vec<String>,
    /// What is answered to what is asked for at a path instead.
    refused: BTreeMap<String, (&'static str, String)>,
    /// Tokens of pages are too old.
    forgets_pages: bool,
}

/// The server; clones are the same.
#[derive(Clone)]
pub(super) struct FakeApi {
    state: Arc<Mutex<State>>,
    /// How many requests there were.
    count: watch::Sender<usize>,
    pub(super) address: String,
}

fn name(object: &Value) -> String {
    let of = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", of("namespace"), of("name"))
}

fn parameters(query: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into(), value.into())).collect()
}

impl FakeApi {
    pub(super) async fn start() -> Self {
        let (count, _) = watch::channel(0);
        let mut api = Self { state: Arc::default(), count, address: String::new() };
        lock(&api.state).version = 10;
        let own = api.clone();
        api.address = serve(move |request| {
            let own = own.clone();
            async move { own.answer(&request) }
        })
        .await;
        api
    }

    /// Adds an object below `path`, or changes it.
    pub(super) fn put(&self, path: &str, object: Value) {
        let known = lock(&self.state).objects.contains_key(&(path.to_owned(), name(&object)));
        self.tell(path, if known { "MODIFIED" } else { "ADDED" }, object);
    }

    pub(super) fn delete(&self, path: &str, object: &Value) {
        self.tell(path, "DELETED", object.clone());
    }

    fn tell(&self, path: &str, kind: &str, mut object: Value) {
        let mut state = lock(&self.state);
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        let key = (path.to_owned(), name(&object));
        if kind == "DELETED" {
            state.objects.remove(&key);
        } else {
            state.objects.insert(key, object.clone());
        }
        let event = json!({"type": kind, "object": object});
        state.log.push((version, path.to_owned(), event.clone()));
        Self::send(&mut state, path, &format!("{event}\n"));
    }

    fn send(state: &mut State, path: &str, text: &str) {
        state.watches.retain(|(of, pieces)| of != path || pieces.send(text.to_owned()).is_ok());
    }

    /// Sends `text` to all who watch what is below `path`. An empty one breaks their connections.
    pub(super) fn send_text(&self, path: &str, text: &str) {
        Self::send(&mut lock(&self.state), path, text);
    }

    /// Tells that everything was told so far.
    pub(super) fn bookmark(&self, path: &str) {
        let mut state = lock(&self.state);
        let metadata = json!({"resourceVersion": state.version.to_string()});
        let event = json!({"type": "BOOKMARK", "object": {"kind": "Any", "metadata": metadata}});
        Self::send(&mut state, path, &format!("{event}\n"));
    }

    /// Ends all watches of what is below `path`.
    pub(super) fn end_watches(&self, path: &str) {
        lock(&self.state).watches.retain(|(of, _)| of != path);
    }

    /// Makes all states but the present one too old to go on from.
    pub(super) fn forget(&self) {
        let mut state = lock(&self.state);
        state.oldest = state.version;
        state.log.clear();
    }

    pub(super) fn forget_pages(&self) {
        lock(&self.state).forgets_pages = true;
    }

    /// From now on answers `status` to what is asked for below `path`, or to each `watch`; with the status 200, `body` is
    /// the answer.
    pub(super) fn refuse(&self, path: &str, status: &'static str, body: impl Into<String>) {
        lock(&self.state).refused.insert(path.to_owned(), (status, body.into()));
    }

    pub(super) fn allow(&self, path: &str) {
        lock(&self.state).refused.remove(path);
    }

    pub(super) fn version(&self) -> u64 {
        lock(&self.state).version
    }

    /// The requests so far, with their queries, that begin with `path`.
    pub(super) fn requests(&self, path: &str) -> Vec<String> {
        lock(&self.state).requests.iter().filter(|one| one.starts_with(path)).cloned().collect()
    }

    /// Waits until a request that contains `part` has come for the `times`th time.
    pub(super) async fn wait_for(&self, part: &str, times: usize) {
        let mut count = self.count.subscribe();
        let has_come = |_: &usize| {
            lock(&self.state).requests.iter().filter(|request| request.contains(part)).count() >= times
        };
        let wait = tokio::time::timeout(std::time::Duration::from_secs(30), count.wait_for(has_come));
        let has_come = wait.await.is_ok();
        assert!(has_come, "{part} did not come {times} times: {:?}", lock(&self.state).requests);
    }

    fn answer(&self, request: &Request) -> Reply {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let asked = parameters(query);
        let reply = {
            let mut state = lock(&self.state);
            state.requests.push(request.path.clone());
            state.answer(path, &asked, &request.head)
        };
        self.count.send_modify(|count| *count += 1);
        reply
    }
}

impl State {
    fn answer(&mut self, path: &str, asked: &BTreeMap<String, String>, head: &[String]) -> Reply {
        let watch = self.refused.get("watch").filter(|_| asked.contains_key("watch"));
        if let Some((status, body)) = self.refused.get(path).or(watch) {
            return Reply { status, ..Reply::json(body.clone()) };
        }
        if let Some(expected) = self.refused.get("Authorization")
            && !head.iter().any(|line| line.eq_ignore_ascii_case(&format!("authorization: {}", expected.1)))
        {
            let body = json!({"kind": "Status", "message": "Unauthorized", "code": 401}).to_string();
            return Reply { status: expected.0, ..Reply::json(body) };
        }
        // `/namespaces/x/pods` are those of `/pods` that are in `x`.
        let (path, namespace) =
            match path.split_once("/namespaces/").map(|(group, rest)| (group, rest.split_once('/'))) {
                Some((group, Some((namespace, plural)))) => (format!("{group}/{plural}"), Some(namespace)),
                _ => (path.to_owned(), None),
            };
        let is_in = |object: &Value| {
            namespace.is_none_or(|namespace| object["metadata"]["namespace"].as_str() == Some(namespace))
        };
        if asked.contains_key("watch") {
            let from: u64 = asked["resourceVersion"].parse().expect("a version");
            assert_eq!(asked["allowWatchBookmarks"], "true");
            let (pieces, body) = mpsc::unbounded_channel();
            if from < self.oldest {
                let status = json!({"code": 410, "reason": "Expired", "message": "too old resource version"});
                pieces.send(format!("{}\n", json!({"type": "ERROR", "object": status}))).expect("open");
                return Reply::pieces(body);
            }
            for (version, of, event) in &self.log {
                if *version > from && *of == path && is_in(&event["object"]) {
                    pieces.send(format!("{event}\n")).expect("open");
                }
            }
            self.watches.push((path, pieces));
            return Reply::pieces(body);
        }
        let all: Vec<&Value> = self
            .objects
            .iter()
            .filter(|((of, _), object)| *of == path && is_in(object))
            .map(|(_, o)| o)
            .collect();
        let begin: usize = asked.get("continue").map_or(0, |text| text.parse().expect("a token"));
        if begin > 0 && self.forgets_pages {
            let status = json!({"kind": "Status", "message": "The provided continue parameter is too old"});
            return Reply { status: "410 Gone", ..Reply::json(status.to_string()) };
        }
        let limit = asked.get("limit").map_or(usize::MAX, |limit| {
            assert_eq!(limit, "500");
            PAGE
        });
        let items: Vec<_> = all.iter().skip(begin).take(limit).collect();
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        if begin + items.len() < all.len() {
            metadata["continue"] = (begin + items.len()).to_string().into();
        }
        Reply::json(json!({"kind": "List", "metadata": metadata, "items": items}).to_string())
    }
}
