//! Gauges whose values are counted when metrics are read.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;

/// What is counted: values of a label with their numbers.
type Count = Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>;

/// A gauge with one label.
pub struct CountedGauge {
    /// The name of the metric.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// The name of the label; empty for none.
    pub label: &'static str,
    /// Counts.
    pub count: Count,
}

impl fmt::Debug for CountedGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedGauge").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Collector for CountedGauge {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = (self.count)();
        if counts.is_empty() {
            return Ok(());
        }
        let kind = ConstGauge::new(0_u64).metric_type();
        let mut encoder = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        for (value, count) in counts {
            let gauge = ConstGauge::new(count);
            if self.label.is_empty() {
                return gauge.encode(encoder);
            }
            gauge.encode(encoder.encode_family(&[(self.label, value)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Registry;
    use crate::telemetry::metrics::encode;

    #[test]
    fn numbers_are_those_of_the_moment() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(CountedGauge {
            name: "things",
            help: "Things",
            label: "state",
            count: Box::new(|| vec![("good", 2), ("bad", 0)]),
        }));
        let text = encode(&registry);
        assert!(text.contains("things{state=\"good\"} 2\nthings{state=\"bad\"} 0\n"), "{text}");
    }
}
