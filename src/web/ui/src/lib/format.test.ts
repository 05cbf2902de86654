// Durations, times, numbers and series names as text.
import { describe, expect, it } from 'vitest';
import { formatDuration, humanizeDuration, parseDuration } from './duration';
import { humanizeNumber, parseSampleValue } from './number';
import { prefixOf } from './prefix';
import { formatSeries } from './series';
import { formatTime, parseTime } from './time';

describe('durations', () => {
  it('are read in the units of the query language', () => {
    const cases: Array<[string, number | null]> = [
      ['0', 0],
      ['5m', 300_000],
      ['1h30m', 5_400_000],
      ['1d2h3m4s5ms', 93_784_005],
      [' 2w ', 1_209_600_000],
      ['', null],
      ['1.5h', null],
      ['5m1h', null],
      ['5m5m', null],
      ['10q', null],
      ['m', null],
    ];
    for (const [text, expected] of cases) expect(parseDuration(text), text).toBe(expected);
  });

  it('are written so that they can be read', () => {
    for (const text of ['1ms', '1s500ms', '59m59s', '1h', '12h', '1d', '90d', '2w', '1y', '1w', '10d']) {
      expect(formatDuration(parseDuration(text)!)).toBe(text);
    }
    expect(formatDuration(0)).toBe('0s');
    expect(formatDuration(-90_000)).toBe('-1m30s');
  });

  it('are short for people', () => {
    expect(humanizeDuration(0)).toBe('0s');
    expect(humanizeDuration(0.25)).toBe('250\u00b5s');
    expect(humanizeDuration(4.126)).toBe('4.13ms');
    expect(humanizeDuration(12_340)).toBe('12.3s');
    expect(humanizeDuration(3_725_000)).toBe('1h 2m');
    expect(humanizeDuration(-61_000)).toBe('-1m 1s');
  });
});

describe('times', () => {
  it('are read and written in UTC', () => {
    const at = Date.UTC(2026, 2, 1, 12, 0, 5);
    expect(formatTime(at, 'utc')).toBe('2026-03-01 12:00:05');
    expect(formatTime(at + 7, 'utc')).toBe('2026-03-01 12:00:05.007');
    for (const text of [
      '2026-03-01 12:00:05',
      '2026-03-01T12:00:05',
      '2026-03-01T12:00:05Z',
      '2026-03-01T14:00:05+02:00',
    ]) {
      expect(parseTime(text, 'utc'), text).toBe(at);
    }
    expect(parseTime(String(at / 1000), 'utc')).toBe(at);
    expect(parseTime('2026-03-01', 'utc')).toBe(Date.UTC(2026, 2, 1));
    expect(parseTime('2026-03-01 12:00:05.5', 'utc')).toBe(at + 500);
    expect(parseTime('yesterday', 'utc')).toBeNull();
    expect(parseTime('', 'utc')).toBeNull();
    for (const text of [
      '2026-02-29',
      '2026-06-31 12:00',
      '2026-13-01',
      '2026-03-01 24:00',
      '2026-03-01T12:60:00Z',
    ]) {
      expect(parseTime(text, 'utc'), text).toBeNull();
      expect(parseTime(text, 'local'), text).toBeNull();
    }
    expect(parseTime('2028-02-29', 'utc')).toBe(Date.UTC(2028, 1, 29));
  });

  it('survive the local zone', () => {
    const at = Date.UTC(2026, 6, 1, 12, 0, 5);
    expect(parseTime(formatTime(at, 'local'), 'local')).toBe(at);
  });
});

describe('numbers', () => {
  it('get SI prefixes', () => {
    const cases: Array<[number, string]> = [
      [0, '0'],
      [1, '1'],
      [999, '999'],
      [1000, '1k'],
      [1536, '1.536k'],
      [-2_500_000, '-2.5M'],
      [0.02, '20m'],
      [0.000_003, '3\u00b5'],
      [1e-30, '1.00e-30'],
      [Number.POSITIVE_INFINITY, '+Inf'],
      [Number.NaN, 'NaN'],
    ];
    for (const [value, text] of cases) expect(humanizeNumber(value)).toBe(text);
  });

  it('are read as the server prints them', () => {
    expect(parseSampleValue('+Inf')).toBe(Number.POSITIVE_INFINITY);
    expect(parseSampleValue('-Inf')).toBe(Number.NEGATIVE_INFINITY);
    expect(parseSampleValue('NaN')).toBeNaN();
    expect(parseSampleValue('1e-05')).toBe(0.00001);
  });
});

it('series names are valid selectors', () => {
  expect(formatSeries({ __name__: 'up', job: 'a"b\\c' })).toBe('up{job="a\\"b\\\\c"}');
  expect(formatSeries({ __name__: 'up' })).toBe('up');
  expect(formatSeries({})).toBe('{}');
  expect(formatSeries({ __name__: 'my.metric', 'a.b': 'x' })).toBe('{"my.metric", "a.b"="x"}');
});

it('the prefix is where the root is, seen from the page', () => {
  expect(prefixOf('./', 'http://a/query')).toBe('');
  expect(prefixOf('./', 'http://a/')).toBe('');
  expect(prefixOf('./', 'http://a/x/y/query?g0.expr=a/b')).toBe('/x/y');
  expect(prefixOf('./../../', 'http://a/x/no/such/page')).toBe('/x');
});
