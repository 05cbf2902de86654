// Which targets pass the filters, and the filters in the address.
import { expect, it } from 'vitest';
import type { ActiveTarget } from '../api/types';
import { decodeFilter, encodeFilter, groupByPool, isWanted, refusedSeriesText } from './filter';

const target = (patch: Partial<ActiveTarget>): ActiveTarget => ({
  labels: { job: 'node' },
  scrapePool: 'node',
  scrapeUrl: 'http://host-1:9100/metrics',
  health: 'up',
  ...patch,
});
const all = { pool: null, health: [], search: '' };

it('keeps the filters in the address', () => {
  const filter = { pool: 'a b', health: ['up' as const, 'down' as const], search: 'x&y' };
  expect(decodeFilter(new URLSearchParams(encodeFilter(filter).toString()))).toEqual(filter);
  expect(encodeFilter(all).toString()).toBe('');
  expect(decodeFilter(new URLSearchParams('health=DOWN&health=odd')).health).toEqual(['down']);
});

it('searches addresses, labels and errors for every word', () => {
  const one = target({ lastError: 'connection refused' });
  expect(isWanted(one, { ...all, search: 'HOST-1 node' })).toBe(true);
  expect(isWanted(one, { ...all, search: 'refused' })).toBe(true);
  expect(isWanted(one, { ...all, search: 'host-2' })).toBe(false);
  expect(isWanted(one, { ...all, health: ['down'] })).toBe(false);
});

it('counts whole pools whatever the filter', () => {
  const pools = groupByPool(
    [target({}), target({ health: 'down' }), target({ scrapePool: 'app', health: 'unknown' })],
    { ...all, health: ['down'] },
  );
  expect(pools.map(({ name, up, down, total, targets }) => [name, up, down, total, targets.length])).toEqual([
    ['app', 0, 0, 1, 0],
    ['node', 1, 1, 2, 1],
  ]);
});

it('says in words which series were left out', () => {
  const refused = { count: 1200, reason: 'target series quota of 10 reached', metric: 'a', metricSeries: 7 };
  expect(refusedSeriesText({ ...refused, label: 'n', labelValues: 5 })).toBe(
    '1,200 new series not taken: target series quota of 10 reached; a has 7 series, label n has 5 values',
  );
  expect(refusedSeriesText({ ...refused, label: null, labelValues: 1 })).toMatch(/; a has 7 series$/);
  expect(refusedSeriesText({ ...refused, metric: null, label: null, labelValues: null })).toMatch(/reached$/);
});

it('counts refused series of a pool whatever the filter', () => {
  const refusedSeries = {
    count: 3,
    reason: 'r',
    metric: null,
    metricSeries: null,
    label: null,
    labelValues: null,
  };
  const pools = groupByPool([target({ refusedSeries }), target({ refusedSeries })], {
    ...all,
    search: 'nothing',
  });
  expect(pools[0]?.refused).toBe(6);
});
