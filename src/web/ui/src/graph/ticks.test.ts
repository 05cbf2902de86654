// Labels of the value axis.
import { describe, expect, it } from 'vitest';
import { axisLabels, exponentOf, scaled } from './ticks';

function labels(first: number, increment: number, count: number, exponent = 0): [string[], string] {
  const start = Math.round(first / increment);
  const ticks = Array.from({ length: count }, (_, at) => (start + at) * increment);
  const { labels, base } = axisLabels(ticks, increment, exponent);
  return [labels, base];
}

describe('labels of ticks', () => {
  it('are exact', () => {
    expect(labels(0, 0.25, 4)).toEqual([['0', '250m', '500m', '750m'], '']);
    expect(labels(0, 0.25, 5)).toEqual([['0', '0.25', '0.50', '0.75', '1.00'], '']);
    expect(labels(0, 0.5, 4)).toEqual([['0', '0.5', '1.0', '1.5'], '']);
    expect(labels(1, 0.25, 3)).toEqual([['1.00', '1.25', '1.50'], '']);
    expect(labels(0, 500, 4)).toEqual([['0', '0.5k', '1.0k', '1.5k'], '']);
    expect(labels(0, 0.001, 3)).toEqual([['0', '1m', '2m'], '']);
    expect(labels(-1, 1, 3)).toEqual([['-1', '0', '1'], '']);
    expect(labels(0, 2.5e-7, 3)).toEqual([['0', '250n', '500n'], '']);
    expect(labels(1000, 1000, 2)).toEqual([['1k', '2k'], '']);
    expect(labels(0, 1, 1)).toEqual([['0'], '']);
  });

  it('show a large base apart', () => {
    expect(labels(1e12, 1, 3)).toEqual([['+0', '+1', '+2'], '1T']);
    expect(labels(1_234_567_890, 0.5, 3)).toEqual([['+0', '+0.5', '+1.0'], '1.23456789G']);
    expect(labels(-1e9 - 3, 1, 3)).toEqual([['+7', '+8', '+9'], '-1.00000001G']);
    expect(labels(1e7, 100, 2)).toEqual([['10.0000M', '10.0001M'], '']);
    expect(labels(1e9 - 2, 2, 3)).toEqual([['+8', '+10', '+12'], '999.99999M']);
  });

  it('have exponents where there are no prefixes', () => {
    expect(labels(1, 0.5, 3, 300)).toEqual([['1.0e300', '1.5e300', '2.0e300'], '']);
    expect(labels(1, 1, 3, -300)).toEqual([['1e-300', '2e-300', '3e-300'], '']);
    expect(labels(1, 1, 2, 24)).toEqual([['1Y', '2Y'], '']);
  });

  it('differ from each other whatever the axis', () => {
    for (let power = -20; power <= 14; power++) {
      for (const mantissa of [1, 2, 2.5, 5]) {
        for (const start of [0, 1, 7, 12_345, 99_999_998, -3]) {
          const increment = mantissa * 10 ** power;
          const ticks = Array.from({ length: 6 }, (_, at) => (start + at) * increment);
          const found = axisLabels(ticks, increment);
          expect(new Set(found.labels).size, `${start} ${increment} ${found.labels}`).toBe(6);
          const longest = Math.max(...found.labels.map((label) => label.length));
          expect(longest, `${start} ${increment} ${found.labels}`).toBeLessThanOrEqual(13);
        }
      }
    }
  });
});

it('extreme values are brought to usual ones', () => {
  for (const value of [1e300, 1.7e308, 1e-300, 5e-324, 1e15]) {
    const exponent = exponentOf(value);
    const small = scaled(value, -exponent);
    expect(small >= 0.9 && small < 1001, `${value}: ${small}`).toBe(true);
    expect(scaled(small, exponent) / value).toBeCloseTo(1, 6);
  }
  expect([0, 1, 1e14, 1e-8].map(exponentOf)).toEqual([0, 0, 0, 0]);
});
