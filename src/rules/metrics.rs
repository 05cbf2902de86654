//! The metrics of rules, under the names Prometheus gave them.

use super::state::GroupKey;
use crate::telemetry::Restarts;
use crate::telemetry::metrics::{Counter, Family, FloatGauge, Gauge, Histogram, Registry};

type Name = Vec<(String, String)>;
type PerGroup<M> = Family<Name, M>;

/// Bounds of the durations, in seconds.
const BOUNDS: [f64; 4] = [0.01, 0.1, 1.0, 10.0];

/// Metrics of all groups.
#[derive(Debug, Clone)]
pub(super) struct RuleMetrics {
    pub(super) evaluations: PerGroup<Counter>,
    pub(super) failures: PerGroup<Counter>,
    pub(super) iterations: PerGroup<Counter>,
    pub(super) missed: PerGroup<Counter>,
    pub(super) interval: PerGroup<FloatGauge>,
    pub(super) last_evaluation: PerGroup<FloatGauge>,
    pub(super) last_duration: PerGroup<FloatGauge>,
    pub(super) last_rule_sum: PerGroup<FloatGauge>,
    pub(super) last_restore: PerGroup<FloatGauge>,
    pub(super) rules: PerGroup<Gauge>,
    pub(super) samples: PerGroup<Gauge>,
    pub(super) rule_duration: Histogram,
    pub(super) group_duration: Histogram,
    pub(super) store_failures: Counter,
    pub(super) panics: Restarts,
}

/// What the metrics of a group are called.
pub(super) fn name((file, group): &GroupKey) -> Name {
    vec![("rule_group".to_owned(), format!("{file};{group}"))]
}

impl RuleMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            evaluations: Family::default(),
            failures: Family::default(),
            iterations: Family::default(),
            missed: Family::default(),
            interval: Family::default(),
            last_evaluation: Family::default(),
            last_duration: Family::default(),
            last_rule_sum: Family::default(),
            last_restore: Family::default(),
            rules: Family::default(),
            samples: Family::default(),
            rule_duration: Histogram::new(BOUNDS),
            group_duration: Histogram::new(BOUNDS),
            store_failures: Counter::default(),
            panics: Restarts::default(),
        };
        let r = registry.sub_registry_with_prefix("prometheus_rule");
        r.register("evaluations", "Rule evaluations", metrics.evaluations.clone());
        r.register("evaluation_failures", "Rule evaluations that failed", metrics.failures.clone());
        let help = "Duration of the evaluation of a rule in seconds";
        r.register("evaluation_duration_histogram_seconds", help, metrics.rule_duration.clone());
        let r = registry.sub_registry_with_prefix("prometheus_rule_group");
        r.register(
            "iterations",
            "Scheduled evaluations of a group, whether executed or missed",
            metrics.iterations.clone(),
        );
        let help = "Evaluations of a group that were missed because the one before took too long";
        r.register("iterations_missed", help, metrics.missed.clone());
        r.register("interval_seconds", "Interval of a group", metrics.interval.clone());
        let help = "When a group was last evaluated, seconds since the epoch";
        r.register("last_evaluation_timestamp_seconds", help, metrics.last_evaluation.clone());
        r.register(
            "last_duration_seconds",
            "Duration of the last evaluation of a group",
            metrics.last_duration.clone(),
        );
        let help = "Sum of the durations of the rules in the last evaluation of a group";
        r.register("last_rule_duration_sum_seconds", help, metrics.last_rule_sum.clone());
        let help = "Time it took to restore the alerts of a group from ALERTS_FOR_STATE";
        r.register("last_restore_duration_seconds", help, metrics.last_restore.clone());
        r.register("rules", "Rules of a group", metrics.rules.clone());
        r.register(
            "last_evaluation_samples",
            "Samples the last evaluation of a group gave",
            metrics.samples.clone(),
        );
        let help = "Duration of the evaluation of a group in seconds";
        r.register("duration_histogram_seconds", help, metrics.group_duration.clone());
        let r = registry.sub_registry_with_prefix("emberkeep_rules");
        let help = "Failed attempts to store the states of alerts";
        r.register("alert_store_failures", help, metrics.store_failures.clone());
        r.register("panics", "Panics in the evaluation of rules, each a bug", metrics.panics.counter());
        metrics
    }

    /// Begins the metrics of a group.
    pub(super) fn begin(&self, key: &GroupKey, interval_seconds: f64, rules: usize) {
        let name = name(key);
        for counter in [&self.evaluations, &self.failures, &self.iterations, &self.missed] {
            let _ = counter.get_or_create(&name);
        }
        for gauge in [&self.last_evaluation, &self.last_duration, &self.last_rule_sum] {
            let _ = gauge.get_or_create(&name);
        }
        self.interval.get_or_create(&name).set(interval_seconds);
        self.rules.get_or_create(&name).set(i64::try_from(rules).unwrap_or(i64::MAX));
        let _ = self.samples.get_or_create(&name);
    }

    /// Forgets the metrics of a group that is gone.
    pub(super) fn forget(&self, key: &GroupKey) {
        let name = name(key);
        for counter in [&self.evaluations, &self.failures, &self.iterations, &self.missed] {
            counter.remove(&name);
        }
        for gauge in [
            &self.interval,
            &self.last_evaluation,
            &self.last_duration,
            &self.last_rule_sum,
            &self.last_restore,
        ] {
            gauge.remove(&name);
        }
        self.rules.remove(&name);
        self.samples.remove(&name);
    }
}
