import { describe, expect, it } from 'vitest';
import { FIRST_LAB } from './labState';
import { ruleFile } from './ruleFile';

describe('a rule as a file', () => {
  it('has what the lab has', () => {
    const text = ruleFile({
      ...FIRST_LAB,
      expr: 'rate(x{a="b"}[5m]) > 1',
      alert: 'Slow',
      forMs: 300_000,
      keepMs: 60_000,
      labels: { severity: 'page', on: 'yes' },
      annotations: { summary: '{{ $value }}: "much"' },
    });
    expect(text).toBe(`groups:
  - name: lab
    rules:
      - alert: Slow
        expr: "rate(x{a=\\"b\\"}[5m]) > 1"
        for: 5m
        keep_firing_for: 1m
        labels:
          severity: page
          "on": "yes"
        annotations:
          summary: "{{ $value }}: \\"much\\""
`);
  });

  it('escapes what YAML does not let through', () => {
    const text = ruleFile({ ...FIRST_LAB, expr: 'x\n\u0085', labels: { a: '\u2028\ufeffä\u007f' } });
    expect(text).toContain('expr: "x\\n\\u0085"');
    expect(text).toContain('a: "\\u2028\\ufeffä\\u007f"');
  });

  it('leaves out what is not said', () => {
    expect(
      ruleFile({ ...FIRST_LAB, expr: 'up\n  == 0', intervalMs: 15_000, offsetMs: 60_000, limit: 3 }),
    ).toBe(`groups:
  - name: lab
    interval: 15s
    query_offset: 1m
    limit: 3
    rules:
      - alert: Lab
        expr: |-
          up
            == 0
`);
  });
});
