// Completes names and label values as they have to be written: names that are
// more than letters, digits and underscores go into quotes, metric names of
// that kind into braces too, and values are escaped for the quotes around them.
// Everything else is left to the library's own completion.
import {
  type Completion,
  type CompletionContext,
  type CompletionResult,
  insertCompletionText,
  pickedCompletion,
} from '@codemirror/autocomplete';
import type { EditorView } from '@codemirror/view';
import type { CompleteStrategy } from '@prometheus-io/codemirror-promql';
import { metadataOf } from '../api/metadata';
import type { MetadataMap } from '../api/types';
import { escapeString, isPlainMetric, labelNameText, quote } from '../lib/series';
import type { Facts } from './completionClient';
import { type Place, placeOf } from './place';

/** Above this many metrics their help texts are not asked for. */
export const MOST_METADATA = 10_000;

const IN_STRING = /^[^"'`\\]*$/;
const WORD = /^[\p{L}\p{N}_:.]*$/u;

type InQuotes = Extract<Place, { mark: string }>;

/** The text between quotes of this kind for `text`; null where they cannot hold it. */
function inside(text: string, mark: string): string | null {
  if (mark === '"' || mark === "'") return escapeString(text, mark);
  // Backquotes know no escapes, and the editor would change line breaks.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  return /[`\x00-\x1f\x7f]/.test(text) ? null : text;
}

function quotedOptions(
  texts: readonly string[],
  place: InQuotes,
  more: (text: string) => Partial<Completion>,
) {
  return texts.flatMap((text): Completion[] => {
    const label = inside(text, place.mark);
    if (label === null) return [];
    return [{ label, ...(place.isClosed ? {} : { apply: `${label}${place.mark}` }), ...more(text) }];
  });
}

/** What is known of a metric, for the list. */
function about(metadata: MetadataMap, name: string): Partial<Completion> {
  const known = metadataOf(metadata, name);
  return { type: 'constant', ...(known ? { detail: known.type, info: known.help } : {}) };
}

/** Length of what stands before `from` and is a beginning of `name` too, such as `my-` before the `met` of `my-met`. */
export function lengthBefore(before: string, name: string): number {
  for (let length = Math.min(before.length, name.length); length > 0; length--) {
    if (!name.startsWith(before.slice(before.length - length))) continue;
    if (/[\p{L}\p{N}_:.]/u.test(before.charAt(before.length - length - 1))) continue;
    return length;
  }
  return 0;
}

/** Puts a metric name in quotes and braces; braces that follow already are joined. */
function applyMetric(name: string) {
  return (view: EditorView, completion: Completion, from: number, to: number) => {
    const { state } = view;
    const start = from - lengthBefore(state.sliceDoc(Math.max(0, from - name.length), from), name);
    const [opening] = /^\{\s*/.exec(state.sliceDoc(to, to + 100)) ?? [''];
    const end = to + opening.length;
    const isEmpty = state.sliceDoc(end, end + 1) === '}';
    const closing = opening === '' ? '}' : isEmpty ? '' : ', ';
    view.dispatch({
      ...insertCompletionText(state, `{${quote(name)}${closing}`, start, end),
      annotations: pickedCompletion.of(completion),
    });
  };
}

/** Metric names in the list of the library are bare; those that may not be get the form that is valid. */
export function withQuotes(option: Completion): Completion {
  if (option.type !== 'constant' || isPlainMetric(option.label)) return option;
  return { ...option, apply: applyMetric(option.label) };
}

export class NameCompletion implements CompleteStrategy {
  private readonly inner: CompleteStrategy;
  private readonly facts: Facts;

  constructor(inner: CompleteStrategy, facts: Facts) {
    this.inner = inner;
    this.facts = facts;
  }

  async promQL(context: CompletionContext): Promise<CompletionResult | null> {
    const place = placeOf(context.state, context.pos);
    switch (place.kind) {
      case 'nothing':
        return null;
      case 'value': {
        const values = await this.facts.labelValues(place.label, place.selector);
        return this.result(
          place,
          quotedOptions(values, place, () => ({ type: 'text' })),
          IN_STRING,
        );
      }
      case 'quoted': {
        const metrics = place.canBeMetric ? await this.metrics() : null;
        const labels = await this.facts.labelNames(place.selector);
        const options = quotedOptions(labels, place, () => ({ type: 'constant' }));
        if (metrics) {
          options.unshift(...quotedOptions(metrics.names, place, (name) => about(metrics.metadata, name)));
        }
        return this.result(place, options, IN_STRING);
      }
      case 'label': {
        const labels = await this.facts.labelNames(place.selector);
        const options = labels.map(
          (label): Completion => ({ label, type: 'constant', apply: labelNameText(label) }),
        );
        if (place.canBeMetric) options.push(...(await this.metricsInQuotes(quote)));
        return this.result(place, options, WORD);
      }
      case 'metric':
        return this.result(place, await this.metricsInQuotes(applyMetric), WORD);
      default: {
        const result = await this.inner.promQL(context);
        return result && { ...result, options: result.options.map(withQuotes) };
      }
    }
  }

  destroy() {
    this.inner.destroy?.();
  }

  private result(
    { from, to }: { from: number; to: number },
    options: Completion[],
    validFor: RegExp,
  ): CompletionResult {
    return { from, to, options, validFor };
  }

  private async metrics() {
    const names = await this.facts.metricNames();
    return { names, metadata: names.length <= MOST_METADATA ? await this.facts.metadata() : {} };
  }

  /** The metrics whose names need quotes. */
  private async metricsInQuotes(apply: (name: string) => NonNullable<Completion['apply']>) {
    const { names, metadata } = await this.metrics();
    return names
      .filter((name) => !isPlainMetric(name))
      .map((name): Completion => ({ label: name, ...about(metadata, name), apply: apply(name) }));
  }
}
