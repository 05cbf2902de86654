// From replies to drawn values: alignment, gaps, stacking, the pointer.
import { describe, expect, it } from 'vitest';
import type { QueryData, RangeSeries } from '../api/types';
import { isolatedPoints, toColumns } from './align';
import { afterClick } from './legendClick';
import { nearestSeries, rowWithValues } from './nearest';
import { seriesColor } from './palette';
import { stack } from './stack';

describe('columns', () => {
  it('have a row per step, with gaps as null', () => {
    const series: RangeSeries[] = [
      {
        metric: { a: '1' },
        values: [
          [10, '1'],
          [30, '3'],
        ],
      },
      { metric: { a: '2' }, values: [[20.0004, '5']] },
    ];
    const columns = toColumns(series, 10_000, 40_000, 10_000);
    expect(columns.times).toEqual([10, 20, 30, 40]);
    expect(columns.values).toEqual([
      [1, null, 3, null],
      [null, 5, null, null],
    ]);
    expect(columns.labels).toEqual([{ a: '1' }, { a: '2' }]);
  });

  it('end in what an instant query found at the end of the window', () => {
    const series: RangeSeries[] = [{ metric: { a: '1', b: '2' }, values: [[10, '1']] }];
    const latest: QueryData = {
      resultType: 'vector',
      result: [
        { metric: { b: '2', a: '1' }, value: [25, '7'] },
        { metric: { a: '3' }, value: [25, '8'] },
        { metric: { a: '4' }, histogram: [25, { count: '1', sum: '2' }] },
      ],
    };
    const columns = toColumns(series, 10_000, 25_000, 10_000, latest);
    expect(columns.times).toEqual([10, 20, 25]);
    expect(columns.labels).toEqual([{ a: '1', b: '2' }, { a: '3' }]);
    expect(columns.values).toEqual([
      [1, null, 7],
      [null, null, 8],
    ]);
    expect(columns.histogramOnly).toBe(1);
    const scalar: QueryData = { resultType: 'scalar', result: [25, '3'] };
    expect(toColumns([], 10_000, 25_000, 10_000, scalar).values).toEqual([[null, null, 3]]);
  });

  it('count steps in spite of rounding', () => {
    expect(toColumns([], 0, 300, 100).times).toEqual([0, 0.1, 0.2, 0.3]);
    expect(toColumns([], 1_700_000_000_123, 1_700_000_001_123, 333).times).toHaveLength(4);
  });

  it('leave out what cannot be drawn', () => {
    const series: RangeSeries[] = [
      {
        metric: {},
        values: [
          [0, 'NaN'],
          [1, '+Inf'],
          [2, '2'],
          [9, '9'],
        ],
      },
      { metric: {}, histograms: [[0, { count: '1', sum: '2' }]] },
    ];
    const columns = toColumns(series, 0, 2000, 1000);
    expect(columns.values).toEqual([[null, null, 2]]);
    expect(columns.histogramOnly).toBe(1);
  });

  it('know their lonely points', () => {
    expect(isolatedPoints([1, null, 2, 3, null, 4])).toEqual([0, 5]);
    expect(isolatedPoints([1])).toEqual([0]);
    expect(isolatedPoints([null, null])).toEqual([]);
  });
});

it('stacks from the last series up and keeps gaps', () => {
  const columns = [
    [1, 1, null],
    [2, null, 2],
    [3, 3, 3],
  ];
  expect(stack(columns, () => true)).toEqual([
    [6, 4, null],
    [5, null, 5],
    [3, 3, 3],
  ]);
  expect(stack(columns, (index) => index !== 1)).toEqual([
    [4, 4, null],
    [null, null, null],
    [3, 3, 3],
  ]);
});

it('finds the shown series nearest to the pointer', () => {
  const columns = [[10], [20], [null]];
  const toTop = (value: number) => 100 - value;
  expect(nearestSeries(columns, 0, 82, toTop, () => true)).toBe(1);
  expect(nearestSeries(columns, 0, 82, toTop, (index) => index !== 1)).toBe(0);
  expect(nearestSeries(columns, 1, 82, toTop, () => true)).toBeNull();
  expect(rowWithValues([[null, null, 1]], 0, 2, () => true)).toBe(2);
  expect(rowWithValues([[null, null, 1]], 0, 1, () => true)).toBeNull();
});

it('toggles by a click and isolates by a click with a modifier', () => {
  const none = new Set<number>();
  expect([...afterClick(none, 3, 1, false)]).toEqual([1]);
  expect([...afterClick(new Set([1]), 3, 1, false)]).toEqual([]);
  expect([...afterClick(none, 3, 1, true)]).toEqual([0, 2]);
  expect([...afterClick(new Set([0, 2]), 3, 1, true)]).toEqual([]);
});

it('gives every series a colour of its own', () => {
  const colors = Array.from({ length: 200 }, (_, index) => seriesColor(index));
  expect(new Set(colors).size).toBe(200);
  for (const color of colors) expect(color).toMatch(/^#[0-9a-f]{6}$/);
});
