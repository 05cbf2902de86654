// Matchers as people write them, `severity=~"warning|critical"`, one to a line.
import type { ApiMatcher } from '../api/alertmanager';
import type { Labels } from '../lib/series';

// Names with other characters are in quotes, as in Alertmanager: "a b"="c".
const SHAPE = /^\s*("(?:[^"\\]|\\.)*"|[^\s=!~"{},]+)\s*(=~|!~|!=|=)\s*(.*?)\s*$/su;
const PLAIN_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

function unquote(text: string): string | null {
  if (!text.startsWith('"')) return text.includes('"') ? null : text;
  if (text.length < 2 || !text.endsWith('"')) return null;
  const inside = text.slice(1, -1);
  let out = '';
  for (let at = 0; at < inside.length; at += 1) {
    const char = inside[at]!;
    if (char === '"') return null;
    if (char !== '\\') {
      out += char;
      continue;
    }
    at += 1;
    const next = inside[at];
    if (next === undefined) return null;
    // A backslash that escapes nothing is one: expressions are full of them.
    out += next === 'n' ? '\n' : next === '"' || next === '\\' ? next : `\\${next}`;
  }
  return out;
}

/** One matcher; null when the text is none. */
export function parseMatcher(text: string): ApiMatcher | null {
  const parts = SHAPE.exec(text);
  if (!parts) return null;
  const name = unquote(parts[1]!);
  const value = unquote(parts[3]!);
  if (!name || value === null) return null;
  const op = parts[2]!;
  return { name, value, isRegex: op.endsWith('~'), isEqual: op.startsWith('=') };
}

/** A matcher to a line; those that are none come back as errors. */
export function parseMatchers(text: string): { matchers: ApiMatcher[]; wrong: string[] } {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const matchers: ApiMatcher[] = [];
  const wrong: string[] = [];
  for (const line of lines) {
    const matcher = parseMatcher(line);
    if (matcher) matchers.push(matcher);
    else wrong.push(line.trim());
  }
  return { matchers, wrong };
}

function quote(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n')}"`;
}

export function formatMatcher({ name, value, isRegex, isEqual }: ApiMatcher): string {
  const op = isEqual ? (isRegex ? '=~' : '=') : isRegex ? '!~' : '!=';
  return `${PLAIN_NAME.test(name) ? name : quote(name)}${op}${quote(value)}`;
}

export function formatMatchers(matchers: readonly ApiMatcher[]): string {
  return matchers.map(formatMatcher).join('\n');
}

/** Matchers of exactly these labels. */
export function matchersOf(labels: Labels): ApiMatcher[] {
  return Object.entries(labels).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }));
}

/** The address of the page with a form for a silence of these labels. */
export function silenceAddress(labels: Labels): string {
  return `/silences?${new URLSearchParams({ new: formatMatchers(matchersOf(labels)) })}`;
}
