//! What a template is expanded with.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};

use super::budget::{Budget, Limits};
use super::error::Fault;
use super::message::Message;
use super::value::{QuerySample, Root, SampleValue, Value};
use crate::model::Labels;
use crate::model::regex::Search;
use crate::util::lock::lock;

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

/// Regular expressions of a template that stay read between expansions.
#[derive(Debug, Default)]
pub(super) struct Searches(Mutex<HashMap<Arc<str>, Arc<Search>>>);

/// How many stay; the others are read in each expansion anew.
const MAX_KEPT_SEARCHES: usize = 8;

impl Searches {
    fn get(&self, source: &str) -> Option<Arc<Search>> {
        lock(&self.0).get(source).cloned()
    }

    fn keep(&self, source: &Arc<str>, search: &Arc<Search>) {
        let mut kept = lock(&self.0);
        if kept.len() < MAX_KEPT_SEARCHES {
            kept.insert(Arc::clone(source), Arc::clone(search));
        }
    }
}

/// What functions work with during one expansion.
pub(super) struct Context<'e> {
    pub(super) data: &'e Data<'e>,
    pub(super) source: &'e dyn Source,
    pub(super) budget: Budget<'e>,
    /// Whether what is printed is escaped for HTML, but what is said to be HTML.
    pub(super) escapes_html: bool,
    /// The dot of a template of messages.
    message: Option<&'e Message>,
    kept: &'e Searches,
    searches: HashMap<Arc<str>, Arc<Search>>,
}

impl<'e> Context<'e> {
    pub(super) fn new(
        data: &'e Data<'e>,
        source: &'e dyn Source,
        limits: &'e Limits,
        kept: &'e Searches,
    ) -> Self {
        let budget = Budget::new(limits);
        Self { data, source, budget, escapes_html: false, message: None, kept, searches: HashMap::new() }
    }

    /// The same where the dot is a message.
    pub(super) fn of_message(self, message: &'e Message, escapes_html: bool) -> Self {
        Self { message: Some(message), escapes_html, ..self }
    }

    /// The dot at the start.
    pub(super) fn root(&self) -> Value {
        if let Some(message) = self.message {
            return message.to_value();
        }
        Value::Root(Arc::new(Root {
            labels: self.data.labels.clone(),
            external_labels: self.data.external_labels.clone(),
            external_url: self.data.external_url.into(),
            value: self.data.value.clone(),
        }))
    }

    /// A regular expression, read when it is first asked for. All that are read in one expansion together have the bounds of one request.
    pub(super) fn search(&mut self, source: &Arc<str>) -> Result<Arc<Search>, Fault> {
        match self.searches.entry(Arc::clone(source)) {
            Entry::Occupied(known) => Ok(Arc::clone(known.get())),
            Entry::Vacant(place) => {
                let search = if let Some(search) = self.kept.get(source) {
                    search
                } else {
                    let search = Search::within(source, &mut self.budget.regexes).map_err(Fault::new)?;
                    let search = Arc::new(search);
                    self.kept.keep(source, &search);
                    search
                };
                Ok(Arc::clone(place.insert(search)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Source for Nothing {
        fn query(&self, _: &str) -> Result<Vec<QuerySample>, String> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn some_expressions_stay_read() {
        let labels = Labels::empty();
        let data = Data {
            labels: &labels,
            external_labels: &labels,
            external_url: "",
            path_prefix: "",
            value: SampleValue::Float(0.0),
            timestamp_ms: 0,
        };
        let (kept, limits) = (Searches::default(), Limits::default());
        let read = |source: &str| {
            let mut cx = Context::new(&data, &Nothing, &limits, &kept);
            cx.search(&source.into()).expect("an expression")
        };
        assert!(Arc::ptr_eq(&read("a"), &read("a")));
        (0..20).for_each(|number| drop(read(&format!("b{number}"))));
        assert_eq!(lock(&kept.0).len(), MAX_KEPT_SEARCHES);
        assert!(!Arc::ptr_eq(&read("b19"), &read("b19")));
    }
}
