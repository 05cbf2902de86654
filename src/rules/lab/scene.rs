//! What stands in for the server where rules are played: nothing is written, and nobody is told.

use crate::lanes::Turn;
use crate::model::Labels;
use crate::promql::{Engine, Expr, QueryOptions, VectorSample};
use crate::rules::alert::Alert;
use crate::rules::backend::{Backend, Output, vector};
use crate::rules::evaluate::Listener;
use crate::storage::Queryable;
use crate::util::StopToken;

/// Nobody is told of alerts.
pub(super) struct Nobody;

impl Listener for Nobody {
    fn changed(&self, _: usize, _: &[Alert], _: &[Labels], _: bool) {}

    fn send(&self, _: &str, _: Vec<Alert>) {}
}

/// Answers the queries of templates.
pub(super) struct Reader<'a> {
    pub(super) engine: &'a Engine,
    pub(super) source: &'a dyn Queryable,
    pub(super) turn: &'a Turn,
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

    fn write(&self, _: &[Output], _: i64) -> Result<Option<String>, String> {
        Err("nothing is written in the lab".to_owned())
    }

    fn write_stale(&self, _: &[Labels], _: i64) -> Result<(), String> {
        Err("nothing is written in the lab".to_owned())
    }
}
