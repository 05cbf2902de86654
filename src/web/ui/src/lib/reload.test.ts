// A page is loaded again at most once for each build, whatever happens.
import { expect, it } from 'vitest';
import { mayReload } from './reload';

it('gives up each build once', () => {
  let note: string | null = null;
  const seen = ['a.js', 'a.js', 'b.js', 'a.js', 'b.js', 'a.js'].map((build) => {
    const answer = mayReload(build, note);
    note = answer.note;
    return answer.may;
  });
  expect(seen).toEqual([true, false, true, false, false, false]);
});

it('reads what others wrote as nothing, and stays where the build is not known', () => {
  expect(mayReload('a.js', '{').may).toBe(true);
  expect(mayReload('a.js', '{"a":1}').may).toBe(true);
  expect(mayReload('', null).may).toBe(false);
});
