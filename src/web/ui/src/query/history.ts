// Expressions that were run before, newest first, kept in the browser.
import { createStoredStore } from '../lib/store';

const LIMIT = 50;

export const historyStore = createStoredStore<string[]>(
  'emberkeep.queryHistory',
  [],
  (value): value is string[] => Array.isArray(value) && value.every((entry) => typeof entry === 'string'),
);

export function remember(expr: string) {
  if (expr.trim() === '') return;
  historyStore.set((entries) => [expr, ...entries.filter((entry) => entry !== expr)].slice(0, LIMIT));
}
