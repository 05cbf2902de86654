//! What stands in for the server where rules are played: nothing is written, and nobody is told.

use std::sync::Mutex;

use crate::lanes::Turn;
use crate::model::Labels;
use crate::promql::{Engine, Expr, QueryOptions, VectorSample};
use crate::rules::alert::Alert;
use crate::rules::backend::{Backend, Output, vector};
use crate::rules::evaluate::Listener;
use crate::rules::memory::MemoryBackend;
use crate::rules::rule::Rule;
use crate::storage::Queryable;
use crate::template;
use crate::util::lock::lock;
use crate::util::{StopToken, brief};

/// Nobody is told of alerts. Texts that could not be expanded are counted, and not logged: whoever asked is told.
#[derive(Debug, Default)]
pub(super) struct Nobody {
    failures: Mutex<(u64, String)>,
}

impl Nobody {
    /// How many texts could not be expanded, and why the last of them could not.
    pub(super) fn failures(&self) -> (u64, String) {
        lock(&self.failures).clone()
    }
}

impl Listener for Nobody {
    fn changed(&self, _: usize, _: &[Alert], _: &[Labels], _: bool) {}

    fn send(&self, _: &str, _: Vec<Alert>) {}

    fn text_failed(&self, _: &Rule, _: &Labels, error: &template::Error) {
        let mut failures = lock(&self.failures);
        *failures = (failures.0 + 1, brief(error));
    }
}

/// Answers queries within the time of the request.
pub(super) struct Reader<'a> {
    pub(super) engine: &'a Engine,
    pub(super) source: &'a dyn Queryable,
    pub(super) turn: &'a Turn,
    /// What rules give goes here; none where nothing is written.
    pub(super) written: Option<&'a MemoryBackend>,
}

impl Reader<'_> {
    fn options(&self, stop: &StopToken) -> QueryOptions {
        QueryOptions { stop: stop.clone(), timeout: Some(self.turn.left()), ..QueryOptions::default() }
    }
}

impl Backend for Reader<'_> {
    fn query(&self, query: &Expr, time: i64, stop: &StopToken) -> Result<Vec<VectorSample>, String> {
        let result = self.engine.instant_parsed(self.source, query, time, &self.options(stop));
        vector(result.map_err(|error| error.to_string())?)
    }

    fn query_text(&self, query: &str, time: i64, stop: &StopToken) -> Result<Vec<VectorSample>, String> {
        let result = self.engine.instant(self.source, query, time, &self.options(stop));
        vector(result.map_err(|error| error.to_string())?)
    }

    fn write(&self, samples: &[Output], time: i64) -> Result<Option<String>, String> {
        self.written.ok_or("nothing is written in the lab")?.write(samples, time)
    }

    fn write_stale(&self, gone: &[Labels], time: i64) -> Result<(), String> {
        self.written.ok_or("nothing is written in the lab")?.write_stale(gone, time)
    }
}
