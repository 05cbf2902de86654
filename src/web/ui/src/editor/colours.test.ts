// Expressions in pieces of one colour each.
import { expect, it } from 'vitest';
import { colouredParts } from './colours';

const joined = (expr: string) =>
  colouredParts(expr)
    .map(({ text }) => text)
    .join('');

it('keeps the text, whether it is an expression or not', () => {
  for (const expr of [
    '',
    'up',
    'sum by (job) (rate(up{a="b"}[5m])) > 1',
    'sum((',
    '# only a remark',
    '}{ \n x',
  ]) {
    expect(joined(expr)).toBe(expr);
  }
});

it('tells the parts apart', () => {
  const classOf = (text: string) =>
    colouredParts('sum by (job) (rate(up{env="x"}[5m])) > 1').find((part) => part.text === text)?.className;
  expect(classOf('by')).toBe('ek-code-keyword');
  expect(classOf('rate')).toBe('ek-code-function');
  expect(classOf('env')).toBe('ek-code-label');
  expect(classOf('"x"')).toBe('ek-code-string');
  expect(classOf('1')).toBe('ek-code-number');
});
