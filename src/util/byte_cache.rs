//! A cache bounded by bytes; what was not used since it was last passed over leaves first.
//!
//! **Cost**: a hit is one look-up and one flag, under a lock held for no longer; entries stand in a ring that only an
//! insertion turns.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use crate::util::lock::lock;

struct Entry<V> {
    value: Arc<V>,
    bytes: usize,
    used: bool,
}

struct State<K, V> {
    entries: HashMap<K, Entry<V>, foldhash::fast::RandomState>,
    /// Keys in the order they came in or were last spared.
    ring: VecDeque<K>,
    bytes: usize,
}

/// Values by key, at most a given sum of bytes.
pub struct ByteCache<K, V> {
    max_bytes: usize,
    state: Mutex<State<K, V>>,
}

impl<K, V> std::fmt::Debug for ByteCache<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = lock(&self.state);
        let mut shown = f.debug_struct("ByteCache");
        shown.field("entries", &state.entries.len()).field("bytes", &state.bytes).finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash, V> ByteCache<K, V> {
    /// An empty cache.
    pub fn new(max_bytes: usize) -> Self {
        let state = State { entries: HashMap::default(), ring: VecDeque::new(), bytes: 0 };
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

    /// The value under `key`, if it is there.
    pub fn get(&self, key: &K) -> Option<Arc<V>> {
        let mut state = lock(&self.state);
        let entry = state.entries.get_mut(key)?;
        entry.used = true;
        Some(Arc::clone(&entry.value))
    }

    /// Keeps `value`, which takes `bytes`, under `key`. More than the cache may hold at all is not kept.
    pub fn insert(&self, key: &K, value: &Arc<V>, bytes: usize) {
        let mut state = lock(&self.state);
        let entry = Entry { value: Arc::clone(value), bytes, used: false };
        state.bytes += bytes;
        match state.entries.insert(key.clone(), entry) {
            // Its place in the ring stays.
            Some(old) => state.bytes -= old.bytes,
            None => state.ring.push_back(key.clone()),
        }
        while state.bytes > self.max_bytes {
            let Some(oldest) = state.ring.pop_front() else { break };
            match state.entries.get_mut(&oldest) {
                Some(entry) if entry.used => {
                    // Spared once for each use; every turn of the ring clears a flag, so this ends.
                    entry.used = false;
                    state.ring.push_back(oldest);
                }
                _ => {
                    if let Some(gone) = state.entries.remove(&oldest) {
                        state.bytes -= gone.bytes;
                    }
                }
            }
        }
    }

    /// Drops every entry whose key `which` says true for.
    pub fn remove_where(&self, which: impl Fn(&K) -> bool) {
        let mut state = lock(&self.state);
        let State { entries, ring, bytes } = &mut *state;
        ring.retain(|key| !which(key));
        entries.retain(|key, entry| {
            let gone = which(key);
            if gone {
                *bytes -= entry.bytes;
            }
            !gone
        });
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        lock(&self.state).bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_leaves_first() {
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
        for key in 0..1000 {
            load(key);
            assert!(cache.bytes() <= 30);
        }
        assert!(cache.get_or_load(&7, || Err("full disk")).is_err());
        // More than fits is handed out, but not kept.
        cache.get_or_load(&5000, || Ok::<_, ()>((1, 50))).expect("load");
        assert_eq!(cache.bytes(), 0);
    }
}
