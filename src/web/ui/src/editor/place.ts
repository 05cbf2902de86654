// Where in an expression the caret is, as far as names and label values are
// concerned, and which series what is written around it speaks of.
import { ensureSyntaxTree, syntaxTree } from '@codemirror/language';
import type { EditorState } from '@codemirror/state';
import type { SyntaxNode } from '@lezer/common';
import {
  AggregateExpr,
  AggregateModifier,
  GroupingLabels,
  Identifier,
  LabelMatchers,
  LabelName,
  LineComment,
  MatchOp,
  QuotedLabelMatcher,
  QuotedLabelName,
  StringLiteral,
  UnquotedLabelMatcher,
  VectorSelector,
} from '@prometheus-io/lezer-promql';
import { labelNameText, quote, unquote } from '../lib/series';

/** The part of the text that a completion replaces. */
interface Span {
  from: number;
  to: number;
}

/** A string literal around the caret; the span is what stands between its quotes. */
interface InString extends Span {
  mark: string;
  isClosed: boolean;
}

export type Place =
  /** The value of a matcher of `label`. */
  | ({ kind: 'value'; label: string; selector: string | undefined } & InString)
  /** A name in quotes: of a label, or of a metric where the selector has none yet. */
  | ({ kind: 'quoted'; selector: string | undefined; canBeMetric: boolean } & InString)
  /** A label name without quotes, in a selector or a grouping. */
  | ({ kind: 'label'; selector: string | undefined; canBeMetric: boolean } & Span)
  /** A word of an expression that only a name in quotes can become, such as `my.met`. */
  | ({ kind: 'metric' } & Span)
  /** In a comment, behind a closed string, or in a string of another kind: there is nothing to name. */
  | { kind: 'nothing' }
  /** Everything else. */
  | { kind: 'other' };

const LONGEST_NAME = 300;
const PATIENCE_MS = 100;
const LABEL_BEFORE = /[^\s{}(),=!~"'`]*$/;
const LABEL_AFTER = /^[^\s{}(),=!~"'`]*/;
const WORD_BEFORE = /(?<![\p{N}.])[\p{L}_:][\p{L}\p{N}_:.]*$/u;
const WORD_AFTER = /^[\p{L}\p{N}_:.]*/u;
const PLAIN_WORD = /^[a-zA-Z0-9_:]*$/;

function textOf(state: EditorState, node: SyntaxNode): string {
  return state.sliceDoc(node.from, node.to);
}

function around(node: SyntaxNode | null, type: number): SyntaxNode | null {
  let at = node;
  while (at && at.type.id !== type) at = at.parent;
  return at;
}

function operatorOf(state: EditorState, matcher: SyntaxNode): string {
  const operator = matcher.getChild(MatchOp);
  return operator ? textOf(state, operator) : '';
}

/** Label and value of a matcher; null while it is incomplete. */
function matcherText(state: EditorState, matcher: SyntaxNode): string | null {
  const value = matcher.getChild(StringLiteral);
  const operator = operatorOf(state, matcher);
  const label = labelOf(state, matcher);
  if (!value || operator === '' || label === '' || value.to - value.from <= 2) return null;
  return `${labelNameText(label)}${operator}${quote(unquote(textOf(state, value)))}`;
}

function labelOf(state: EditorState, matcher: SyntaxNode): string {
  const plain = matcher.getChild(LabelName);
  if (plain) return textOf(state, plain);
  const quoted = matcher.getChild(QuotedLabelName);
  return quoted ? unquote(textOf(state, quoted)) : '';
}

/** Selector of the series that a selector being written stands for so far, without one of its parts. */
function selectorOf(state: EditorState, selector: SyntaxNode | null, without?: SyntaxNode | null) {
  if (!selector) return undefined;
  const isLeftOut = (node: SyntaxNode) => node.from === without?.from && node.to === without.to;
  const names: string[] = [];
  const parts: string[] = [];
  const bare = selector.getChild(Identifier);
  if (bare) names.push(`__name__=${quote(textOf(state, bare))}`);
  for (let part = selector.getChild(LabelMatchers)?.firstChild; part; part = part.nextSibling) {
    if (isLeftOut(part)) continue;
    if (part.type.id === QuotedLabelName) names.push(`__name__=${quote(unquote(textOf(state, part)))}`);
    if (part.type.id !== QuotedLabelMatcher && part.type.id !== UnquotedLabelMatcher) continue;
    const text = matcherText(state, part);
    if (text !== null) parts.push(text);
  }
  if (names.length + parts.length === 0) return undefined;
  // Matchers that also match what lacks the label are not enough for a selector.
  if (names.length === 0) names.push('__name__!=""');
  return `{${[...names, ...parts].join(',')}}`;
}

/** The first selector of what an aggregation with these grouping labels aggregates. */
function selectorOfGrouping(state: EditorState, grouping: SyntaxNode): string | undefined {
  if (grouping.parent?.type.id !== AggregateModifier) return undefined;
  let found: SyntaxNode | null = null;
  around(grouping, AggregateExpr)
    ?.cursor()
    .iterate((node) => {
      if (node.type.id === VectorSelector) found ??= node.node;
      return found === null;
    });
  return selectorOf(state, found);
}

function hasMetric(selector: SyntaxNode | null, except?: SyntaxNode): boolean {
  if (!selector) return false;
  if (selector.getChild(Identifier)) return true;
  const quoted = selector.getChild(LabelMatchers)?.getChildren(QuotedLabelName) ?? [];
  return quoted.some((name) => name.from !== except?.from);
}

function inString(state: EditorState, literal: SyntaxNode): InString {
  const text = textOf(state, literal);
  const mark = text.charAt(0);
  const isClosed = text.length > 1 && text.endsWith(mark) && !/(^|[^\\])(\\\\)*\\.$/.test(text);
  return { mark, isClosed, from: literal.from + 1, to: isClosed ? literal.to - 1 : literal.to };
}

function placeInString(state: EditorState, literal: SyntaxNode, pos: number): Place {
  const span = inString(state, literal);
  if (pos < span.from || pos > span.to) return { kind: 'nothing' };
  const holder = literal.parent;
  const selector = around(holder, VectorSelector);
  if (holder?.type.id === UnquotedLabelMatcher || holder?.type.id === QuotedLabelMatcher) {
    const label = labelOf(state, holder);
    if (label === '') return { kind: 'nothing' };
    return { kind: 'value', label, selector: selectorOf(state, selector, holder), ...span };
  }
  if (holder?.type.id !== QuotedLabelName) return { kind: 'nothing' };
  const list = holder.parent;
  if (list?.type.id === GroupingLabels) {
    return { kind: 'quoted', selector: selectorOfGrouping(state, list), canBeMetric: false, ...span };
  }
  const isMatcher = list?.type.id === QuotedLabelMatcher;
  const written = selectorOf(state, selector, isMatcher ? list : holder);
  return {
    kind: 'quoted',
    selector: written,
    canBeMetric: !isMatcher && !hasMetric(selector, holder),
    ...span,
  };
}

/** A label name is being written where only a comma or the opening bracket stands before it. */
function placeInList(state: EditorState, list: SyntaxNode, pos: number): Place {
  const before = state.sliceDoc(list.from, pos);
  const typed = LABEL_BEFORE.exec(before)?.[0] ?? '';
  const opener = before
    .slice(0, before.length - typed.length)
    .trimEnd()
    .slice(-1);
  if (opener !== '{' && opener !== '(' && opener !== ',') return { kind: 'other' };
  const after = LABEL_AFTER.exec(state.sliceDoc(pos, pos + LONGEST_NAME))?.[0] ?? '';
  const span = { from: pos - typed.length, to: pos + after.length };
  if (list.type.id === GroupingLabels) {
    return { kind: 'label', selector: selectorOfGrouping(state, list), canBeMetric: false, ...span };
  }
  const selector = around(list, VectorSelector);
  let own = list.firstChild;
  while (own && !(own.from <= pos && pos <= own.to)) own = own.nextSibling;
  return {
    kind: 'label',
    selector: selectorOf(state, selector, own),
    canBeMetric: !hasMetric(selector),
    ...span,
  };
}

export function placeOf(state: EditorState, pos: number): Place {
  const tree = ensureSyntaxTree(state, pos, PATIENCE_MS) ?? syntaxTree(state);
  const node = tree.resolveInner(pos, -1);
  if (node.type.id === LineComment) return { kind: 'nothing' };
  if (node.type.id === StringLiteral) return placeInString(state, node, pos);
  const list = around(node, LabelMatchers) ?? around(node, GroupingLabels);
  if (list) {
    const last = state.sliceDoc(list.to - 1, list.to);
    const isBehind = pos >= list.to && (last === '}' || last === ')');
    return isBehind ? { kind: 'other' } : placeInList(state, list, pos);
  }
  const typed = WORD_BEFORE.exec(state.sliceDoc(Math.max(0, pos - LONGEST_NAME), pos))?.[0] ?? '';
  if (PLAIN_WORD.test(typed)) return { kind: 'other' };
  const after = WORD_AFTER.exec(state.sliceDoc(pos, pos + LONGEST_NAME))?.[0] ?? '';
  return { kind: 'metric', from: pos - typed.length, to: pos + after.length };
}
