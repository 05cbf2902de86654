// Which parts of an expression have which colour, in the editor and wherever
// else expressions are shown.
import { highlightTree, tagHighlighter, tags } from '@lezer/highlight';
import { parser } from '@prometheus-io/lezer-promql';

/** A class of its own for each kind of part. */
export const colours = [
  { tag: tags.name, class: 'ek-code-name' },
  { tag: tags.number, class: 'ek-code-number' },
  { tag: tags.string, class: 'ek-code-string' },
  { tag: tags.keyword, class: 'ek-code-keyword' },
  { tag: tags.function(tags.variableName), class: 'ek-code-function' },
  { tag: tags.labelName, class: 'ek-code-label' },
  { tag: tags.operator, class: 'ek-code-operator' },
  { tag: tags.modifier, class: 'ek-code-keyword' },
  { tag: tags.comment, class: 'ek-code-comment' },
  { tag: tags.invalid, class: 'ek-code-invalid' },
];

const highlighter = tagHighlighter(colours);

export interface ColouredPart {
  text: string;
  className?: string;
}

/** The expression in pieces, which together are its text. */
export function colouredParts(expr: string): ColouredPart[] {
  const parts: ColouredPart[] = [];
  let end = 0;
  highlightTree(parser.parse(expr), highlighter, (from, to, className) => {
    if (from > end) parts.push({ text: expr.slice(end, from) });
    parts.push({ text: expr.slice(from, to), className });
    end = to;
  });
  if (end < expr.length) parts.push({ text: expr.slice(end) });
  return parts;
}
