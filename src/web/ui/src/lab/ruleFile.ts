// A rule as the text of a rule file.
import { formatDuration } from '../lib/duration';
import type { Labels } from '../lib/series';
import type { LabState } from './labState';

/** A text as YAML has it: every JSON string is one, once what YAML does not let through is escaped. */
const quoted = (text: string) =>
  JSON.stringify(text).replace(
    /[\p{Cc}\u2028\u2029\ufeff]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

const PLAIN = /^[A-Za-z_][A-Za-z0-9_.-]*$/;
/** Words that YAML takes for something else than text. */
const OTHER = /^(true|false|yes|no|on|off|null|y|n)$/i;

const scalar = (text: string) => (PLAIN.test(text) && !OTHER.test(text) ? text : quoted(text));

function pairs(name: string, labels: Labels): string[] {
  const entries = Object.entries(labels);
  if (entries.length === 0) return [];
  return [
    `        ${name}:`,
    ...entries.map(([label, value]) => `          ${scalar(label)}: ${scalar(value)}`),
  ];
}

/** The query as a block where it has several lines. */
function exprLines(expr: string): string[] {
  if (!expr.includes('\n') || /^\s|(?!\n)[\p{Cc}\u2028\u2029\ufeff]/u.test(expr))
    return [`        expr: ${quoted(expr)}`];
  return ['        expr: |-', ...expr.split('\n').map((line) => `          ${line}`.trimEnd())];
}

export function ruleFile(lab: LabState): string {
  const lines = [
    'groups:',
    '  - name: lab',
    ...(lab.intervalMs === null ? [] : [`    interval: ${formatDuration(lab.intervalMs)}`]),
    ...(lab.offsetMs === null ? [] : [`    query_offset: ${formatDuration(lab.offsetMs)}`]),
    ...(lab.limit === 0 ? [] : [`    limit: ${lab.limit}`]),
    '    rules:',
    `      - alert: ${scalar(lab.alert === '' ? 'Lab' : lab.alert)}`,
    ...exprLines(lab.expr),
    ...(lab.forMs === 0 ? [] : [`        for: ${formatDuration(lab.forMs)}`]),
    ...(lab.keepMs === 0 ? [] : [`        keep_firing_for: ${formatDuration(lab.keepMs)}`]),
    ...pairs('labels', lab.labels),
    ...pairs('annotations', lab.annotations),
  ];
  return `${lines.join('\n')}\n`;
}
