// A store of one immutable value that React components can subscribe to,
// optionally remembered in the browser's local storage.
import { useSyncExternalStore } from 'react';

export interface Store<T> {
  get(): T;
  set(next: T | ((current: T) => T)): void;
  subscribe(listener: () => void): () => void;
}

export function createStore<T>(initial: T): Store<T> {
  let value = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => value,
    set(next) {
      const resolved = typeof next === 'function' ? (next as (current: T) => T)(value) : next;
      if (Object.is(resolved, value)) return;
      value = resolved;
      for (const listener of listeners) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/**
 * A store whose value survives a reload and is the same in all tabs. A missing
 * or unreadable entry gives `fallback`; storage that refuses to write is
 * ignored, since the value only matters for convenience.
 */
export function createStoredStore<T>(
  key: string,
  fallback: T,
  isValid: (value: unknown) => value is T,
): Store<T> {
  const store = createStore(readEntry(key, fallback, isValid));
  let text = readText(key);
  // Takes over what another tab wrote. Compared as text: equal values are read as different objects.
  const refresh = () => {
    const now = readText(key);
    if (now === text) return;
    text = now;
    store.set(() => readEntry(key, fallback, isValid));
  };
  globalThis.addEventListener?.('storage', (event) => {
    if (event.key === key || event.key === null) refresh();
  });
  return {
    ...store,
    set(next) {
      refresh();
      store.set(next);
      try {
        const written = JSON.stringify(store.get());
        localStorage.setItem(key, written);
        text = written;
      } catch {
        // Private windows and full storage refuse writes.
      }
    },
  };
}

function readText(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function readEntry<T>(key: string, fallback: T, isValid: (value: unknown) => value is T): T {
  try {
    const text = readText(key);
    if (text === null) return fallback;
    const value: unknown = JSON.parse(text);
    return isValid(value) ? value : fallback;
  } catch {
    return fallback;
  }
}

export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get);
}
