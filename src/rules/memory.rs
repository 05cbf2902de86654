//! Series in memory as the backend of rules: for unit tests of rules, and for our own.

use std::sync::{PoisonError, RwLock};

use super::backend::{Backend, Output, vector};
use crate::model::{Labels, TimeRange, stale_nan};
use crate::promql::script::{histogram_text, number_text};
use crate::promql::{Engine, Expr, MatrixSeries, QueryOptions, Value, VectorSample};
use crate::storage::fixed::{FixedStorage, Refused};
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

    /// Changes the series from outside.
    pub fn change<T>(&self, change: impl FnOnce(&mut FixedStorage) -> T) -> T {
        change(&mut self.series.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The series that a range selector finds, with their samples, as text.
    ///
    /// # Errors
    /// When the query fails, or finds something else.
    pub fn history(&self, query: &str, time: i64) -> Result<Vec<String>, String> {
        let options = QueryOptions::default();
        let result = self.engine.instant(self, query, time, &options).map_err(|error| error.to_string())?;
        let Value::Matrix(series) = result.value else { return Err("not a range vector".to_owned()) };
        let mut lines = Vec::new();
        for MatrixSeries { labels, samples } in &series {
            lines.push(format!("{labels} =>"));
            lines.extend(samples.points().map(|(time, value, histogram)| {
                let value = histogram.map_or_else(|| number_text(value), histogram_text);
                format!("{value} @[{time}]")
            }));
        }
        Ok(lines)
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
        let mut refused = Vec::new();
        for Output { labels, value, histogram } in samples {
            refused.extend(series.append(labels, time, *value, histogram.as_ref()).err());
        }
        let told = |first: &Refused| {
            format!("{} of {} samples were not stored: {first}", refused.len(), samples.len())
        };
        Ok(refused.first().map(told))
    }

    fn write_stale(&self, gone: &[Labels], time: i64) -> Result<(), String> {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        for labels in gone {
            // Refused where somebody else has written.
            let _ = series.append(labels, time, stale_nan(), None);
        }
        Ok(())
    }
}
