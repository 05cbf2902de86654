// Range stops, automatic steps and moving the end time.
import { expect, it } from 'vitest';
import { longerRange, RANGE_STEPS_MS, shiftEnd, shorterRange, stepOf, windowOf } from './range';

const HOUR = 3_600_000;

it('steps through the usual ranges and stops at both ends', () => {
  expect(longerRange(HOUR)).toBe(2 * HOUR);
  expect(shorterRange(HOUR)).toBe(HOUR / 2);
  expect(longerRange(HOUR + 1)).toBe(2 * HOUR);
  expect(shorterRange(HOUR + 1)).toBe(HOUR);
  expect(longerRange(RANGE_STEPS_MS.at(-1)!)).toBe(RANGE_STEPS_MS.at(-1));
  expect(shorterRange(RANGE_STEPS_MS[0]!)).toBe(RANGE_STEPS_MS[0]);
});

it('chooses whole seconds for automatic steps, at least one', () => {
  expect(stepOf({ type: 'auto', density: 'medium' }, HOUR)).toBe(14_000);
  expect(stepOf({ type: 'auto', density: 'low' }, HOUR)).toBe(36_000);
  expect(stepOf({ type: 'auto', density: 'high' }, HOUR)).toBe(4000);
  expect(stepOf({ type: 'auto', density: 'medium' }, 60_000)).toBe(1000);
  expect(stepOf({ type: 'fixed', stepMs: 300_000 }, HOUR)).toBe(300_000);
  expect(stepOf({ type: 'custom', stepMs: 0 }, HOUR)).toBe(1);
});

it('places and moves the window', () => {
  const end = 10 * HOUR + 7;
  expect(windowOf(end, 0, HOUR, 14_000)).toEqual({ startMs: end - 258 * 14_000, endMs: end, lastMs: end });
  expect(windowOf(end, 0, HOUR, 15_000)).toEqual({ startMs: end - HOUR, endMs: end, lastMs: end });
  expect(windowOf(null, end, HOUR, 15_000)).toEqual({ startMs: 9 * HOUR, endMs: end, lastMs: 10 * HOUR });
  expect(shiftEnd(10 * HOUR, HOUR, -1)).toBe(9.5 * HOUR);
  expect(shiftEnd(10 * HOUR, HOUR, 1)).toBe(10.5 * HOUR);
});
