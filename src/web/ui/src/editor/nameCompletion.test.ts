// Completion of names and values that need quotes or escapes.
import { CompletionContext, type CompletionResult } from '@codemirror/autocomplete';
import { EditorState, type TransactionSpec } from '@codemirror/state';
import type { EditorView } from '@codemirror/view';
import { newCompleteStrategy, PromQLExtension } from '@prometheus-io/codemirror-promql';
import { describe, expect, it } from 'vitest';
import { type Facts, labelInPath, newCompletionClient } from './completionClient';
import { MOST_METADATA, NameCompletion } from './nameCompletion';

const METRICS = ['up', 'my.metric', 'my-other.metric', 'odd"name', 'm\u00e9t\u00e9o'];
const LABELS = ['job', 'my.label', 'a/b'];

/** The text with the caret at `|`, split. */
function at(marked: string) {
  const pos = marked.indexOf('|');
  const state = EditorState.create({
    doc: marked.replace('|', ''),
    extensions: [new PromQLExtension().activateCompletion(false).activateLinter(false).asExtension()],
  });
  return { state, pos };
}

async function complete(marked: string, values: string[] = []) {
  const asked: string[] = [];
  const facts: Facts = {
    metricNames: async () => METRICS,
    metadata: async () => ({ 'my.metric': [{ type: 'gauge', help: 'What it is.' }] }),
    labelNames: async (selector) => {
      asked.push(`names ${selector}`);
      return LABELS;
    },
    labelValues: async (label, selector) => {
      asked.push(`values of ${label} ${selector}`);
      return values;
    },
  };
  const library = newCompleteStrategy({
    remote: newCompletionClient(facts),
    maxMetricsMetadata: MOST_METADATA,
  });
  const { state, pos } = at(marked);
  const result = await new NameCompletion(library, facts).promQL(new CompletionContext(state, pos, true));
  return { state, pos, result, asked };
}

/** The text after the option called `label` is taken; the caret is not shown. */
function accept(state: EditorState, pos: number, result: CompletionResult | null, label: string): string {
  const option = result?.options.find((each) => each.label === label);
  if (!result || !option) return `no option ${label}`;
  const { from, to = pos } = result;
  if (typeof option.apply === 'function') {
    let after = state;
    const view = {
      state,
      dispatch: (spec: TransactionSpec) => {
        after = state.update(spec).state;
      },
    };
    option.apply(view as unknown as EditorView, option, from, to);
    return after.doc.toString();
  }
  const changes = { from, to, insert: option.apply ?? option.label };
  return state.update({ changes }).state.doc.toString();
}

async function accepted(marked: string, label: string, values?: string[]) {
  const { state, pos, result } = await complete(marked, values);
  return accept(state, pos, result, label);
}

describe('metric names', () => {
  it('are put into quotes and braces where they have to', async () => {
    const cases: Array<[string, string, string]> = [
      ['u|', 'up', 'up'],
      ['my|', 'my.metric', '{"my.metric"}'],
      ['my.me|', 'my.metric', '{"my.metric"}'],
      ['my.me|tric', 'my.metric', '{"my.metric"}'],
      ['sum(rate(my.|[5m]))', 'my.metric', 'sum(rate({"my.metric"}[5m]))'],
      ['up + my.m|', 'my.metric', 'up + {"my.metric"}'],
      ['my-oth|', 'my-other.metric', '{"my-other.metric"}'],
      ['up / my-other.me|', 'my-other.metric', 'up / {"my-other.metric"}'],
      ['m\u00e9|', 'm\u00e9t\u00e9o', '{"m\u00e9t\u00e9o"}'],
      ['odd|', 'odd"name', '{"odd\\"name"}'],
      ['my.me|{job="a"}', 'my.metric', '{"my.metric", job="a"}'],
      ['my.me|{ }', 'my.metric', '{"my.metric"}'],
    ];
    for (const [typed, label, after] of cases) expect(await accepted(typed, label), typed).toBe(after);
  });

  it('are completed inside quotes without a second pair', async () => {
    expect(await accepted('{"my.|"}', 'my.metric')).toBe('{"my.metric"}');
    expect(await accepted('{"my.|', 'my.metric')).toBe('{"my.metric"');
    expect(await accepted("{'odd|'}", 'odd"name')).toBe(`{'odd"name'}`);
    expect(await accepted('{my|}', 'my.metric')).toBe('{"my.metric"}');
    const second = await complete('{"my.metric", "|"}');
    expect(second.result?.options.map(({ label }) => label)).toEqual(LABELS);
  });

  it('come with what is known of them', async () => {
    const { result } = await complete('my.|');
    const option = result?.options.find(({ label }) => label === 'my.metric');
    expect(option).toMatchObject({ detail: 'gauge', info: 'What it is.' });
  });
});

describe('label names', () => {
  it('are put into quotes where they have to, and ask about the metric', async () => {
    const cases: Array<[string, string, string, string]> = [
      ['up{|}', 'job', 'up{job}', 'names {__name__="up"}'],
      ['up{my.l|}', 'my.label', 'up{"my.label"}', 'names {__name__="up"}'],
      ['up{a|="x"}', 'a/b', 'up{"a/b"="x"}', 'names {__name__="up"}'],
      ['up{"my.|"}', 'my.label', 'up{"my.label"}', 'names {__name__="up"}'],
      ['{"my.metric", "a.b"="c\\"", m|}', 'my.label', '{"my.metric", "a.b"="c\\"", "my.label"}', ''],
      ['sum by (my.|) (up)', 'my.label', 'sum by ("my.label") (up)', 'names {__name__="up"}'],
      ['sum({"my.metric"}) by (job, "|")', 'a/b', 'sum({"my.metric"}) by (job, "a/b")', ''],
      ['up + on(j|) up', 'job', 'up + on(job) up', 'names undefined'],
    ];
    for (const [typed, label, after, question] of cases) {
      const { state, pos, result, asked } = await complete(typed);
      expect(accept(state, pos, result, label), typed).toBe(after);
      if (question !== '') expect(asked).toEqual([question]);
    }
    const quoted = await complete('{"my.metric", "a.b"="c\\"", m|}');
    expect(quoted.asked).toEqual(['names {__name__="my.metric","a.b"="c\\""}']);
    expect((await complete('sum({"my.metric"}) by ("|")')).asked).toEqual(['names {__name__="my.metric"}']);
  });

  it('are not offered behind the brackets, in comments or in other strings', async () => {
    for (const typed of ['up{job="a"}|', 'up # my.|', 'label_replace(up, "|", "", "", "")', 'up{job="a"|}']) {
      const { result, asked } = await complete(typed);
      expect(result?.options.some(({ label }) => label === 'my.label') ?? false, typed).toBe(false);
      expect(asked, typed).toEqual([]);
    }
  });

  it('can be part of a path whatever they are', () => {
    expect(labelInPath('job')).toBe('job');
    expect(labelInPath('my.label')).toBe('U__my_2e_label');
    expect(labelInPath('a/b_c')).toBe('U__a_2f_b__c');
    expect(labelInPath('U__x')).toBe('U__U____x');
  });
});

describe('label values', () => {
  it('are escaped for the quotes they stand in', async () => {
    const values = ['two\nlines', 'a\r\n"b"', "it's", 'back`tick', 'c:\\d'];
    expect(await accepted('up{job="|"}', 'two\\nlines', values)).toBe('up{job="two\\nlines"}');
    expect(await accepted('up{job="|"}', 'a\\r\\n\\"b\\"', values)).toBe('up{job="a\\r\\n\\"b\\""}');
    expect(await accepted("up{job='|'}", "it\\'s", values)).toBe("up{job='it\\'s'}");
    expect(await accepted('up{job="i|', "it's", values)).toBe('up{job="it\'s"');
    const raw = await complete('up{job=`|`}', values);
    expect(raw.result?.options.map(({ label }) => label)).toEqual(["it's", 'c:\\d']);
  });

  it('are asked of the label and of the series that the other matchers leave', async () => {
    const cases: Array<[string, string]> = [
      ['up{job="|"}', 'values of job {__name__="up"}'],
      ['{"my.metric", "my.label"="|"}', 'values of my.label {__name__="my.metric"}'],
      [
        '{"a/b"=`x"y`, job!="z", "my.label"=~"|"}',
        'values of my.label {__name__!="","a/b"="x\\"y",job!="z"}',
      ],
      ['{job="|"}', 'values of job undefined'],
    ];
    for (const [typed, question] of cases) expect((await complete(typed)).asked, typed).toEqual([question]);
  });
});
