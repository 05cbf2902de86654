// Adds past expressions to the completion list while the first word of an
// expression is being typed.
import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';
import type { CompleteStrategy } from '@prometheus-io/codemirror-promql';
import { historyStore } from '../query/history';

const SHOWN = 60;
/** Longer ones are found in the history menu. */
const LONGEST = 5000;

function entries(except: string): Completion[] {
  return historyStore
    .get()
    .filter((expr) => expr !== except && expr.length <= LONGEST)
    .map((expr, index) => ({
      label: expr,
      displayLabel: expr.length > SHOWN ? `${expr.slice(0, SHOWN)}\u2026` : expr,
      detail: 'past query',
      type: 'history',
      info: expr.length > SHOWN ? expr : undefined,
      // After names that match equally well, newest first.
      boost: -50 - Math.min(index, 40),
    }));
}

export class HistoryCompletion implements CompleteStrategy {
  private readonly inner: CompleteStrategy;

  constructor(inner: CompleteStrategy) {
    this.inner = inner;
  }

  async promQL(context: CompletionContext): Promise<CompletionResult | null> {
    const result = await this.inner.promQL(context);
    const text = context.state.doc.toString();
    const atFirstWord = context.pos === text.length && (result?.from ?? 0) === 0;
    if (!atFirstWord || text.trim() === '') return result;
    const past = entries(text);
    if (past.length === 0) return result;
    if (!result) return { from: 0, options: past, validFor: /^[a-zA-Z0-9_:]+$/ };
    return { ...result, options: [...result.options, ...past] };
  }

  destroy() {
    this.inner.destroy?.();
  }
}
