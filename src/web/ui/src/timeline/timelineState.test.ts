import { describe, expect, it } from 'vitest';
import { decodeTimeline, encodeTimeline, FIRST_TIMELINE } from './timelineState';

describe('the address of the timeline', () => {
  it('comes back as it was', () => {
    expect(encodeTimeline(FIRST_TIMELINE).toString()).toBe('');
    const state = {
      rangeMs: 3_600_000,
      endMs: Date.UTC(2026, 0, 2),
      alert: 'A',
      match: '{severity="page"}',
      state: 'firing' as const,
    };
    expect(decodeTimeline(new URLSearchParams(encodeTimeline(state).toString()))).toEqual(state);
  });

  it('takes what cannot be read as absent', () => {
    expect(decodeTimeline(new URLSearchParams('range=-1h&end=x&state=inactive'))).toEqual(FIRST_TIMELINE);
  });
});
