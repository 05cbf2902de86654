// Expressions that are too long for an address: they are kept in this tab, and
// the address names them by a number made from their text.
import { keepSessionValue, sessionValue } from '../lib/session';

type Entry = [id: string, expr: string];

const KEY = 'emberkeep.keptExpressions';
/** Characters kept at most; browsers give a page some five million. */
const MOST_KEPT = 1_500_000;

const isEntries = (value: unknown): value is Entry[] =>
  Array.isArray(value) &&
  value.every(
    (entry) => Array.isArray(entry) && entry.length === 2 && entry.every((e) => typeof e === 'string'),
  );

/** What was read or kept since the page was loaded: it is there although the browser may refuse to store it. */
const known = new Map<string, string>();

/** The same text has the same number, so that going back finds it. */
export function idOf(expr: string): string {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let index = 0; index < expr.length; index++) {
    const unit = expr.charCodeAt(index);
    high = Math.imul(high ^ unit, 2654435761);
    low = Math.imul(low ^ unit, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return ((high >>> 0).toString(16) + (low >>> 0).toString(16).padStart(8, '0')).padStart(16, '0');
}

/** The newest entries, oldest first, that have room. */
export function withRoom(entries: readonly Entry[], most = MOST_KEPT): Entry[] {
  let room = most;
  const first = entries.findLastIndex(([, expr]) => {
    room -= expr.length;
    return room < 0;
  });
  return entries.slice(first + 1);
}

export function keepExpression(expr: string): string {
  const id = idOf(expr);
  if (known.get(id) === expr) return id;
  known.set(id, expr);
  const others = (sessionValue(KEY, isEntries) ?? []).filter(([other]) => other !== id);
  keepSessionValue(KEY, withRoom([...others, [id, expr]]));
  return id;
}

export function keptExpression(id: string): string | undefined {
  const found = known.get(id) ?? sessionValue(KEY, isEntries)?.find(([other]) => other === id)?.[1];
  if (found !== undefined) known.set(id, found);
  return found;
}
