// Which groups of rules are closed, remembered in this browser.
import { createStoredStore } from '../lib/store';

/** Names kept at most; those closed longest ago are forgotten first. */
const MOST_KEPT = 500;

const isNames = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((name) => typeof name === 'string');

export const collapsedStore = createStoredStore<string[]>('emberkeep.collapsedRuleGroups', [], isNames);

/** The names with some of them closed or opened. */
export function withCollapsed(
  names: readonly string[],
  keys: readonly string[],
  isCollapsed: boolean,
  most = MOST_KEPT,
): string[] {
  const changed = new Set(keys);
  const others = names.filter((name) => !changed.has(name));
  return isCollapsed ? [...others, ...changed].slice(-most) : others;
}
