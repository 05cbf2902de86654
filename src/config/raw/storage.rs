//! `storage` as printed.

use serde::Serialize;

use super::{Size, Time};
use crate::config::StorageConfig;

/// See [`StorageConfig`].
#[derive(Debug, Default, Serialize)]
pub(in crate::config) struct Storage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) tsdb: Option<Tsdb>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) exemplars: Option<Exemplars>,
}

#[derive(Debug, Default, Serialize)]
pub(in crate::config) struct Exemplars {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) max_exemplars: Option<i64>,
}

#[derive(Debug, Default, Serialize)]
pub(in crate::config) struct Tsdb {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) out_of_order_time_window: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) retention: Option<Retention>,
}

#[derive(Debug, Default, Serialize)]
pub(in crate::config) struct Retention {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) size: Option<Size>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) percentage: Option<f64>,
}

impl Storage {
    /// The section as printed; none when it says nothing.
    pub(in crate::config) fn printed(config: &StorageConfig) -> Option<Self> {
        let retention = Retention {
            time: config.retention_time.map(Time),
            size: config.retention_size.map(Size),
            percentage: config.retention_percentage,
        };
        let tsdb = Tsdb {
            out_of_order_time_window: Some(Time(config.out_of_order_time_window))
                .filter(|window| !window.0.is_zero()),
            retention: Some(retention)
                .filter(|r| r.time.is_some() || r.size.is_some() || r.percentage.is_some()),
        };
        let says = tsdb.out_of_order_time_window.is_some() || tsdb.retention.is_some();
        let exemplars = config.max_exemplars.map(|max| Exemplars { max_exemplars: Some(max) });
        let says_any = says || exemplars.is_some();
        says_any.then_some(Self { tsdb: Some(tsdb).filter(|_| says), exemplars })
    }
}
