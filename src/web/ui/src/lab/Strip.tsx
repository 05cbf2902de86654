// The states of an alert over time as a strip: pending and firing stretches on
// the time axis of the graph above it.
import { memo } from 'react';
import { humanizeDuration } from '../lib/duration';
import { formatCount } from '../lib/number';
import type { Span } from './types';

/** Width of the drawing; what is shorter than one unit is drawn as wide as that. */
const UNITS = 1000;

/** The outline of the spans in one state, as a path of the drawing. */
export function stripPath(spans: readonly Span[], state: Span['state'], start: number, end: number): string {
  const scale = UNITS / Math.max(end - start, 1e-9);
  let path = '';
  let covered = Number.NEGATIVE_INFINITY;
  for (const span of spans) {
    if (span.state !== state || span.from >= end || (span.to ?? end) <= start) continue;
    const from = (Math.max(span.from, start) - start) * scale;
    const to = Math.max((Math.min(span.to ?? end, end) - start) * scale, from + 1);
    if (to <= covered) continue;
    covered = to;
    path += `M${from.toFixed(2)} 0H${Math.min(to, UNITS).toFixed(2)}V1H${from.toFixed(2)}Z`;
  }
  return path;
}

/** What a strip shows, in words. */
export function stripText(spans: readonly Span[], end: number): string {
  const firing = spans.filter(({ state }) => state === 'firing');
  if (firing.length === 0) return `pending ${times(spans.length)}, never fired`;
  const seconds = firing.reduce((sum, { from, to }) => sum + ((to ?? end) - from), 0);
  return `fired ${times(firing.length)}, ${humanizeDuration(seconds * 1000)} in all`;
}

function times(count: number): string {
  return count === 1 ? 'once' : `${formatCount(count)} times`;
}

interface Props {
  spans: readonly Span[];
  /** Seconds. */
  start: number;
  end: number;
  label: string;
}

export const Strip = memo(function Strip({ spans, start, end, label }: Props) {
  return (
    <svg
      className="ek-strip"
      viewBox={`0 0 ${UNITS} 1`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`${label}: ${stripText(spans, end)}`}
      data-testid="strip"
    >
      <path className="ek-strip-pending" d={stripPath(spans, 'pending', start, end)} />
      <path className="ek-strip-firing" d={stripPath(spans, 'firing', start, end)} />
    </svg>
  );
});

export function StripKey() {
  return (
    <div className="ek-strip-key ek-small" aria-hidden>
      <span data-state="pending">pending</span>
      <span data-state="firing">firing</span>
    </div>
  );
}
