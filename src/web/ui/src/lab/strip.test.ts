import { describe, expect, it } from 'vitest';
import { stripPath, stripText } from './Strip';
import type { Span } from './types';

const spans: Span[] = [
  { state: 'pending', from: 100, to: 150 },
  { state: 'firing', from: 150, to: 300 },
  { state: 'firing', from: 900, to: null },
];

describe('strips', () => {
  it('cover the time of each state', () => {
    expect(stripPath(spans, 'pending', 0, 1000)).toBe('M100.00 0H150.00V1H100.00Z');
    expect(stripPath(spans, 'firing', 0, 1000)).toBe('M150.00 0H300.00V1H150.00ZM900.00 0H1000.00V1H900.00Z');
  });

  it('leave out what lies elsewhere, and show what is short', () => {
    expect(stripPath(spans, 'firing', 400, 800)).toBe('');
    const short: Span[] = [{ state: 'firing', from: 5, to: 5.001 }];
    expect(stripPath(short, 'firing', 0, 1000)).toBe('M5.00 0H6.00V1H5.00Z');
  });

  it('are told in words', () => {
    expect(stripText(spans, 1000)).toBe('fired 2 times, 4m 10s in all');
    expect(stripText(spans.slice(0, 1), 1000)).toBe('pending once, never fired');
  });
});
