import { expect, it } from 'vitest';
import type { ActiveTarget } from '../api/types';
import { jobsOf } from './jobs';

const active = (scrapePool: string, instance: string): ActiveTarget => ({
  scrapePool,
  scrapeUrl: '',
  health: 'up',
  labels: { instance },
  discoveredLabels: { __address__: instance },
});

it('puts active and dropped targets and mechanisms together by job', () => {
  const jobs = jobsOf(
    [active('b', 'one'), active('a', 'two')],
    [{ scrapePool: 'b', discoveredLabels: { __address__: 'three' } }],
    { b: 7 },
    [{ name: 'c', mechanisms: [] }],
    '',
  );
  expect(jobs.map(({ name, active, dropped, targets }) => [name, active, dropped, targets.length])).toEqual([
    ['a', 1, 0, 1],
    ['b', 1, 7, 2],
    ['c', 0, 0, 0],
  ]);
});

it('searches in labels before and after, and counts all', () => {
  const jobs = jobsOf([active('a', 'one'), active('a', 'two')], [], {}, [], '__address__ TWO');
  expect(jobs[0]?.targets.map(({ labels }) => labels?.instance)).toEqual(['two']);
  expect(jobs[0]?.active).toBe(2);
});
