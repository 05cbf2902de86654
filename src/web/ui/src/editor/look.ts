// Shapes and colours of the editor. Colours are CSS variables, so a change of
// colour scheme needs no new editor.
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import type { Extension } from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { colours } from './colours';

const theme = EditorView.theme({
  '&': { backgroundColor: 'transparent', fontSize: '14px' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': {
    fontFamily: 'var(--mantine-font-family-monospace)',
    lineHeight: '1.55',
    overflowX: 'auto',
    // Long expressions scroll, so that what is below stays in reach.
    maxHeight: 'max(120px, 40vh)',
  },
  '.cm-content': { padding: '8px 4px', caretColor: 'var(--mantine-color-text)' },
  '.cm-cursor': { borderLeftColor: 'var(--mantine-color-text)', borderLeftWidth: '2px' },
  '.cm-placeholder': { color: 'var(--ek-dimmed)' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground, ::selection': {
    backgroundColor: 'var(--ek-selection) !important',
  },
  '.cm-matchingBracket, &.cm-focused .cm-matchingBracket': {
    backgroundColor: 'var(--ek-bracket)',
    outline: 'none',
    borderRadius: '2px',
  },
  '.cm-nonmatchingBracket, &.cm-focused .cm-nonmatchingBracket': { backgroundColor: 'var(--ek-bad-bracket)' },
  '.cm-tooltip': {
    backgroundColor: 'var(--ek-surface)',
    color: 'var(--mantine-color-text)',
    border: '1px solid var(--ek-border)',
    borderRadius: '8px',
    boxShadow: 'var(--mantine-shadow-md)',
    overflow: 'hidden',
    zIndex: '50',
  },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': {
    fontFamily: 'var(--mantine-font-family-monospace)',
    fontSize: '13px',
    maxHeight: '320px',
    minWidth: 'min(320px, 80vw)',
    maxWidth: 'min(640px, 94vw)',
  },
  '.cm-tooltip.cm-tooltip-autocomplete.cm-tooltip-below': { marginTop: '10px', overflow: 'visible' },
  '.cm-tooltip.cm-tooltip-autocomplete.cm-tooltip-above': { marginBottom: '8px', overflow: 'visible' },
  '.cm-tooltip-autocomplete ul li': { padding: '3px 10px !important', lineHeight: '1.6' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': {
    backgroundColor: 'var(--ek-selected)',
    color: 'var(--mantine-color-text)',
  },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '700', color: 'var(--ek-accent-text)' },
  '.cm-completionDetail': {
    fontStyle: 'normal',
    fontFamily: 'var(--mantine-font-family)',
    fontSize: '12px',
    color: 'var(--ek-dimmed)',
    float: 'right',
    marginLeft: '20px',
  },
  '.cm-tooltip.cm-completionInfo': {
    padding: '8px 12px',
    fontSize: '13px',
    lineHeight: '1.5',
    maxWidth: '360px',
    overflow: 'visible',
  },
  '.cm-diagnostic': { padding: '6px 12px', fontSize: '13px' },
  '.cm-diagnostic-error': { borderLeft: '3px solid var(--ek-error)' },
  '.cm-lintRange-error': {
    backgroundImage: 'none',
    textDecoration: 'underline wavy var(--ek-error) 1px',
    textUnderlineOffset: '3px',
  },
});

export const editorLook: Extension = [theme, syntaxHighlighting(HighlightStyle.define(colours))];
