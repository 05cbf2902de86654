// A coloured expression in lines, so that each can be indented as a whole.
import type { ColouredPart } from '../editor/colours';

export interface Line {
  /** Spaces before its text. */
  indent: number;
  parts: ColouredPart[];
}

export function linesOf(parts: readonly ColouredPart[]): Line[] {
  const lines: Line[] = [{ indent: 0, parts: [] }];
  for (const { text, className } of parts) {
    text.split('\n').forEach((piece, index) => {
      if (index > 0) lines.push({ indent: 0, parts: [] });
      const line = lines[lines.length - 1]!;
      const rest = line.parts.length === 0 ? piece.trimStart() : piece;
      line.indent += piece.length - rest.length;
      if (rest !== '') line.parts.push(className === undefined ? { text: rest } : { text: rest, className });
    });
  }
  return lines;
}
