// Points in time: what people type, what the address bar holds, what is shown.
// All values are milliseconds since 1970.
import { createStoredStore } from './store';

export type Zone = 'local' | 'utc';

/** The zone that times are shown and typed in. */
export const zoneStore = createStoredStore<Zone>(
  'emberkeep.zone',
  'local',
  (value): value is Zone => value === 'local' || value === 'utc',
);

const pad = (value: number, width = 2) => String(value).padStart(width, '0');

/** "2026-03-01 12:00:05", with milliseconds only when there are any. */
export function formatTime(milliseconds: number, zone: Zone): string {
  const d = new Date(milliseconds);
  if (Number.isNaN(d.getTime())) return 'invalid time';
  const [year, month, day, hour, minute, second, ms] =
    zone === 'utc'
      ? [
          d.getUTCFullYear(),
          d.getUTCMonth(),
          d.getUTCDate(),
          d.getUTCHours(),
          d.getUTCMinutes(),
          d.getUTCSeconds(),
          d.getUTCMilliseconds(),
        ]
      : [
          d.getFullYear(),
          d.getMonth(),
          d.getDate(),
          d.getHours(),
          d.getMinutes(),
          d.getSeconds(),
          d.getMilliseconds(),
        ];
  const base = `${pad(year, 4)}-${pad(month + 1)}-${pad(day)} ${pad(hour)}:${pad(minute)}:${pad(second)}`;
  return ms === 0 ? base : `${base}.${pad(ms, 3)}`;
}

/** The zone as a short suffix: "UTC" or "+02:00". */
export function zoneSuffix(milliseconds: number, zone: Zone): string {
  if (zone === 'utc') return 'UTC';
  const offset = -new Date(milliseconds).getTimezoneOffset();
  if (offset === 0) return 'UTC';
  const size = Math.abs(offset);
  return `${offset < 0 ? '-' : '+'}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}

const SHAPE = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?)?$/;

/**
 * Reads "2026-03-01", "2026-03-01 12:00", "2026-03-01T12:00:05.5" in the given
 * zone, and anything with an explicit zone or a plain Unix time in seconds.
 */
export function parseTime(text: string, zone: Zone): number | null {
  const trimmed = text.trim();
  if (/^\d{9,11}(\.\d+)?$/.test(trimmed)) return Math.round(Number(trimmed) * 1000);
  if (!isPossible(trimmed)) return null;
  const match = SHAPE.exec(trimmed);
  if (!match) {
    const parsed = /^\d{4}-/.test(trimmed) ? Date.parse(trimmed) : Number.NaN;
    return Number.isNaN(parsed) ? null : parsed;
  }
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0));
  const ms = Number((match[7] ?? '').padEnd(3, '0') || 0);
  const args = [year!, month! - 1, day!, hour!, minute!, second!, ms] as const;
  const value = zone === 'utc' ? Date.UTC(...args) : new Date(...args).getTime();
  return Number.isNaN(value) ? null : value;
}

/** Whether a text that begins with a date and a time names ones that there are: not the 31st of June, nor 25 hours. */
function isPossible(text: string): boolean {
  const match = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}))?)?/.exec(text);
  if (!match) return true;
  const [year, month, day, hour, minute, second] = match.slice(1).map((part) => Number(part ?? 0));
  const date = new Date(0);
  date.setUTCFullYear(year!, month! - 1, day!);
  const isDay = date.getUTCMonth() === month! - 1 && date.getUTCDate() === day!;
  return isDay && hour! < 24 && minute! < 60 && second! < 60;
}
