// When a silence begins and ends.
import { describe, expect, it } from 'vitest';
import { initialDuration, silenceTimes } from './silenceTimes';

const AT = Date.UTC(2026, 0, 1, 12);
const HOUR = 3_600_000;
const time = (ms: number) => new Date(ms).toISOString();
const silence = (state: 'active' | 'pending' | 'expired', endsMs: number, startsMs = AT - HOUR) => ({
  id: 'x',
  startsAt: time(startsMs),
  endsAt: time(endsMs),
  status: { state },
});
const shown = (ms: number) => ({ ms, isChanged: false });
const typed = (ms: number) => ({ ms, isChanged: true });

describe('the times of a silence', () => {
  it('count from when the form is sent', () => {
    const opened = initialDuration(null, AT);
    expect(opened).toBe(2 * HOUR);
    const sent = AT + HOUR;
    expect(silenceTimes(null, shown(opened), sent)).toEqual({
      startsAt: time(sent),
      endsAt: time(sent + 2 * HOUR),
    });
    expect(silenceTimes(silence('active', AT + 9 * HOUR), typed(HOUR), sent)).toEqual({
      id: 'x',
      startsAt: time(AT - HOUR),
      endsAt: time(sent + HOUR),
    });
  });

  it('stay where nobody changes them', () => {
    const ends = AT + 3 * HOUR + 1234;
    expect(initialDuration(silence('active', ends), AT)).toBe(3 * HOUR);
    expect(silenceTimes(silence('active', ends), shown(3 * HOUR), AT + HOUR).endsAt).toBe(time(ends));
  });

  it('are what was shown where it ended meanwhile', () => {
    const before = silence('active', AT + 2 * HOUR);
    const opened = initialDuration(before, AT);
    const sent = AT + 3 * HOUR;
    expect(silenceTimes(before, shown(opened), sent).endsAt).toBe(time(sent + 2 * HOUR));
  });

  it('of one that is over begin anew, as long as it was', () => {
    const over = silence('expired', AT - 10, AT - 10 - 5 * HOUR);
    const opened = initialDuration(over, AT);
    expect(opened).toBe(5 * HOUR);
    expect(silenceTimes(over, shown(opened), AT)).toEqual({
      startsAt: time(AT),
      endsAt: time(AT + 5 * HOUR),
    });
    expect(initialDuration({ ...over, status: { state: 'active' } }, AT)).toBe(5 * HOUR);
    expect(initialDuration(silence('expired', AT - 10, AT - 20), AT)).toBe(60_000);
  });

  it('of one that has not begun count from its beginning', () => {
    const begins = AT + 10 * HOUR;
    const pending = silence('pending', begins + 2 * HOUR, begins);
    expect(initialDuration(pending, AT)).toBe(2 * HOUR);
    expect(silenceTimes(pending, typed(HOUR), AT)).toEqual({
      id: 'x',
      startsAt: time(begins),
      endsAt: time(begins + HOUR),
    });
    // It may have begun since.
    expect(silenceTimes(pending, typed(HOUR), begins + HOUR).endsAt).toBe(time(begins + 2 * HOUR));
  });
});
