// What the lab plays, in the address of the page, so that a link shows the same.
import { formatDuration, parseDuration } from '../lib/duration';
import type { Labels } from '../lib/series';
import { formatTime, parseTime } from '../lib/time';

export type LabTab = 'rule' | 'file';

export interface LabState {
  tab: LabTab;
  expr: string;
  alert: string;
  forMs: number;
  keepMs: number;
  labels: Labels;
  annotations: Labels;
  rangeMs: number;
  /** Null is now. */
  endMs: number | null;
  /** Null is that of the configuration. */
  intervalMs: number | null;
  /** How far back the group looks; null is that of the configuration. */
  offsetMs: number | null;
  /** Most alerts of the rule; 0 is no limit. */
  limit: number;
}

const DAY = 24 * 3_600_000;

export const FIRST_LAB: LabState = {
  tab: 'rule',
  expr: '',
  alert: '',
  forMs: 0,
  keepMs: 0,
  labels: {},
  annotations: {},
  rangeMs: 7 * DAY,
  endMs: null,
  intervalMs: null,
  offsetMs: null,
  limit: 0,
};

function durationOf(text: string | null): number | null {
  const value = parseDuration(text ?? '');
  return value !== null && value > 0 ? value : null;
}

/** The limit of a group; what is no number is none. */
export function limitOf(text: string | null): number {
  return /^\d{1,9}$/.test(text ?? '') ? Number(text) : 0;
}

function labelsOf(text: string | null): Labels {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
    return Object.fromEntries(
      Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
    );
  } catch {
    return {};
  }
}

export function decodeLab(params: URLSearchParams): LabState {
  return {
    tab: params.get('tab') === 'file' ? 'file' : 'rule',
    expr: params.get('expr') ?? '',
    alert: params.get('alert') ?? '',
    forMs: durationOf(params.get('for')) ?? 0,
    keepMs: durationOf(params.get('keep_firing_for')) ?? 0,
    labels: labelsOf(params.get('labels')),
    annotations: labelsOf(params.get('annotations')),
    rangeMs: durationOf(params.get('range')) ?? FIRST_LAB.rangeMs,
    endMs: parseTime(params.get('end') ?? '', 'utc'),
    intervalMs: durationOf(params.get('interval')),
    offsetMs: parseDuration(params.get('query_offset') ?? ''),
    limit: limitOf(params.get('limit')),
  };
}

export function encodeLab(state: LabState): URLSearchParams {
  const params = new URLSearchParams();
  const put = (name: string, value: string, isDefault: boolean) => {
    if (!isDefault) params.set(name, value);
  };
  put('tab', state.tab, state.tab === 'rule');
  put('expr', state.expr, state.expr === '');
  put('alert', state.alert, state.alert === '');
  put('for', formatDuration(state.forMs), state.forMs === 0);
  put('keep_firing_for', formatDuration(state.keepMs), state.keepMs === 0);
  put('labels', JSON.stringify(state.labels), Object.keys(state.labels).length === 0);
  put('annotations', JSON.stringify(state.annotations), Object.keys(state.annotations).length === 0);
  put('range', formatDuration(state.rangeMs), state.rangeMs === FIRST_LAB.rangeMs);
  if (state.endMs !== null) params.set('end', formatTime(state.endMs, 'utc'));
  if (state.intervalMs !== null) params.set('interval', formatDuration(state.intervalMs));
  if (state.offsetMs !== null) params.set('query_offset', formatDuration(state.offsetMs));
  put('limit', String(state.limit), state.limit === 0);
  return params;
}

/** Where a rule is tried: the address of the lab with it, as its group evaluates it, over a range if one is said. */
export function labOf(
  rule: {
    name: string;
    query: string;
    duration?: number;
    keepFiringFor?: number;
    labels?: Labels;
    annotations?: Labels;
  },
  group?: { interval: number; limit?: number; queryOffset?: number },
  range?: { rangeMs: number; endMs: number | null },
) {
  const state: LabState = {
    ...FIRST_LAB,
    ...(range && { rangeMs: range.rangeMs, endMs: range.endMs }),
    intervalMs: group ? Math.round(group.interval * 1000) : null,
    limit: group?.limit ?? 0,
    offsetMs: group?.queryOffset === undefined ? null : Math.round(group.queryOffset * 1000),
    expr: rule.query,
    alert: rule.name,
    forMs: (rule.duration ?? 0) * 1000,
    keepMs: (rule.keepFiringFor ?? 0) * 1000,
    labels: rule.labels ?? {},
    annotations: rule.annotations ?? {},
  };
  return { pathname: '/lab', search: encodeLab(state).toString() };
}

/** Labels as people type them: `severity=page, team=storage`. */
export function formatLabels(labels: Labels): string {
  return Object.entries(labels)
    .map(
      ([name, value]) => `${name}=${/[,="\s]/.test(value) || value === '' ? JSON.stringify(value) : value}`,
    )
    .join(', ');
}

const PAIR = /^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*("(?:[^"\\]|\\.)*"|[^,"]*?)\s*(?:,|$)/;

/** The labels of a text, or null where it cannot be read. */
export function parseLabels(text: string): Labels | null {
  const labels: Record<string, string> = {};
  let rest = text.trim();
  while (rest !== '') {
    const match = PAIR.exec(rest);
    if (!match) return null;
    const [whole, name, raw] = match;
    try {
      labels[name!] = raw!.startsWith('"') ? (JSON.parse(raw!) as string) : raw!;
    } catch {
      return null;
    }
    rest = rest.slice(whole.length).trim();
  }
  return labels;
}
