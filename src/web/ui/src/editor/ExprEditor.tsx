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
import { useEffect, useRef } from 'react';
import { newCompletionClient } from './completionClient';
import { HistoryCompletion } from './historyCompletion';
import { editorLook } from './look';

export interface ExprEditorProps {
  value: string;
  onChange(text: string): void;
  onRun(text: string): void;
  autoFocus?: boolean;
}

export default function ExprEditor({ value, onChange, onRun, autoFocus }: ExprEditorProps) {
  const queries = useQueryClient();
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  // The editor is made once; it calls whatever the latest render passed.
  const calls = useRef({ onChange, onRun });
  calls.current = { onChange, onRun };
  const initial = useRef({ value, autoFocus });

  useEffect(() => {
    if (!host.current) return;
    const language = new PromQLExtension()
      .activateCompletion(true)
      .activateLinter(true)
      .setComplete({
        completeStrategy: new HistoryCompletion(
          newCompleteStrategy({ remote: newCompletionClient(queries), maxMetricsMetadata: 10_000 }),
        ),
      });
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
    if (initial.current.autoFocus) editor.focus();
    return () => {
      editor.destroy();
      language.destroy();
      view.current = null;
    };
  }, [queries]);

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
