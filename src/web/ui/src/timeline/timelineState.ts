// The range and filters of the timeline, in the address of the page.
import type { AlertState } from '../api/types';
import { formatDuration, parseDuration } from '../lib/duration';
import { formatTime, parseTime } from '../lib/time';

export interface TimelineState {
  rangeMs: number;
  /** Null is now: the page follows. */
  endMs: number | null;
  alert: string;
  /** A selector such as `{severity="page"}`. */
  match: string;
  state: AlertState | null;
}

export const FIRST_TIMELINE: TimelineState = {
  rangeMs: 24 * 3_600_000,
  endMs: null,
  alert: '',
  match: '',
  state: null,
};

const isState = (text: string | null): text is AlertState => text === 'firing' || text === 'pending';

export function decodeTimeline(params: URLSearchParams): TimelineState {
  const rangeMs = parseDuration(params.get('range') ?? '');
  const state = params.get('state');
  return {
    rangeMs: rangeMs !== null && rangeMs > 0 ? rangeMs : FIRST_TIMELINE.rangeMs,
    endMs: parseTime(params.get('end') ?? '', 'utc'),
    alert: params.get('alert') ?? '',
    match: params.get('match') ?? '',
    state: isState(state) ? state : null,
  };
}

export function encodeTimeline(state: TimelineState): URLSearchParams {
  const params = new URLSearchParams();
  if (state.rangeMs !== FIRST_TIMELINE.rangeMs) params.set('range', formatDuration(state.rangeMs));
  if (state.endMs !== null) params.set('end', formatTime(state.endMs, 'utc'));
  if (state.alert !== '') params.set('alert', state.alert);
  if (state.match !== '') params.set('match', state.match);
  if (state.state !== null) params.set('state', state.state);
  return params;
}
