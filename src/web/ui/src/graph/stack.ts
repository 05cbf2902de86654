// Stacked values. The first series ends up on top, so that the order of the
// legend is the order of the areas, and it is drawn first, under the others.
import type { Column } from './align';

/**
 * Running sums from the last series to the first. A missing value adds
 * nothing and stays missing; hidden series are left out of the sums.
 */
export function stack(columns: readonly Column[], isShown: (index: number) => boolean): Column[] {
  const rows = columns[0]?.length ?? 0;
  const sums = new Array<number>(rows).fill(0);
  const stacked: Column[] = new Array(columns.length);
  for (let s = columns.length - 1; s >= 0; s--) {
    const column = columns[s]!;
    if (!isShown(s)) {
      stacked[s] = new Array(rows).fill(null);
      continue;
    }
    stacked[s] = column.map((value, row) => {
      if (value === null) return null;
      sums[row]! += value;
      return sums[row]!;
    });
  }
  return stacked;
}
