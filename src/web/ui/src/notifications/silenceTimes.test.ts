// When a silence begins and ends.
import { describe, expect, it } from 'vitest';
import { silenceTimes, timeLeft } from './silenceTimes';

const AT = Date.UTC(2026, 0, 1, 12);
const HOUR = 3_600_000;
const time = (ms: number) => new Date(ms).toISOString();
const silence = (state: 'active' | 'expired', endsMs: number) => ({
  id: 'x',
  startsAt: time(AT - HOUR),
  endsAt: time(endsMs),
  status: { state },
});

describe('the times of a silence', () => {
  it('count from when the form is sent', () => {
    const opened = timeLeft(null, AT);
    expect(opened).toBe(2 * HOUR);
    const sent = AT + HOUR;
    expect(silenceTimes(null, opened, sent)).toEqual({ startsAt: time(sent), endsAt: time(sent + 2 * HOUR) });
    expect(silenceTimes(silence('active', AT + 9 * HOUR), HOUR, sent)).toEqual({
      id: 'x',
      startsAt: time(AT - HOUR),
      endsAt: time(sent + HOUR),
    });
  });

  it('stay where nobody changes them', () => {
    const ends = AT + 3 * HOUR + 1234;
    expect(timeLeft(silence('active', ends), AT)).toBe(3 * HOUR);
    expect(silenceTimes(silence('active', ends), null, AT + HOUR).endsAt).toBe(time(ends));
  });

  it('of one that is over begin anew', () => {
    const again = silenceTimes(silence('expired', AT - 10), null, AT);
    expect(again).toEqual({ startsAt: time(AT), endsAt: time(AT + 60_000) });
  });
});
