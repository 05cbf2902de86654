// The library's check of an expression, which follows its tree by recursion and
// so has an end: what is nested too deeply for it is left to the server. So is
// what takes too long to parse; of half a tree it would find faults that are none.
// The parser itself gives up a chain of some two hundred operators and puts marks
// of errors into its tree.
import { forceParsing, syntaxTree, syntaxTreeAvailable } from '@codemirror/language';
import type { Diagnostic } from '@codemirror/lint';
import type { EditorView } from '@codemirror/view';
import type { LintStrategy } from '@prometheus-io/codemirror-promql';

const TOO_DEEP =
  'The expression is too long or nested too deeply to be checked here. The server checks it when it is run.';

const PATIENCE_MS = 500;

/** Levels of a tree that the parser gets right: it was seen to give up chains from 205 on. */
const DEEPEST = 150;

type Check = ReturnType<LintStrategy['promQL']>;

/** Stands at the caret, since the beginning of a long expression is out of sight. */
function diagnostic({ state }: EditorView): Diagnostic[] {
  const { head } = state.selection.main;
  const from = Math.max(0, head - 1);
  return [{ from, to: Math.min(from + 1, state.doc.length), severity: 'info', message: TOO_DEEP }];
}

/** Whether a tree has more levels than can be trusted. */
function tooDeep({ state }: EditorView): boolean {
  const cursor = syntaxTree(state).cursor();
  let depth = 0;
  for (;;) {
    if (cursor.firstChild()) {
      depth++;
      if (depth > DEEPEST) return true;
      continue;
    }
    while (!cursor.nextSibling()) {
      if (!cursor.parent()) return false;
      depth--;
    }
  }
}

/** The result of a check, or a note where that would run out of stack or find faults that are none. */
export function checkedBy(check: Check): Check {
  return (view: EditorView) => {
    try {
      const { length } = view.state.doc;
      if (!syntaxTreeAvailable(view.state, length) && !forceParsing(view, length, PATIENCE_MS))
        return diagnostic(view);
      return tooDeep(view) ? diagnostic(view) : check(view);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      return diagnostic(view);
    }
  };
}

export function forgiving(inner: LintStrategy): LintStrategy {
  return { promQL: () => checkedBy(inner.promQL()) };
}
