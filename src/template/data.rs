//! What a template is expanded with.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::budget::{Budget, Limits};
use super::error::Fault;
use super::value::{QuerySample, Root, SampleValue, Value};
use crate::model::Labels;
use crate::model::regex::Search;

/// What templates of an alert see of it.
#[derive(Debug, Clone)]
pub struct Data<'a> {
    /// `.Labels` and `$labels`: those of the sample.
    pub labels: &'a Labels,
    /// `.ExternalLabels` and `$externalLabels`: those of the server.
    pub external_labels: &'a Labels,
    /// `.ExternalURL`, `$externalURL` and `externalURL`: where users find the server.
    pub external_url: &'a str,
    /// `pathPrefix`: the path of the external URL, without a slash at the end.
    pub path_prefix: &'a str,
    /// `.Value` and `$value`: that of the sample.
    pub value: SampleValue,
    /// The time of evaluation in milliseconds since 1970, which `now` gives in seconds.
    pub timestamp_ms: i64,
}

/// Where `query` gets its samples.
pub trait Source {
    /// The samples an expression has at the time of evaluation; those of a scalar have no labels.
    ///
    /// # Errors
    /// A text saying why there are none.
    fn query(&self, expression: &str) -> Result<Vec<QuerySample>, String>;
}

/// What functions work with during one expansion.
pub(super) struct Context<'e> {
    pub(super) data: &'e Data<'e>,
    pub(super) source: &'e dyn Source,
    pub(super) budget: Budget<'e>,
    searches: HashMap<Arc<str>, Arc<Search>>,
}

impl<'e> Context<'e> {
    pub(super) fn new(data: &'e Data<'e>, source: &'e dyn Source, limits: &'e Limits) -> Self {
        Self { data, source, budget: Budget::new(limits), searches: HashMap::new() }
    }

    /// The dot at the start.
    pub(super) fn root(&self) -> Value {
        Value::Root(Arc::new(Root {
            labels: self.data.labels.clone(),
            external_labels: self.data.external_labels.clone(),
            external_url: self.data.external_url.into(),
            value: self.data.value.clone(),
        }))
    }

    /// A regular expression, read when it is first asked for. All together have the bounds of one request.
    pub(super) fn search(&mut self, source: &Arc<str>) -> Result<Arc<Search>, Fault> {
        match self.searches.entry(Arc::clone(source)) {
            Entry::Occupied(known) => Ok(Arc::clone(known.get())),
            Entry::Vacant(place) => {
                let search = Search::within(source, &mut self.budget.regexes).map_err(Fault::new)?;
                Ok(Arc::clone(place.insert(Arc::new(search))))
            }
        }
    }
}
