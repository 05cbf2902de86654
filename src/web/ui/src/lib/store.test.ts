// Stores that the browser remembers, with two tabs on one storage.
import { beforeEach, expect, it, vi } from 'vitest';
import { createStoredStore } from './store';

const isList = (value: unknown): value is string[] => Array.isArray(value);

let entries: Map<string, string>;
let listeners: Array<(event: { key: string | null }) => void>;

beforeEach(() => {
  entries = new Map();
  listeners = [];
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => entries.get(key) ?? null,
    setItem: (key: string, value: string) => entries.set(key, value),
  });
  vi.stubGlobal('addEventListener', (_: string, listener: (event: { key: string | null }) => void) =>
    listeners.push(listener),
  );
});

it('a change adds to what another tab wrote meanwhile', () => {
  const one = createStoredStore<string[]>('list', [], isList);
  const other = createStoredStore<string[]>('list', [], isList);
  one.set((all) => ['a', ...all]);
  other.set((all) => ['b', ...all]);
  one.set((all) => ['c', ...all]);
  expect(JSON.parse(entries.get('list')!)).toEqual(['c', 'b', 'a']);
  expect(one.get()).toEqual(['c', 'b', 'a']);
});

it('what another tab wrote shows', () => {
  const store = createStoredStore<string[]>('list', [], isList);
  const seen = vi.fn();
  store.subscribe(seen);
  entries.set('list', '["x"]');
  for (const listener of listeners) listener({ key: 'other' });
  expect(store.get()).toEqual([]);
  for (const listener of listeners) listener({ key: 'list' });
  expect(store.get()).toEqual(['x']);
  expect(seen).toHaveBeenCalledTimes(1);
  // Storage that was cleared, and an entry that makes no sense.
  entries.set('list', '{');
  for (const listener of listeners) listener({ key: null });
  expect(store.get()).toEqual([]);
});
