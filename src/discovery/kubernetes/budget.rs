//! How large what is made of one object may become. Small objects can make large groups: each address of endpoints is a
//! target at each port, with all labels of its pod.

use crate::model::Labels;

/// Targets of one object at most.
const MAX_TARGETS: usize = 50_000;
/// Bytes of their labels at most.
const MAX_BYTES: usize = 256 << 20;

/// What is left for the targets of one object.
#[derive(Debug)]
pub(super) struct Budget {
    targets: usize,
    bytes: usize,
    /// Whether something was refused.
    is_spent: bool,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { targets: MAX_TARGETS, bytes: MAX_BYTES, is_spent: false }
    }

    /// Whether there is room for one more target with these labels.
    #[must_use]
    pub(super) fn take(&mut self, labels: &Labels) -> bool {
        let left = self.targets.checked_sub(1).zip(self.bytes.checked_sub(labels.packed_len()));
        match left.filter(|_| !self.is_spent) {
            Some((targets, bytes)) => (self.targets, self.bytes) = (targets, bytes),
            None => self.is_spent = true,
        }
        !self.is_spent
    }

    /// Warns if targets of what is called `name` were left out.
    pub(super) fn finish(self, kind: &str, namespace: &str, name: &str) {
        if self.is_spent {
            tracing::warn!(
                kind,
                namespace,
                name,
                MAX_TARGETS,
                MAX_BYTES,
                "too many targets; some are left out"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_number_nor_size_grows_without_end() {
        let mut budget = Budget::new();
        let labels = Labels::from_pairs([("a", "b")]);
        assert_eq!((0..MAX_TARGETS + 5).filter(|_| budget.take(&labels)).count(), MAX_TARGETS);
        let mut budget = Budget::new();
        let large = Labels::from_pairs([("a", "x".repeat(100 << 20))]);
        assert_eq!((0..5).filter(|_| budget.take(&large)).count(), 2);
        assert!(!budget.take(&labels), "what came later is left out too");
    }
}
