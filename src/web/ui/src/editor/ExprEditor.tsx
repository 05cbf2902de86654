// The expression editor: highlighting, lint and completion for the query
// language. Enter runs, Shift+Enter breaks the line, Escape leaves the field.
import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  completionStatus,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from '@codemirror/commands';
import { bracketMatching, indentOnInput } from '@codemirror/language';
import { lintKeymap } from '@codemirror/lint';
import { EditorState, Prec } from '@codemirror/state';
import { drawSelection, EditorView, highlightSpecialChars, keymap, placeholder } from '@codemirror/view';
import { newCompleteStrategy, PromQLExtension } from '@prometheus-io/codemirror-promql';
import { useQueryClient } from '@tanstack/react-query';
import { type RefObject, useEffect, useRef } from 'react';
import { factsOf, newCompletionClient } from './completionClient';
import { HistoryCompletion } from './historyCompletion';
import { forgiving } from './linter';
import { editorLook } from './look';
import { MOST_METADATA, NameCompletion } from './nameCompletion';

/** What others may do to the text besides replacing it. */
export interface ExprEditorHandle {
  /** Puts a text where the caret is, or in place of what is selected. */
  insert(text: string): void;
}

export interface ExprEditorProps {
  value: string;
  onChange(text: string): void;
  onRun(text: string): void;
  autoFocus?: boolean;
  handle?: RefObject<ExprEditorHandle | null>;
}

const WORD_AT_END = /[\p{L}\p{N}_:.]$/u;
const WORD_AT_START = /^[\p{L}\p{N}_:.]/u;

/** The text with spaces where it would run together with the words beside it. */
export function apart(before: string, text: string, after: string): string {
  const left = WORD_AT_END.test(before) && WORD_AT_START.test(text) ? ' ' : '';
  const right = WORD_AT_END.test(text) && WORD_AT_START.test(after) ? ' ' : '';
  return `${left}${text}${right}`;
}

function insertAtCaret(editor: EditorView, text: string) {
  const { state } = editor;
  const { from, to } = state.selection.main;
  const put = apart(state.sliceDoc(Math.max(0, from - 1), from), text, state.sliceDoc(to, to + 1));
  editor.dispatch({
    changes: { from, to, insert: put },
    selection: { anchor: from + put.length },
    scrollIntoView: true,
    userEvent: 'input.insert',
  });
  editor.focus();
}

export default function ExprEditor({ value: text, onChange, onRun, autoFocus, handle }: ExprEditorProps) {
  // The editor keeps line breaks as one character each, and positions count on it.
  const value = text.replace(/\r\n?/g, '\n');
  const queries = useQueryClient();
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  // The editor is made once; it calls whatever the latest render passed.
  const calls = useRef({ onChange, onRun });
  calls.current = { onChange, onRun };
  const initial = useRef({ value, autoFocus });

  useEffect(() => {
    if (!host.current) return;
    const facts = factsOf(queries);
    const library = newCompleteStrategy({
      remote: newCompletionClient(facts),
      maxMetricsMetadata: MOST_METADATA,
    });
    const language = new PromQLExtension();
    language
      .activateCompletion(true)
      .activateLinter(true)
      .setLinter(forgiving(language.getLinter()))
      .setComplete({ completeStrategy: new HistoryCompletion(new NameCompletion(library, facts)) });
    const run = (target: EditorView) => {
      calls.current.onRun(target.state.doc.toString());
      return true;
    };
    const leave = (target: EditorView) => {
      if (completionStatus(target.state) !== null) return false;
      target.contentDOM.blur();
      return true;
    };
    const editor = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: initial.current.value,
        selection: { anchor: initial.current.value.length },
        extensions: [
          highlightSpecialChars(),
          history(),
          drawSelection(),
          EditorState.allowMultipleSelections.of(true),
          indentOnInput(),
          bracketMatching(),
          closeBrackets(),
          autocompletion({ icons: false, maxRenderedOptions: 200 }),
          EditorView.lineWrapping,
          // Below the completion list's own keys, above the defaults.
          Prec.high(
            keymap.of([
              { key: 'Enter', run, shift: insertNewlineAndIndent },
              { key: 'Mod-Enter', run },
              { key: 'Escape', run: leave },
            ]),
          ),
          keymap.of([
            ...closeBracketsKeymap,
            ...defaultKeymap,
            ...historyKeymap,
            ...completionKeymap,
            ...lintKeymap,
          ]),
          placeholder('Expression (Enter to run, Shift+Enter for a new line)'),
          language.asExtension(),
          editorLook,
          EditorView.contentAttributes.of({ 'aria-label': 'Expression', spellcheck: 'false' }),
          EditorView.updateListener.of((update) => {
            // The list scrolls, so it must be reachable by keyboard.
            update.view.dom
              .querySelector('.cm-tooltip-autocomplete > ul:not([tabindex])')
              ?.setAttribute('tabindex', '0');
            if (update.docChanged) calls.current.onChange(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = editor;
    if (handle) handle.current = { insert: (text) => insertAtCaret(editor, text) };
    if (initial.current.autoFocus) editor.focus();
    return () => {
      editor.destroy();
      language.destroy();
      view.current = null;
      if (handle) handle.current = null;
    };
  }, [queries, handle]);

  useEffect(() => {
    const editor = view.current;
    if (!editor || editor.state.doc.toString() === value) return;
    editor.dispatch({
      changes: { from: 0, to: editor.state.doc.length, insert: value },
      selection: { anchor: value.length },
    });
  }, [value]);

  return <div ref={host} />;
}
