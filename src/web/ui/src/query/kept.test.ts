// Expressions that are too long for an address, and what the history has room for.
import { expect, it } from 'vitest';
import { withNewest } from './history';
import { idOf, keepExpression, keptExpression, withRoom } from './kept';
import { newPanel } from './panel';
import { decodePanels, encodePanels } from './urlState';

const long = `${'up or '.repeat(14_000)}up`;

it('leaves a long expression out of the address and finds it again', () => {
  const panels = [
    { ...newPanel(), expr: 'up' },
    { ...newPanel(), expr: long },
  ];
  const search = encodePanels(panels);
  expect(search.length).toBeLessThan(1000);
  const read = decodePanels(`?${search}`);
  expect(read.map(({ expr, keeping }) => [expr, keeping])).toEqual([
    ['up', undefined],
    [long, 'tab'],
  ]);
});

it('leaves the longest out when only all of them together are too long', () => {
  const panels = Array.from({ length: 40 }, (_, index) => ({ ...newPanel(), expr: `x${index}`.repeat(100) }));
  const search = encodePanels(panels);
  expect(search.length).toBeLessThan(16_000);
  expect(decodePanels(`?${search}`).map(({ expr }) => expr)).toEqual(panels.map(({ expr }) => expr));
  // One that fits stays in the address.
  const medium = 'x'.repeat(6000);
  expect(decodePanels(`?${encodePanels([{ ...newPanel(), expr: medium }])}`)[0]!.keeping).toBeUndefined();
});

it('says that an expression is in another tab', () => {
  const [panel] = decodePanels('?g0.expr=&g0.expr_kept=0123456789abcdef&g0.tab=graph');
  expect(panel).toMatchObject({ expr: '', keeping: 'lost', tab: 'graph' });
});

it('gives each text a number of its own', () => {
  expect(idOf(long)).toMatch(/^[0-9a-f]{16}$/);
  expect(new Set(['', 'a', 'b', 'ab', 'ba', long, `${long} `].map(idOf)).size).toBe(7);
  expect(keptExpression(keepExpression('rate(a[5m])'))).toBe('rate(a[5m])');
  expect(keptExpression('nothing')).toBeUndefined();
});

it('drops the oldest when there is no room', () => {
  expect(
    withRoom(
      [
        ['1', 'aaaa'],
        ['2', 'bbb'],
        ['3', 'cc'],
      ],
      5,
    ),
  ).toEqual([
    ['2', 'bbb'],
    ['3', 'cc'],
  ]);
  expect(withRoom([['1', 'aaaa']], 3)).toEqual([]);
  const many = Array.from({ length: 20 }, (_, index) => `${index}${long}`);
  let entries: string[] = ['old'];
  for (const expr of many) entries = withNewest(expr, entries);
  expect(entries[0]).toBe(many.at(-1));
  expect(entries.join('').length).toBeLessThanOrEqual(500_000);
  expect(withNewest('b', ['a', 'b'])).toEqual(['b', 'a']);
});
