// Coloured expressions in lines.
import { expect, it } from 'vitest';
import { linesOf } from './lines';

it('breaks parts at the ends of lines and takes indents off', () => {
  const parts = [
    { text: 'sum', className: 'k' },
    { text: '(\n  ' },
    { text: 'up', className: 'n' },
    { text: '\n)' },
  ];
  expect(linesOf(parts)).toEqual([
    { indent: 0, parts: [{ text: 'sum', className: 'k' }, { text: '(' }] },
    { indent: 2, parts: [{ text: 'up', className: 'n' }] },
    { indent: 0, parts: [{ text: ')' }] },
  ]);
});

it('keeps spaces inside of a line, and empty lines', () => {
  expect(linesOf([{ text: '  a' }, { text: ' + ' }, { text: 'b\n\n' }])).toEqual([
    { indent: 2, parts: [{ text: 'a' }, { text: ' + ' }, { text: 'b' }] },
    { indent: 0, parts: [] },
    { indent: 0, parts: [] },
  ]);
});
