import { expect, it } from 'vitest';
import { changesBetween, type RelabelRule, ruleText, shownSteps } from './steps';

const rule = (more: Partial<RelabelRule>): RelabelRule => ({
  separator: ';',
  regex: '(.*)',
  replacement: '$1',
  action: 'replace',
  ...more,
});

it('tells of a rule what it says', () => {
  expect(ruleText(rule({ source_labels: ['a', 'b'], regex: 'x;(.*)', target_label: 'c' }))).toBe(
    'replace [a, b] regex x;(.*) → c',
  );
  expect(ruleText(rule({ action: 'hashmod', source_labels: ['a'], modulus: 4, target_label: 'n' }))).toBe(
    'hashmod [a] modulus 4 → n',
  );
  expect(ruleText(rule({ action: 'labeldrop', regex: 'x.*', separator: ',', replacement: '' }))).toBe(
    'labeldrop separator "," regex x.* replacement ""',
  );
});

it('finds what differs', () => {
  expect(changesBetween({ a: '1', b: '2', c: '3' }, { a: '1', b: 'x', d: '4' })).toEqual([
    { name: 'b', before: '2', after: 'x' },
    { name: 'c', before: '3' },
    { name: 'd', after: '4' },
  ]);
});

it('tells what each step does, and nothing of those after a drop', () => {
  const steps = shownSteps({ a: '1' }, [
    { rule: rule({}), output: { a: '1', b: '1' }, keep: true },
    { rule: rule({}), output: { a: '1', b: '1' }, keep: true },
    { rule: rule({ action: 'drop' }), output: {}, keep: false },
    { rule: rule({}), output: {}, keep: false },
  ]);
  expect(steps.map(({ outcome }) => outcome)).toEqual(['changed', 'unchanged', 'dropped', 'skipped']);
  expect(steps[0]?.changes).toEqual([{ name: 'b', after: '1' }]);
});
