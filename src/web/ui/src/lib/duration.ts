// Durations: the compact form of the query language ("1h30m") and a spaced
// form for reading ("1h 30m"). All values are milliseconds.

const MS = 1;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const WEEK = 7 * DAY;
const YEAR = 365 * DAY;

// Largest first: a duration lists its units in this order, each at most once.
const UNITS: ReadonlyArray<readonly [string, number]> = [
  ['y', YEAR],
  ['w', WEEK],
  ['d', DAY],
  ['h', HOUR],
  ['m', MINUTE],
  ['s', SECOND],
  ['ms', MS],
];

/** Milliseconds of "1h30m", or null when the text is not a duration. */
export function parseDuration(text: string): number | null {
  const trimmed = text.trim();
  if (trimmed === '0') return 0;
  if (trimmed === '') return null;
  let rest = trimmed;
  let total = 0;
  let nextUnit = 0;
  while (rest !== '') {
    const part = /^(\d+)(ms|[ywdhms])/.exec(rest);
    if (!part) return null;
    const index = UNITS.findIndex(([name]) => name === part[2]);
    if (index < nextUnit) return null;
    nextUnit = index + 1;
    total += Number(part[1]) * UNITS[index]![1];
    rest = rest.slice(part[0].length);
  }
  return Number.isSafeInteger(total) ? total : null;
}

function partsOf(milliseconds: number): string[] {
  let rest = Math.round(Math.abs(milliseconds));
  const parts: string[] = [];
  for (const [name, size] of UNITS) {
    // Years and weeks only when nothing is left over: 90d reads better than
    // 12w6d.
    if ((name === 'y' || name === 'w') && rest % size !== 0) continue;
    const count = Math.floor(rest / size);
    if (count === 0) continue;
    parts.push(`${count}${name}`);
    rest -= count * size;
  }
  return parts;
}

/** "1h30m", readable by `parseDuration` and by the query language. */
export function formatDuration(milliseconds: number): string {
  const parts = partsOf(milliseconds);
  if (parts.length === 0) return '0s';
  return (milliseconds < 0 ? '-' : '') + parts.join('');
}

/**
 * A duration for reading, with at most two units: "2h 5m", "12.3s", "4.1ms".
 */
export function humanizeDuration(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return String(milliseconds);
  const sign = milliseconds < 0 ? '-' : '';
  const size = Math.abs(milliseconds);
  if (size === 0) return '0s';
  if (size < 1) return `${sign}${trim(size * 1000, 0)}\u00b5s`;
  if (size < SECOND) return `${sign}${trim(size, size < 10 ? 2 : 1)}ms`;
  if (size < MINUTE) return `${sign}${trim(size / SECOND, size < 10 * SECOND ? 2 : 1)}s`;
  const rounded = Math.round(size / SECOND) * SECOND;
  const parts = partsOf(rounded).slice(0, 2);
  return sign + parts.join(' ');
}

function trim(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}
