// Remembering closed groups.
import { expect, it } from 'vitest';
import { withCollapsed } from './collapsed';

it('closes and opens groups, each once', () => {
  expect(withCollapsed(['a'], ['b'], true)).toEqual(['a', 'b']);
  expect(withCollapsed(['a', 'b'], ['a'], true)).toEqual(['b', 'a']);
  expect(withCollapsed(['a', 'b', 'c'], ['c', 'a', 'd'], false)).toEqual(['b']);
});

it('forgets those closed longest ago', () => {
  expect(withCollapsed(['a', 'b'], ['c'], true, 2)).toEqual(['b', 'c']);
});
