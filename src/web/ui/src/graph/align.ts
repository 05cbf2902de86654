// From a range reply to chart columns: one shared time axis on the query's
// steps, and per series one value per step, null where there is none.
import type { RangeSeries } from '../api/types';
import { parseSampleValue } from '../lib/number';
import type { Labels } from '../lib/series';

export type Column = Array<number | null>;

export interface Columns {
  /** Seconds, ascending, one per step of the window. */
  times: number[];
  labels: Labels[];
  values: Column[];
  /** Series that hold only native histograms and so have no line. */
  histogramOnly: number;
}

/**
 * Steps that no series has a sample for still get a row, so that a hole in
 * the data is drawn as a hole. Values that cannot be drawn (NaN, infinities)
 * count as missing.
 */
export function toColumns(
  series: readonly RangeSeries[],
  startMs: number,
  endMs: number,
  stepMs: number,
): Columns {
  const count = Math.floor((endMs - startMs) / stepMs + 1e-6) + 1;
  const times = Array.from({ length: count }, (_, index) => (startMs + index * stepMs) / 1000);
  const labels: Labels[] = [];
  const values: Column[] = [];
  let histogramOnly = 0;
  for (const { metric, values: samples, histograms } of series) {
    if (!samples || samples.length === 0) {
      if (histograms && histograms.length > 0) histogramOnly += 1;
      continue;
    }
    const column: Column = new Array(count).fill(null);
    for (const [time, text] of samples) {
      const index = Math.round((time * 1000 - startMs) / stepMs);
      const value = parseSampleValue(text);
      if (index >= 0 && index < count && Number.isFinite(value)) column[index] = value;
    }
    labels.push(metric);
    values.push(column);
  }
  return { times, labels, values, histogramOnly };
}

/** Places whose neighbours are both missing: a line would not show them. */
export function isolatedPoints(column: Column): number[] {
  const found: number[] = [];
  for (let i = 0; i < column.length; i++) {
    if (column[i] === null) continue;
    if ((column[i - 1] ?? null) === null && (column[i + 1] ?? null) === null) found.push(i);
  }
  return found;
}
