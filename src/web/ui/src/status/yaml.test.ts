// YAML lines split into parts: nothing is lost, keys and values are told apart.
import { expect, it } from 'vitest';
import { yamlParts } from './yaml';

it('gives every line back', () => {
  for (const line of [
    '',
    'a:',
    '  - b: "c: d"',
    '# x',
    '  - 127.0.0.1:9090',
    '-',
    'url: http://h:1/p # no',
  ]) {
    expect(
      yamlParts(line)
        .map(({ text }) => text)
        .join(''),
    ).toBe(line);
  }
});

it('tells keys, numbers and secrets', () => {
  expect(yamlParts('  - interval: 15s').map(({ kind }) => kind)).toEqual(['plain', 'key', 'plain', 'number']);
  expect(yamlParts('password: <secret>').at(-1)?.kind).toBe('secret');
  expect(yamlParts('  - 127.0.0.1:9090').at(-1)?.kind).toBe('string');
});
