// The check of expressions that are too deep for it.
import { EditorState, type TransactionSpec } from '@codemirror/state';
import type { EditorView } from '@codemirror/view';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';
import { expect, it } from 'vitest';
import { forgiving } from './linter';

function check(doc: string) {
  const language = new PromQLExtension().activateCompletion(false).activateLinter(false);
  const view = {
    state: EditorState.create({ doc, extensions: [language.asExtension()] }),
    dispatch(spec: TransactionSpec) {
      view.state = view.state.update(spec).state;
    },
  };
  return forgiving(language.getLinter()).promQL()(view as unknown as EditorView);
}

it('says that an expression is too deep instead of failing', () => {
  const deep = `${'up or '.repeat(14_000)}up`;
  expect(check(deep)).toEqual([
    { from: 0, to: 1, severity: 'info', message: expect.stringMatching(/too deeply/) },
  ]);
});

it.each(['up or ', '1+', 'sum(rate(foo{job="x"}[5m])) by (a) + '])(
  'finds no faults in chains that the parser gives up: %s',
  (link) => {
    for (const length of [160, 210, 340, 500, 1200, 3000])
      expect(check(`${link.repeat(length)}up`)).toMatchObject([{ severity: 'info' }]);
    expect(check(`${link.repeat(100)}up`)).toEqual([]);
    expect(check(`${link.repeat(100)}sum(`)).toMatchObject([{ severity: 'error' }]);
  },
);

it('still finds faults', () => {
  expect(check('sum(')).toMatchObject([{ severity: 'error' }]);
  expect(check('sum(up)')).toEqual([]);
  const wide = `up{${Array.from({ length: 3000 }, (_, index) => `label_${index}="x"`).join(', ')}}`;
  expect(check(`sum(${wide})`)).toEqual([]);
});
