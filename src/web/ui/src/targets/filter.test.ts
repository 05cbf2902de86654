// Which targets pass the filters, and the filters in the address.
import { expect, it } from 'vitest';
import type { ActiveTarget } from '../api/types';
import { decodeFilter, encodeFilter, groupByPool, isWanted } from './filter';

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
