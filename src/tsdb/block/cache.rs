//! A cache bounded by bytes; the least recently used entry leaves first.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use crate::util::lock::lock;

struct Entry<V> {
    value: Arc<V>,
    bytes: usize,
    used: u64,
}

struct State<K, V> {
    entries: HashMap<K, Entry<V>>,
    by_use: BTreeMap<u64, K>,
    clock: u64,
    bytes: usize,
}

/// Values by key, at most a given sum of bytes.
pub struct ByteCache<K, V> {
    max_bytes: usize,
    state: Mutex<State<K, V>>,
}

impl<K: Clone + Eq + Hash, V> ByteCache<K, V> {
    /// An empty cache.
    pub fn new(max_bytes: usize) -> Self {
        let state = State { entries: HashMap::new(), by_use: BTreeMap::new(), clock: 0, bytes: 0 };
        Self { max_bytes, state: Mutex::new(state) }
    }

    /// The value under `key`, made by `load` (value and its bytes) if absent. Two threads may load the same key
    /// at once; one of the values is then kept.
    ///
    /// # Errors
    /// Those of `load`.
    pub fn get_or_load<E>(&self, key: &K, load: impl FnOnce() -> Result<(V, usize), E>) -> Result<Arc<V>, E> {
        if let Some(value) = self.get(key) {
            return Ok(value);
        }
        let (value, bytes) = load()?;
        let value = Arc::new(value);
        self.insert(key, &value, bytes);
        Ok(value)
    }

    fn get(&self, key: &K) -> Option<Arc<V>> {
        let mut state = lock(&self.state);
        let State { entries, by_use, clock, .. } = &mut *state;
        let entry = entries.get_mut(key)?;
        *clock += 1;
        by_use.remove(&entry.used);
        by_use.insert(*clock, key.clone());
        entry.used = *clock;
        Some(Arc::clone(&entry.value))
    }

    fn insert(&self, key: &K, value: &Arc<V>, bytes: usize) {
        let mut state = lock(&self.state);
        state.remove(key);
        state.clock += 1;
        let used = state.clock;
        state.entries.insert(key.clone(), Entry { value: Arc::clone(value), bytes, used });
        state.by_use.insert(used, key.clone());
        state.bytes += bytes;
        while state.bytes > self.max_bytes {
            let Some(oldest) = state.by_use.first_key_value().map(|(_, key)| key.clone()) else { break };
            state.remove(&oldest);
        }
    }

    /// Drops every entry whose key `which` says true for.
    pub fn remove_where(&self, which: impl Fn(&K) -> bool) {
        let mut state = lock(&self.state);
        let gone: Vec<K> = state.entries.keys().filter(|k| which(k)).cloned().collect();
        for key in gone {
            state.remove(&key);
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        lock(&self.state).bytes
    }
}

impl<K: Eq + Hash, V> State<K, V> {
    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_leaves_first() {
        let cache: ByteCache<u32, u32> = ByteCache::new(30);
        let load = |key: u32| cache.get_or_load(&key, || Ok::<_, ()>((key, 10))).expect("load");
        for key in [1, 2, 3, 1, 4] {
            assert_eq!(*load(key), key);
        }
        assert!(cache.get(&2).is_none());
        assert!(cache.get(&1).is_some());
        assert_eq!(cache.bytes(), 30);
        cache.remove_where(|key| *key != 1);
        assert_eq!(cache.bytes(), 10);
    }
}
