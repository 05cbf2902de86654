import { describe, expect, it } from 'vitest';
import { decodeLab, encodeLab, FIRST_LAB, formatLabels, labOf, parseLabels } from './labState';

describe('the address of the lab', () => {
  it('is empty at first and comes back as it was', () => {
    expect(encodeLab(FIRST_LAB).toString()).toBe('');
    expect(decodeLab(new URLSearchParams())).toEqual(FIRST_LAB);
    const state = {
      ...FIRST_LAB,
      tab: 'file' as const,
      expr: 'rate(x[5m]) > 0.5',
      alert: 'Slow',
      forMs: 300_000,
      keepMs: 60_000,
      labels: { severity: 'page', team: 'a & b' },
      annotations: { summary: '{{ $value }} is "much"' },
      rangeMs: 86_400_000,
      endMs: Date.UTC(2026, 2, 1, 12),
      intervalMs: 15_000,
      offsetMs: 0,
      limit: 7,
    };
    expect(decodeLab(new URLSearchParams(encodeLab(state).toString()))).toEqual(state);
  });

  it('takes what cannot be read as absent', () => {
    const broken = new URLSearchParams('for=x&range=-1h&labels=[1]&annotations={&end=never');
    expect(decodeLab(broken)).toEqual(FIRST_LAB);
  });

  it('holds a rule', () => {
    const { search } = labOf({ name: 'A', query: 'up == 0', duration: 60 });
    expect(decodeLab(new URLSearchParams(search))).toEqual({
      ...FIRST_LAB,
      alert: 'A',
      expr: 'up == 0',
      forMs: 60_000,
    });
    const range = { rangeMs: 3_600_000, endMs: Date.UTC(2026, 2, 1) };
    const group = { interval: 15, limit: 5, queryOffset: 90.5 };
    expect(decodeLab(new URLSearchParams(labOf({ name: 'A', query: 'up' }, group, range).search))).toEqual({
      ...FIRST_LAB,
      ...range,
      alert: 'A',
      expr: 'up',
      intervalMs: 15_000,
      limit: 5,
      offsetMs: 90_500,
    });
    // A group may say that it looks back not at all, whatever others do.
    const none = labOf({ name: 'A', query: 'up' }, { interval: 15, queryOffset: 0 });
    expect(decodeLab(new URLSearchParams(none.search)).offsetMs).toBe(0);
  });
});

describe('labels as text', () => {
  it('are read as they are written', () => {
    for (const labels of [{}, { a: 'b' }, { a: 'b c', d: '' }, { a: 'x,y="z"', b: '{{ $labels.job }}' }]) {
      expect(parseLabels(formatLabels(labels as Record<string, string>))).toEqual(labels);
    }
  });

  it('are refused where they are none', () => {
    for (const text of ['a', '=b', 'a=b c=d"', '1a=b', 'a="b']) expect(parseLabels(text)).toBeNull();
  });
});
