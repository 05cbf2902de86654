// The series nearest to the pointer at one time.
import type { Column } from './align';

/**
 * Index of the shown series whose value at `row` is drawn closest to `top`,
 * or null when none has a value there.
 */
export function nearestSeries(
  columns: readonly Column[],
  row: number,
  top: number,
  toTop: (value: number) => number,
  isShown: (index: number) => boolean,
): number | null {
  let best: number | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (let s = 0; s < columns.length; s++) {
    const value = columns[s]![row];
    if (value === null || value === undefined || !isShown(s)) continue;
    const distance = Math.abs(toTop(value) - top);
    if (distance < bestDistance) {
      bestDistance = distance;
      best = s;
    }
  }
  return best;
}

/**
 * The row at or near `row` that has any value, looking at most `reach` rows
 * to both sides; thin data would otherwise be hard to point at.
 */
export function rowWithValues(
  columns: readonly Column[],
  row: number,
  reach: number,
  isShown: (index: number) => boolean,
): number | null {
  const has = (at: number) =>
    columns.some((column, s) => isShown(s) && column[at] !== null && column[at] !== undefined);
  for (let distance = 0; distance <= reach; distance++) {
    if (has(row - distance)) return row - distance;
    if (distance > 0 && has(row + distance)) return row + distance;
  }
  return null;
}
