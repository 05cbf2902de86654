// From the buckets of a backtest to chart columns.
import type { Column, Columns } from '../graph/align';
import { parseSampleValue } from '../lib/number';
import type { Backtest } from './types';

/** Points that are asked for. */
export const POINTS = 600;

/** Buckets without any value get a row too, so that a hole in the data is drawn as a hole. */
export function columnsOf(data: Backtest): Columns {
  const buckets = Math.min(POINTS, data.evaluations);
  const at = (bucket: number) =>
    data.start + Math.ceil((bucket * data.evaluations) / buckets) * data.interval;
  const times = Array.from({ length: buckets }, (_, bucket) => at(bucket));
  const places = new Map(times.map((time, bucket) => [Math.round(time * 1000), bucket]));
  const values = data.series.map(({ values: samples }) => {
    const column: Column = new Array(buckets).fill(null);
    for (const [time, text] of samples) {
      const place = places.get(Math.round(time * 1000));
      const value = parseSampleValue(text);
      if (place !== undefined && Number.isFinite(value)) column[place] = value;
    }
    return column;
  });
  return { times, labels: data.series.map(({ metric }) => metric), values, histogramOnly: 0 };
}
