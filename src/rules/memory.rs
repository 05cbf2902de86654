//! Series in memory as the backend of rules: for unit tests of rules, and for our own.

use std::sync::{PoisonError, RwLock};

use super::backend::{Backend, Output, vector};
use crate::model::{Labels, TimeRange, stale_nan};
use crate::promql::{Engine, Expr, QueryOptions, VectorSample};
use crate::storage::fixed::FixedStorage;
use crate::storage::{Querier, Queryable, StorageError};
use crate::util::StopToken;

/// Series in memory, which rules read and add to.
pub struct MemoryBackend {
    engine: Engine,
    series: RwLock<FixedStorage>,
}

impl MemoryBackend {
    /// A backend with these series.
    pub fn new(engine: Engine, series: FixedStorage) -> Self {
        Self { engine, series: RwLock::new(series) }
    }

    /// Evaluates queries.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    fn series(&self) -> FixedStorage {
        self.series.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Queryable for MemoryBackend {
    fn querier(&self, range: TimeRange) -> Result<Box<dyn Querier>, StorageError> {
        self.series().querier(range)
    }
}

impl Backend for MemoryBackend {
    fn query(&self, query: &Expr, time: i64, stop: &StopToken) -> Result<Vec<VectorSample>, String> {
        let options = QueryOptions { stop: stop.clone(), ..QueryOptions::default() };
        vector(self.engine.instant_parsed(self, query, time, &options).map_err(|error| error.to_string())?)
    }

    fn query_text(&self, query: &str, time: i64, stop: &StopToken) -> Result<Vec<VectorSample>, String> {
        let options = QueryOptions { stop: stop.clone(), ..QueryOptions::default() };
        vector(self.engine.instant(self, query, time, &options).map_err(|error| error.to_string())?)
    }

    fn write(&self, samples: &[Output], time: i64) -> Result<Option<String>, String> {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        for sample in samples {
            match &sample.histogram {
                Some(histogram) => series.add_histogram(&sample.labels, time, histogram.clone()),
                None => series.add(&sample.labels, time, sample.value),
            }
        }
        Ok(None)
    }

    fn write_stale(&self, gone: &[Labels], time: i64) -> Result<(), String> {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        gone.iter().for_each(|labels| series.add_unless_there(labels, time, stale_nan()));
        Ok(())
    }
}
