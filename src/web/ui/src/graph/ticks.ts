// Labels of the value axis: exact to the tick, different from each other, and short.

const LARGE = ['', 'k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];
const SMALL = ['', 'm', '\u00b5', 'n', 'p', 'f', 'a'];

/** Digits of a label at most; with more of them the part that all share stands apart. */
const MAX_DIGITS = 7;

export interface AxisLabels {
  /** One per tick. */
  labels: string[];
  /** What has to be added to each of them, or "". */
  base: string;
}

/** A power of ten that brings values to a size that the chart library can divide into ticks: 0 for usual ones. */
export function exponentOf(largest: number): number {
  if (largest === 0 || (largest >= 1e-9 && largest < 1e15)) return 0;
  return Math.floor(Math.log10(largest) / 3) * 3;
}

/** `value` times ten to the power of `exponent`, in two steps where one would leave the range of numbers. */
export function scaled(value: number, exponent: number): number {
  const half = Math.trunc(exponent / 2);
  return value * 10 ** half * 10 ** (exponent - half);
}

/**
 * Labels for ticks that are multiples of `increment`, both in units of ten to the power of `exponent`: all with the same
 * prefix of the unit, and as many decimals as the ticks have.
 */
export function axisLabels(ticks: readonly number[], increment: number, exponent = 0): AxisLabels {
  // Twelve digits leave out what rounding added.
  const [mantissa, power = '0'] = Number(increment.toPrecision(12)).toExponential().split('e');
  const decimals = mantissa!.split('.')[1]?.length ?? 0;
  const factor = Math.round(Number(mantissa) * 10 ** decimals);
  // Each tick is a whole number of units of ten to the power of `unit`.
  let unit = Number(power) - decimals + exponent;
  let whole = ticks.map((tick) => Math.round(tick / increment) * factor);
  if (whole.every((n) => n === 0)) return { labels: whole.map(() => '0'), base: '' };
  while (whole.every((n) => n % 10 === 0)) {
    whole = whole.map((n) => n / 10);
    unit += 1;
  }
  const most = Math.max(...whole.map((n) => digits(n).length));
  const low = Math.min(...whole);
  const span = Math.max(...whole) - low;
  const round = 10 ** digits(span).length;
  if (most <= MAX_DIGITS || round >= 10 ** most) return { labels: texts(whole, unit), base: '' };
  const base = Math.floor(low / round) * round;
  if (base === 0) return { labels: texts(whole, unit), base: '' };
  const offsets = texts(
    whole.map((n) => n - base),
    unit,
  );
  return { labels: offsets.map((text) => `+${text}`), base: texts([base], unit)[0]! };
}

function digits(whole: number): string {
  return String(Math.abs(whole));
}

/** Whole numbers of units of ten to the power of `unit`, all with the same prefix and as many decimals. */
function texts(whole: readonly number[], unit: number): string[] {
  let trailing = 0;
  while (whole.some((n) => n !== 0) && whole.every((n) => (n / 10 ** trailing) % 10 === 0)) trailing += 1;
  const most = Math.max(...whole.map((n) => digits(n).length));
  const magnitude = most - 1 + unit;
  const power = Math.floor(magnitude / 3);
  const symbol = power >= 0 ? LARGE[power] : SMALL[-power];
  // What has no prefix is written with an exponent.
  const scale = symbol === undefined ? magnitude : power * 3;
  const suffix = symbol ?? `e${scale}`;
  const decimals = Math.max(0, scale - unit - trailing);
  return whole.map((n) => {
    if (n === 0) return '0';
    const zeros = Math.max(0, unit - scale);
    const all = (
      digits(n / 10 ** Math.min(trailing, Math.max(0, scale - unit))) + '0'.repeat(zeros)
    ).padStart(decimals + 1, '0');
    const cut = all.length - decimals;
    return `${n < 0 ? '-' : ''}${all.slice(0, cut)}${decimals > 0 ? `.${all.slice(cut)}` : ''}${suffix}`;
  });
}
