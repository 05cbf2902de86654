// Settings of the chart library: axes, scales, line shapes and areas.
import uPlot from 'uplot';
import type { Zone } from '../lib/time';
import type { DisplayMode } from '../query/panel';
import { type Column, isolatedPoints } from './align';
import { mix, seriesColor } from './palette';
import { axisLabels, scaled } from './ticks';

export interface ChartColors {
  ground: string;
  text: string;
  grid: string;
}

export interface ChartSpec {
  columns: Column[];
  mode: DisplayMode;
  startMs: number;
  endMs: number;
  yAxisMin: number | null;
  /** A value that the axis shows in any case. */
  included: number | null;
  /** Power of ten that the values were divided by. */
  exponent: number;
  zone: Zone;
  colors: ChartColors;
  /** Told what has to be added to the labels of the value axis, or "". */
  onBase(base: string): void;
}

// The library declares these as an enumeration that its module does not export.
const AXES = 'axes' as uPlot.DrawOrderKey;
const SERIES = 'series' as uPlot.DrawOrderKey;

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

// Per tick distance in seconds: what each tick shows, and what is added on a
// second line at the first tick and when the day or the year changes.
const DATE = '\n{YYYY}-{MM}-{DD}';
const TIME_LABELS: uPlot.Axis.Values = [
  [365 * 86400, '{YYYY}', null, null, null, null, null, null, 1],
  [28 * 86400, '{YYYY}-{MM}', null, null, null, null, null, null, 1],
  [86400, '{MM}-{DD}', '\n{YYYY}', null, null, null, null, null, 1],
  [60, '{HH}:{mm}', DATE, null, DATE, null, null, null, 1],
  [1, '{HH}:{mm}:{ss}', DATE, null, DATE, null, null, null, 1],
  [0.001, '{ss}.{fff}', '\n{YYYY}-{MM}-{DD} {HH}:{mm}', null, null, null, '\n{HH}:{mm}', null, 1],
];

/** Room for the widest label of the value axis. */
function valueAxisSize(u: uPlot, labels: string[] | null, axisIndex: number, cycle: number): number {
  const axis = u.axes[axisIndex] as uPlot.Axis & { _size?: number };
  // Later cycles keep the size, or a changing size could go on forever.
  if (cycle > 1) return axis._size ?? 50;
  const longest = (labels ?? []).reduce((most, label) => (label.length > most.length ? label : most), '');
  u.ctx.font = FONT;
  return Math.ceil(Math.max(34, u.ctx.measureText(longest).width + 16));
}

function valueRange(spec: ChartSpec): uPlot.Scale.Range {
  return (_u, lowest, highest) => {
    if (lowest === null || highest === null || !Number.isFinite(lowest) || !Number.isFinite(highest))
      return [0, 1];
    const also = spec.included === null ? null : scaled(spec.included, -spec.exponent);
    const low = Math.min(lowest, also ?? lowest);
    const high = Math.max(highest, also ?? highest);
    const floor = spec.yAxisMin ?? (spec.mode === 'stacked' ? Math.min(0, low) : null);
    if (floor !== null) {
      const top = Math.max(high, floor);
      return [floor, top === floor ? floor + 1 : top + (top - floor) * 0.06];
    }
    if (low === high) {
      const pad = low === 0 ? 1 : Math.abs(low) * 0.1;
      return [low - pad, high + pad];
    }
    const pad = (high - low) * 0.06;
    // Data that stays on one side of zero does not make the axis cross it.
    return [low >= 0 ? Math.max(0, low - pad) : low - pad, high <= 0 ? Math.min(0, high + pad) : high + pad];
  };
}

function valueLabels(spec: ChartSpec): uPlot.Axis.Values {
  return (_u, ticks, _axis, _space, increment) => {
    const { labels, base } = axisLabels(ticks, increment, spec.exponent);
    spec.onBase(base);
    return labels;
  };
}

export function chartOptions(spec: ChartSpec, width: number, height: number): uPlot.Options {
  const { colors, mode, columns } = spec;
  const many = columns.length > 60;
  const isolated = columns.map(isolatedPoints);
  const axis: uPlot.Axis = {
    font: FONT,
    stroke: colors.text,
    grid: { stroke: colors.grid, width: 1 },
    ticks: { stroke: colors.grid, width: 1, size: 4 },
  };
  const lines: uPlot.Series[] = columns.map((_, index) => ({
    scale: 'y',
    stroke: seriesColor(index),
    width: many ? 1 : 1.5,
    fill: mode === 'stacked' ? mix(seriesColor(index), colors.ground, 0.35) : undefined,
    fillTo: mode === 'stacked' ? 0 : undefined,
    spanGaps: false,
    points: {
      show: isolated[index]!.length > 0,
      size: 5,
      width: 0,
      fill: seriesColor(index),
      filter: () => isolated[index]!,
    },
  }));
  return {
    width,
    height,
    padding: [12, 32, 0, 0],
    legend: { show: false },
    // The grid goes over areas, which are solid, and under lines.
    drawOrder: mode === 'stacked' ? [SERIES, AXES] : [AXES, SERIES],
    tzDate: (seconds) =>
      spec.zone === 'utc' ? uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') : new Date(seconds * 1000),
    scales: {
      x: { time: true, range: () => [spec.startMs / 1000, spec.endMs / 1000] },
      y: { range: valueRange(spec) },
    },
    axes: [
      { ...axis, values: TIME_LABELS, space: 70 },
      { ...axis, values: valueLabels(spec), size: valueAxisSize, space: 36 },
    ],
    cursor: {
      y: false,
      points: { show: false },
      drag: { x: true, y: false, setScale: false, dist: 5 },
    },
    series: [{}, ...lines],
  };
}
