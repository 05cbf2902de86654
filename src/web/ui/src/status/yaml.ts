// Splits lines of YAML into coloured parts. Only what configuration files
// use: keys, list dashes, comments, strings, numbers and booleans.

export type YamlKind = 'key' | 'string' | 'number' | 'comment' | 'secret' | 'plain';

export interface YamlPart {
  kind: YamlKind;
  text: string;
}

function valueKind(text: string): YamlKind {
  const trimmed = text.trim();
  if (trimmed === '<secret>') return 'secret';
  if (/^(true|false|null|~|-?\d+(\.\d+)?(ms|[smhdwy])?)$/.test(trimmed)) return 'number';
  if (trimmed === '' || /^[|>][+-]?$/.test(trimmed)) return 'plain';
  return 'string';
}

/** The parts of one line; joined they give the line back. */
export function yamlParts(line: string): YamlPart[] {
  const comment = /^(\s*)(#.*)$/.exec(line);
  if (comment) {
    return [
      { kind: 'plain', text: comment[1]! },
      { kind: 'comment', text: comment[2]! },
    ];
  }
  const parts: YamlPart[] = [];
  const lead = /^\s*(?:- +)*(?:-$)?/.exec(line)?.[0] ?? '';
  if (lead !== '') parts.push({ kind: 'plain', text: lead });
  const rest = line.slice(lead.length);
  const key = /^("[^"]*"|'[^']*'|[^\s"'#][^:#]*?)(:)(\s.*|)$/.exec(rest);
  if (!key) {
    if (rest !== '') parts.push({ kind: valueKind(rest), text: rest });
    return parts;
  }
  parts.push({ kind: 'key', text: key[1]! }, { kind: 'plain', text: key[2]! });
  if (key[3] !== '') parts.push({ kind: valueKind(key[3]!), text: key[3]! });
  return parts;
}
