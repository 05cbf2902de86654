// When a silence begins and ends, as the form has it.
import type { Silence } from '../api/alertmanager';

type Before = Pick<Silence, 'id' | 'startsAt' | 'endsAt' | 'status'>;

const FIRST_MS = 2 * 3_600_000;
const MINUTE_MS = 60_000;

/** How long a silence lasts from now on, in full minutes, to begin the form with. */
export function timeLeft(silence: Before | null, nowMs: number): number {
  const left = silence ? Date.parse(silence.endsAt) - nowMs : FIRST_MS;
  return Math.max(1, Math.round(left / MINUTE_MS)) * MINUTE_MS;
}

/**
 * What is asked for at `nowMs`, the server's time when the form is sent. One that is not over keeps its name and its
 * beginning, and its end if no other duration was asked for (null).
 */
export function silenceTimes(
  silence: Before | null,
  durationMs: number | null,
  nowMs: number,
): { id?: string; startsAt: string; endsAt: string } {
  const kept = silence && silence.status.state !== 'expired' ? silence : null;
  const keptEnd = kept && durationMs === null ? Date.parse(kept.endsAt) : Number.NaN;
  const duration = durationMs ?? timeLeft(silence, nowMs);
  return {
    ...(kept && { id: kept.id }),
    startsAt: kept ? kept.startsAt : new Date(nowMs).toISOString(),
    endsAt: new Date(keptEnd > nowMs ? keptEnd : nowMs + duration).toISOString(),
  };
}
