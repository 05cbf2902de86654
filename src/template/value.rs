//! Values of a template: those of Prometheus' data and functions, with the types they have there.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::error::{Fault, fail};
use super::literal::{FloatError, parse_float};
use crate::model::{Histogram, Labels};

/// Maps of `args` inside of each other: printing and dropping them recurses.
pub(super) const MAX_MAP_DEPTH: usize = 32;

/// The value of a sample.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// A sample that a query found.
#[derive(Debug, Clone, PartialEq)]
pub struct QuerySample {
    /// Its labels, with the name of the metric.
    pub labels: Labels,
    /// Its value.
    pub value: SampleValue,
}

/// What a dot is at the start: the fields of an alert.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) labels: Labels,
    pub(super) external_labels: Labels,
    pub(super) external_url: Arc<str>,
    pub(super) value: SampleValue,
}

/// What `args` makes.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) entries: BTreeMap<Box<str>, Value>,
    /// Maps inside of each other, with this one.
    pub(super) depth: usize,
}

/// A struct of a message: its fields in their order.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) type_name: &'static str,
    pub(super) fields: Vec<(&'static str, Value)>,
}

/// What a list of a message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListKind {
    /// Records of alerts.
    Alerts,
    /// Records of a name and a value.
    Pairs,
    /// Texts.
    Texts,
}

/// A list of a message.
#[derive(Debug)]
pub(super) struct List {
    pub(super) kind: ListKind,
    pub(super) items: Vec<Value>,
}

/// A value. Clones share what is large.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    /// As `.Unix` gives it: an integer like others, under another name.
    Int64(i64),
    /// A byte of a string.
    Byte(u8),
    Float(f64),
    Text(Arc<str>),
    Html(Arc<str>),
    /// From 1.
    Month(i8),
    /// From 0, which is Sunday.
    Weekday(i8),
    /// In nanoseconds.
    Duration(i64),
    /// The same, as `toDuration` gives it.
    DurationPointer(i64),
    Time(Timestamp),
    /// The same, as `toTime` gives it.
    TimePointer(Timestamp),
    Labels(Labels),
    Map(Arc<Map>),
    Sample(Arc<QuerySample>),
    Samples(Arc<[Arc<QuerySample>]>),
    Histogram(Arc<Histogram>),
    Root(Arc<Root>),
    /// Labels or annotations of a message, which have methods.
    KeyValues(Labels),
    Record(Arc<Record>),
    List(Arc<List>),
}

impl From<SampleValue> for Value {
    fn from(value: SampleValue) -> Self {
        match value {
            SampleValue::Float(float) => Self::Float(float),
            SampleValue::Histogram(histogram) => Self::Histogram(histogram),
        }
    }
}

impl Value {
    pub(super) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// The name of its type in messages, as Prometheus' users know it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Html(_) => "template.HTML",
            Self::Month(_) => "time.Month",
            Self::Weekday(_) => "time.Weekday",
            Self::Duration(_) => "time.Duration",
            Self::DurationPointer(_) => "*time.Duration",
            Self::Time(_) => "time.Time",
            Self::TimePointer(_) => "*time.Time",
            Self::Labels(_) => "map[string]string",
            Self::Map(_) => "map[string]interface {}",
            Self::Sample(_) => "*template.sample",
            Self::Samples(_) => "template.queryResult",
            Self::Histogram(_) => "*histogram.FloatHistogram",
            Self::KeyValues(_) => "template.KV",
            Self::Record(record) => record.type_name,
            Self::List(list) => match list.kind {
                ListKind::Alerts => "template.Alerts",
                ListKind::Pairs => "template.Pairs",
                ListKind::Texts => "[]string",
            },
            Self::Root(_) => {
                "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }"
            }
        }
    }

    /// Whether `if` takes it for true: it is not the zero of its type, and not empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) | Self::Html(text) => !text.is_empty(),
            Self::Labels(labels) | Self::KeyValues(labels) => !labels.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Samples(samples) => !samples.is_empty(),
            Self::DurationPointer(_)
            | Self::Time(_)
            | Self::TimePointer(_)
            | Self::Sample(_)
            | Self::Histogram(_)
            | Self::Record(_)
            | Self::Root(_) => true,
            _ => self.as_int() != Some(0),
        }
    }

    /// Its value if it is a kind of integer.
    pub(super) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) | Self::Int64(value) | Self::Duration(value) => Some(*value),
            Self::Byte(value) => Some(i64::from(*value)),
            Self::Month(value) | Self::Weekday(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    /// An integer of the same type; one that counts up to a month or day is an ordinary one.
    pub(super) fn with_int(&self, int: i64) -> Self {
        match self {
            Self::Int64(_) => Self::Int64(int),
            Self::Byte(_) => Self::Byte(u8::try_from(int).unwrap_or(u8::MAX)),
            Self::Duration(_) | Self::DurationPointer(_) => Self::Duration(int),
            _ => Self::Int(int),
        }
    }

    /// Its text if it is a kind of string.
    pub(super) fn as_text(&self) -> Option<&Arc<str>> {
        match self {
            Self::Text(text) | Self::Html(text) => Some(text),
            _ => None,
        }
    }

    /// The number that `humanize` and the like take it for.
    pub(super) fn to_float(&self) -> Result<f64, Fault> {
        #[expect(clippy::cast_precision_loss, reason = "as Prometheus converts")]
        match self {
            Self::Float(value) => Ok(*value),
            Self::Int(value) | Self::Int64(value) => Ok(*value as f64),
            Self::Duration(nanoseconds) => Ok(seconds(*nanoseconds)),
            Self::Text(text) => parse_float(text).map_err(|error| {
                let reason = match error {
                    FloatError::Syntax => "invalid syntax",
                    FloatError::Range => "value out of range",
                };
                let text = crate::util::brief(text);
                Fault(format!("strconv.ParseFloat: parsing {text:?}: {reason}"))
            }),
            Self::Nil => fail!("can't convert <nil> to float"),
            _ => fail!("can't convert {} to float", self.type_name()),
        }
    }

    /// The field of that name, if it is a struct that has it, or a map. A key that a map does not have is the zero value.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        match self {
            Self::Labels(labels) | Self::KeyValues(labels) => {
                Some(Self::text(labels.get(name).unwrap_or_default()))
            }
            Self::Record(record) => {
                record.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
            }
            Self::Map(map) => Some(map.entries.get(name).cloned().unwrap_or(Self::Nil)),
            Self::Sample(sample) => match name {
                "Labels" => Some(Self::Labels(sample.labels.clone())),
                "Value" => Some(sample.value.clone().into()),
                _ => None,
            },
            Self::Root(root) => match name {
                "Labels" => Some(Self::Labels(root.labels.clone())),
                "ExternalLabels" => Some(Self::Labels(root.external_labels.clone())),
                "ExternalURL" => Some(Self::Text(Arc::clone(&root.external_url))),
                "Value" => Some(root.value.clone().into()),
                _ => None,
            },
            Self::Histogram(histogram) => match name {
                "Count" => Some(Self::Float(histogram.count)),
                "Sum" => Some(Self::Float(histogram.sum)),
                "ZeroCount" => Some(Self::Float(histogram.zero_count)),
                "ZeroThreshold" => Some(Self::Float(histogram.zero_threshold)),
                "Schema" => Some(Self::Int(histogram.schema.into())),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A duration of that many nanoseconds in seconds, as Go converts.
pub(super) fn seconds(nanoseconds: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "both parts are small")]
    let (whole, part) = ((nanoseconds / 1_000_000_000) as f64, (nanoseconds % 1_000_000_000) as f64);
    whole + part / 1e9
}
