// When a silence begins and ends, as the form has it.
import type { Silence } from '../api/alertmanager';

type Before = Pick<Silence, 'id' | 'startsAt' | 'endsAt' | 'status'>;

const FIRST_MS = 2 * 3_600_000;
const MINUTE_MS = 60_000;

/** From when on its duration counts: one that has not begun lasts from its beginning on. */
function countsFrom(silence: Before, nowMs: number): number {
  return Math.max(nowMs, Date.parse(silence.startsAt));
}

/** How long a silence lasts, in full minutes, to begin the form with: what is left, or, where it is over, what it was. */
export function initialDuration(silence: Before | null, nowMs: number): number {
  if (!silence) return FIRST_MS;
  const [starts, ends] = [Date.parse(silence.startsAt), Date.parse(silence.endsAt)];
  const isOver = silence.status.state === 'expired' || ends <= nowMs;
  const duration = isOver ? ends - starts : ends - countsFrom(silence, nowMs);
  return Math.max(1, Math.round(duration / MINUTE_MS)) * MINUTE_MS;
}

/**
 * What is asked for at `nowMs`, the server's time when the form is sent. One that is not over keeps its name and its
 * beginning, and its end unless another duration was asked for.
 */
export function silenceTimes(
  silence: Before | null,
  duration: { ms: number; isChanged: boolean },
  nowMs: number,
): { id?: string; startsAt: string; endsAt: string } {
  const kept = silence && silence.status.state !== 'expired' ? silence : null;
  const keptEnd = kept && !duration.isChanged ? Date.parse(kept.endsAt) : Number.NaN;
  const from = kept ? countsFrom(kept, nowMs) : nowMs;
  return {
    ...(kept && { id: kept.id }),
    startsAt: kept ? kept.startsAt : new Date(nowMs).toISOString(),
    endsAt: new Date(keptEnd > nowMs ? keptEnd : from + duration.ms).toISOString(),
  };
}
