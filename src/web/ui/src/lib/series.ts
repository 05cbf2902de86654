// Series as text: `name{label="value"}` with values escaped as in the query
// language, so that a copied series is a valid selector.

export type Labels = Readonly<Record<string, string>>;

const NAME = '__name__';
const PLAIN_LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const PLAIN_METRIC = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

/** A string in double quotes, escaped. */
export function quote(text: string): string {
  return `"${text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`;
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
    .map((label) => [PLAIN_LABEL.test(label) ? label : quote(label), labels[label]!] as const);
  return { name: plain ? name : '', pairs, quotedName: plain ? null : quote(name) };
}

export function formatSeries(labels: Labels): string {
  const { name, pairs, quotedName } = seriesParts(labels);
  const inside = pairs.map(([label, value]) => `${label}=${quote(value)}`);
  if (quotedName !== null) inside.unshift(quotedName);
  if (inside.length === 0) return name || '{}';
  return `${name}{${inside.join(', ')}}`;
}
