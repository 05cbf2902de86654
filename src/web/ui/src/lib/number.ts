// Numbers for reading: short forms with SI prefixes, shares and counts.

const LARGE = ['', 'k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];
const SMALL = ['', 'm', '\u00b5', 'n', 'p', 'f', 'a'];

/** "1.5k", "20m", "-3.25M": for axes, where space is short. */
export function humanizeNumber(value: number, digits = 3): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1) {
    const power = Math.min(Math.floor((Math.log10(size) + 1e-12) / 3), LARGE.length - 1);
    return trim(value / 1000 ** power, digits) + LARGE[power];
  }
  const power = Math.ceil((-Math.log10(size) - 1e-12) / 3);
  if (power >= SMALL.length) return value.toExponential(digits - 1);
  return trim(value * 1000 ** power, digits) + SMALL[power];
}

function trim(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

/** "12,345": a count in full. */
export function formatCount(value: number): string {
  return value.toLocaleString('en-US');
}

/** The value of a sample as the server prints it. */
export function parseSampleValue(text: string): number {
  if (text === '+Inf' || text === 'Inf') return Number.POSITIVE_INFINITY;
  if (text === '-Inf') return Number.NEGATIVE_INFINITY;
  return Number.parseFloat(text);
}
