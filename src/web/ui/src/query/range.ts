// Arithmetic of graph ranges and resolution steps, in milliseconds.
import type { Resolution } from './panel';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The stops of the range buttons. */
export const RANGE_STEPS_MS: readonly number[] = [
  1000,
  10_000,
  MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  7 * DAY,
  14 * DAY,
  28 * DAY,
  56 * DAY,
  112 * DAY,
  182 * DAY,
  365 * DAY,
  730 * DAY,
];

/** The next longer stop, or the range itself at the end of the scale. */
export function longerRange(rangeMs: number): number {
  return RANGE_STEPS_MS.find((step) => step > rangeMs) ?? rangeMs;
}

/** The next shorter stop, or the range itself at the start of the scale. */
export function shorterRange(rangeMs: number): number {
  return RANGE_STEPS_MS.findLast((step) => step < rangeMs) ?? rangeMs;
}

const POINTS = { low: 100, medium: 250, high: 750 } as const;

/** Distance between two points of a graph, at least 1 ms. */
export function stepOf(resolution: Resolution, rangeMs: number): number {
  if (resolution.type !== 'auto') return Math.max(1, resolution.stepMs);
  const exact = rangeMs / POINTS[resolution.density];
  // Whole seconds, so that steps are easy to read and to repeat.
  return Math.max(1000, Math.floor(exact / 1000) * 1000);
}

/**
 * The steps a graph asks for: those of a window that ends at `endMs`, or at `nowMs` if that is null. The first is at or
 * before the beginning of the window. A window that moves on with the time has its steps at multiples of the step, so
 * that points stay where they are and the server knows most of them already; `lastMs` of these lies before the end.
 */
export function windowOf(
  endMs: number | null,
  nowMs: number,
  rangeMs: number,
  stepMs: number,
): { startMs: number; endMs: number; lastMs: number } {
  if (endMs !== null) return { startMs: endMs - Math.ceil(rangeMs / stepMs) * stepMs, endMs, lastMs: endMs };
  const startMs = Math.floor((nowMs - rangeMs) / stepMs) * stepMs;
  return { startMs, endMs: nowMs, lastMs: Math.floor(nowMs / stepMs) * stepMs };
}

/** Moves an end time by half a range; `direction` is -1 or 1. */
export function shiftEnd(endMs: number, rangeMs: number, direction: -1 | 1): number {
  return Math.round(endMs + (direction * rangeMs) / 2);
}
