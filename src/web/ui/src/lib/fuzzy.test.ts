// Fuzzy matching: what matches, what comes first, what is marked.
import { expect, it } from 'vitest';
import { fuzzyFilter, fuzzyMatch } from './fuzzy';

const names = (pattern: string, items: string[]) =>
  fuzzyFilter(pattern, items, (item) => item).map(({ item }) => item);

it('needs all characters in order', () => {
  expect(fuzzyMatch('hrt', 'http_requests_total')).not.toBeNull();
  expect(fuzzyMatch('trh', 'http_requests_total')).toBeNull();
  expect(fuzzyMatch('HTTP', 'http_requests_total')).not.toBeNull();
});

it('keeps everything in order for an empty pattern', () => {
  expect(names(' ', ['b', 'a'])).toEqual(['b', 'a']);
});

it('puts substrings before scattered matches, and short names first', () => {
  expect(names('cpu', ['node_cpu_seconds_total', 'c_p_u', 'cpu', 'scrapu'])).toEqual([
    'cpu',
    'node_cpu_seconds_total',
    'c_p_u',
    'scrapu',
  ]);
});

it('marks word starts where it can', () => {
  expect(fuzzyMatch('nct', 'node_cpu_total')?.positions).toEqual([0, 5, 9]);
  expect(fuzzyMatch('cpu', 'node_cpu')?.positions).toEqual([5, 6, 7]);
});

it('does not lose a match by preferring word starts', () => {
  expect(fuzzyMatch('abc', 'a_xb_xc_b')).not.toBeNull();
});
