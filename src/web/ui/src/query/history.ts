// Expressions that were run before, newest first, kept in the browser.
import { createStoredStore } from '../lib/store';

const LIMIT = 50;
/** Characters of all entries together; the browser's storage has room for some more. */
const MOST_CHARACTERS = 500_000;

export const historyStore = createStoredStore<string[]>(
  'emberkeep.queryHistory',
  [],
  (value): value is string[] => Array.isArray(value) && value.every((entry) => typeof entry === 'string'),
);

/** The entries with a new one first, as many of them as have room. */
export function withNewest(expr: string, entries: readonly string[]): string[] {
  let room = MOST_CHARACTERS;
  const all = [expr, ...entries.filter((entry) => entry !== expr)].slice(0, LIMIT);
  const end = all.findIndex((entry) => {
    room -= entry.length;
    return room < 0;
  });
  return end < 0 ? all : all.slice(0, end);
}

export function remember(expr: string) {
  if (expr.trim() === '') return;
  historyStore.set((entries) => withNewest(expr, entries));
}
