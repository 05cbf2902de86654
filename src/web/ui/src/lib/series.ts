// Series as text: `name{label="value"}` with values escaped as in the query
// language, so that a copied series is a valid selector.

export type Labels = Readonly<Record<string, string>>;

const NAME = '__name__';
const PLAIN_LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const PLAIN_METRIC = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const LONG_ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** What stands between quotes of this kind for `text`; line breaks and other control characters are escaped too. */
export function escapeString(text: string, mark: '"' | "'" = '"'): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped.
  return text.replace(/[\\"'\x00-\x1f\x7f]/g, (char) => {
    if (char === '"' || char === "'") return char === mark ? `\\${char}` : char;
    if (char === '\\') return '\\\\';
    return SHORT_ESCAPES[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

/** A string in double quotes, escaped. */
export function quote(text: string): string {
  return `"${escapeString(text)}"`;
}

/** The string that a literal of the query language stands for, its quotes of any kind included. */
export function unquote(literal: string): string {
  const inside = literal.slice(1, -1);
  if (literal.startsWith('`')) return inside;
  return inside.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([\s\S]))/g,
    (whole, hex?: string, short?: string, long?: string, octal?: string, char?: string) => {
      if (char !== undefined) return LONG_ESCAPES[char] ?? char;
      const code = octal ? Number.parseInt(octal, 8) : Number.parseInt(hex ?? short ?? long ?? '', 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    },
  );
}

/** A label name as it is written in matchers and groupings. */
export function labelNameText(name: string): string {
  return PLAIN_LABEL.test(name) ? name : quote(name);
}

/** Whether a metric name can be written without quotes. */
export function isPlainMetric(name: string): boolean {
  return PLAIN_METRIC.test(name);
}

/** A selector of a metric: its bare name, or the name in quotes and braces. */
export function metricText(name: string): string {
  return PLAIN_METRIC.test(name) ? name : `{${quote(name)}}`;
}

export interface SeriesParts {
  /** The metric name when it needs no quotes, else "". */
  name: string;
  /** Label names (quoted where needed) with raw values, in order. */
  pairs: Array<readonly [string, string]>;
  /** A metric name that has to be written inside the braces, quoted. */
  quotedName: string | null;
}

export function seriesParts(labels: Labels): SeriesParts {
  const name = labels[NAME] ?? '';
  const plain = name === '' || PLAIN_METRIC.test(name);
  const pairs = Object.keys(labels)
    .filter((label) => label !== NAME)
    .map((label) => [labelNameText(label), labels[label]!] as const);
  return { name: plain ? name : '', pairs, quotedName: plain ? null : quote(name) };
}

export function formatSeries(labels: Labels): string {
  const { name, pairs, quotedName } = seriesParts(labels);
  const inside = pairs.map(([label, value]) => `${label}=${quote(value)}`);
  if (quotedName !== null) inside.unshift(quotedName);
  if (inside.length === 0) return name || '{}';
  return `${name}{${inside.join(', ')}}`;
}
