//! `LabelsBuf`: a reusable scratch buffer in which a label set is put together.
//!
//! **Cost**: setting or removing moves at most the buffer's own pairs; no allocation once it has grown.

use super::{Labels, METRIC_NAME};

/// A label set under construction, kept in name order. Setting an empty value removes the label.
#[derive(Debug, Default, Clone)]
pub struct LabelsBuf {
    // Strings of removed pairs stay behind `used` so that their memory is used again.
    pairs: Vec<(String, String)>,
    used: usize,
}

impl LabelsBuf {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all labels, keeping the memory.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Sets the buffer to the labels of `labels`.
    pub fn reset_to(&mut self, labels: &Labels) {
        self.clear();
        for (name, value) in labels {
            self.set(name, value);
        }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        // Labels mostly arrive in order: look at the end first.
        match self.live().last() {
            None => Err(0),
            Some((last, _)) if last.as_str() < name => Err(self.used),
            _ => self.live().binary_search_by(|(n, _)| n.as_str().cmp(name)),
        }
    }

    fn live(&self) -> &[(String, String)] {
        &self.pairs[..self.used]
    }

    /// Sets label `name` to `value`, or removes it when `value` is empty.
    pub fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.remove(name);
            return;
        }
        match self.find(name) {
            Ok(at) => {
                let slot = &mut self.pairs[at].1;
                slot.clear();
                slot.push_str(value);
            }
            Err(at) => {
                self.append(name, value);
                self.pairs[at..self.used].rotate_right(1);
            }
        }
    }

    /// Adds a label behind the others, wherever it belongs and whatever its value is. [`LabelsBuf::settle`] is to be
    /// called before anything else is done, so that many labels in any order cost no more than sorting them.
    pub fn append(&mut self, name: &str, value: &str) {
        if self.used == self.pairs.len() {
            self.pairs.push((String::new(), String::new()));
        }
        let slot = &mut self.pairs[self.used];
        slot.0.clear();
        slot.0.push_str(name);
        slot.1.clear();
        slot.1.push_str(value);
        self.used += 1;
    }

    /// Brings appended labels into order, and forgets those without a value.
    ///
    /// # Errors
    /// The name of a label that is there twice; the buffer is cleared then.
    pub fn settle(&mut self) -> Result<(), String> {
        self.order()?;
        self.drop_empty();
        Ok(())
    }

    /// Forgets labels without a value.
    pub fn drop_empty(&mut self) {
        self.remove_where(|_, value| value.is_empty());
    }

    /// Brings appended labels into order; those without a value stay. [`LabelsBuf::drop_empty`] is to be called before
    /// the buffer becomes a label set.
    ///
    /// # Errors
    /// The name of a label that is there twice; the buffer is cleared then.
    pub fn order(&mut self) -> Result<(), String> {
        let pairs = &mut self.pairs[..self.used];
        if !pairs.is_sorted_by(|(a, _), (b, _)| a < b) {
            pairs.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            if let Some(twice) = pairs.windows(2).find(|two| two[0].0 == two[1].0) {
                let name = twice[0].0.clone();
                self.clear();
                return Err(name);
            }
        }
        Ok(())
    }

    /// Removes label `name`; says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let found = self.find(name);
        if let Ok(at) = found {
            self.pairs[at..self.used].rotate_left(1);
            self.used -= 1;
        }
        found.is_ok()
    }

    /// Removes every label for which `drop` says true.
    pub fn remove_where(&mut self, mut drop: impl FnMut(&str, &str) -> bool) {
        let mut kept = 0;
        for at in 0..self.used {
            if !drop(&self.pairs[at].0, &self.pairs[at].1) {
                self.pairs.swap(kept, at);
                kept += 1;
            }
        }
        self.used = kept;
    }

    /// The value of label `name`, if present.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).ok().map(|at| self.pairs[at].1.as_str())
    }

    /// The metric name, or the empty string.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// Pairs of name and value in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.live().iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The label set so far.
    pub fn to_labels(&self) -> Labels {
        Labels::from_sorted(self.iter())
    }
}

impl Labels {
    /// A label set of `pairs` in any order. Empty values are left out; of equal names the last wins.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut buf = LabelsBuf::new();
        for (name, value) in pairs {
            buf.set(name.as_ref(), value.as_ref());
        }
        buf.to_labels()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_through_sets_and_removes() {
        let mut buf = LabelsBuf::new();
        for (name, value) in [("c", "3"), ("a", "1"), ("b", "2"), ("a", "9"), ("d", "4")] {
            buf.set(name, value);
        }
        assert!(buf.remove("b"));
        assert!(!buf.remove("b"));
        buf.set("d", "");
        assert_eq!(buf.iter().collect::<Vec<_>>(), [("a", "9"), ("c", "3")]);
        buf.remove_where(|name, _| name == "a");
        assert_eq!(buf.to_labels(), Labels::from_pairs([("c", "3")]));
        buf.set("b", "2");
        assert_eq!(buf.iter().collect::<Vec<_>>(), [("b", "2"), ("c", "3")]);
    }
}
