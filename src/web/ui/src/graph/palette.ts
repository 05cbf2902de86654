// Colours of series: a fixed set of well separated ones that hold up on light
// and dark ground, then hues spread by the golden angle.

const FIRST = [
  '#e8590c',
  '#1c7ed6',
  '#2f9e44',
  '#ae3ec9',
  '#e6a700',
  '#0c8599',
  '#e03131',
  '#7048e8',
  '#74b816',
  '#d6336c',
  '#4dabf7',
  '#a0662b',
  '#12b886',
  '#868e96',
  '#f783ac',
  '#5c7cfa',
];

export function seriesColor(index: number): string {
  const fixed = FIRST[index];
  if (fixed) return fixed;
  const hue = (index * 137.508) % 360;
  const lightness = 0.45 + 0.12 * (index % 3 === 0 ? 0 : index % 3 === 1 ? 1 : -0.6);
  return hslToHex(hue, 0.6, lightness);
}

function hslToHex(hue: number, saturation: number, lightness: number): string {
  const a = saturation * Math.min(lightness, 1 - lightness);
  const channel = (n: number) => {
    const k = (n + hue / 30) % 12;
    const value = lightness - a * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(value * 255)
      .toString(16)
      .padStart(2, '0');
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}

function channels(hex: string): [number, number, number] {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as [number, number, number];
}

/** A solid colour `share` of the way from `ground` to `color`. */
export function mix(color: string, ground: string, share: number): string {
  const from = channels(ground);
  const to = channels(color);
  return `rgb(${from.map((value, i) => Math.round(value + (to[i]! - value) * share)).join(',')})`;
}
