// From a range reply to chart columns: one shared time axis on the query's
// steps, and per series one value per step, null where there is none.
import type { QueryData, RangeSeries } from '../api/types';
import { parseSampleValue } from '../lib/number';
import type { Labels } from '../lib/series';

export type Column = Array<number | null>;

export interface Columns {
  /** Seconds, ascending, one per step of the window and one at its end. */
  times: number[];
  labels: Labels[];
  values: Column[];
  /** Series that hold only native histograms and so have no line. */
  histogramOnly: number;
}

/**
 * Steps that no series has a sample for still get a row, so that a hole in
 * the data is drawn as a hole. Values that cannot be drawn (NaN, infinities)
 * count as missing. `latest` is what an instant query at the end of the
 * window gave, where the last step lies before it.
 */
export function toColumns(
  series: readonly RangeSeries[],
  startMs: number,
  endMs: number,
  stepMs: number,
  latest?: QueryData,
): Columns {
  const steps = Math.floor((endMs - startMs) / stepMs + 1e-6) + 1;
  const times = Array.from({ length: steps }, (_, index) => (startMs + index * stepMs) / 1000);
  if (latest) {
    times.push(endMs / 1000);
    series = withLatest(series, latest);
  }
  const count = times.length;
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
      const atEnd = latest !== undefined && Math.abs(time * 1000 - endMs) < 1;
      const index = atEnd ? count - 1 : Math.round((time * 1000 - startMs) / stepMs);
      const value = parseSampleValue(text);
      if (index >= 0 && index < count && Number.isFinite(value)) column[index] = value;
    }
    labels.push(metric);
    values.push(column);
  }
  return { times, labels, values, histogramOnly };
}

/** The series with what an instant query found at the end of their window. */
function withLatest(series: readonly RangeSeries[], latest: QueryData): RangeSeries[] {
  const key = (metric: Labels) => JSON.stringify(Object.entries(metric).sort());
  const out = series.map((one) => ({ ...one }));
  const places = new Map(out.map((one) => [key(one.metric), one]));
  const placeOf = (metric: Labels) => {
    const found = places.get(key(metric));
    if (found) return found;
    const made: RangeSeries = { metric };
    out.push(made);
    return made;
  };
  if (latest.resultType === 'scalar') {
    const one = placeOf({});
    one.values = [...(one.values ?? []), latest.result];
  }
  for (const { metric, value, histogram } of latest.resultType === 'vector' ? latest.result : []) {
    const one = placeOf(metric);
    if (value) one.values = [...(one.values ?? []), value];
    if (histogram) one.histograms = [...(one.histograms ?? []), histogram];
  }
  return out;
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
