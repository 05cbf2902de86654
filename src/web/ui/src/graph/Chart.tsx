// The chart itself: owns the uPlot instance, finds the series under the
// pointer, and reports a dragged selection. Drawn state is written to the
// root's data attributes for tests.
import { useComputedColorScheme } from '@mantine/core';
import { type ReactNode, type RefObject, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import type { Zone } from '../lib/time';
import type { DisplayMode } from '../query/panel';
import type { Columns } from './align';
import { ChartTooltip, type Hover } from './ChartTooltip';
import { Highlight } from './highlight';
import { nearestSeries, rowWithValues } from './nearest';
import { type ChartColors, chartOptions } from './options';
import { seriesColor } from './palette';
import type { PlotArea } from './plotArea';
import { stack } from './stack';
import { exponentOf, scaled } from './ticks';

export interface ChartProps {
  columns: Columns;
  hidden: ReadonlySet<number>;
  /** Series to draw strongly because its legend entry is pointed at. */
  emphasized: number | null;
  mode: DisplayMode;
  startMs: number;
  endMs: number;
  yAxisMin: number | null;
  zone: Zone;
  onSelectRange(startMs: number, endMs: number): void;
  /** A value that the axis shows in any case. */
  included?: number | null;
  /** What lies over the drawing. */
  overlay?(area: PlotArea): ReactNode;
}

const COLORS: Record<'light' | 'dark', ChartColors> = {
  light: { ground: '#ffffff', text: '#5c5650', grid: 'rgba(60,40,20,0.10)' },
  dark: { ground: '#1d1a18', text: '#b3aaa3', grid: 'rgba(255,240,225,0.10)' },
};

export default function Chart(props: ChartProps) {
  const { columns, hidden, emphasized, mode, startMs, endMs, yAxisMin, zone, included = null } = props;
  const sizer = useRef<HTMLDivElement>(null);
  const width = useWidth(sizer);
  const root = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const highlight = useRef<Highlight | null>(null);
  const [hover, setHover] = useState<Hover | null>(null);
  const [area, setArea] = useState<PlotArea | null>(null);
  const colors = COLORS[useComputedColorScheme('light')];
  const height = width < 600 ? 280 : 400;

  const exponent = useMemo(() => exponentOf(largestOf(columns.values)), [columns]);
  const drawn = useMemo(() => {
    const values =
      exponent === 0
        ? columns.values
        : columns.values.map((column) =>
            column.map((value) => (value === null ? null : scaled(value, -exponent))),
          );
    return mode === 'stacked' ? stack(values, (index) => !hidden.has(index)) : values;
  }, [columns, exponent, hidden, mode]);
  // What the chart's own callbacks need; they outlive a render.
  const hasOverlay = props.overlay !== undefined;
  const now = useRef({ drawn, hidden, colors, hasOverlay, onSelectRange: props.onSelectRange });
  now.current = { drawn, hidden, colors, hasOverlay, onSelectRange: props.onSelectRange };

  const isMeasured = width > 0;
  // biome-ignore lint/correctness/useExhaustiveDependencies: size, hidden series and sums are applied to the living chart below.
  useEffect(() => {
    const place = root.current;
    if (!place || !isMeasured) return;
    const onBase = (base: string) => {
      if (base === '') delete place.dataset.base;
      else place.dataset.base = `${base} +`;
    };
    const spec = {
      columns: columns.values,
      included,
      mode,
      startMs,
      endMs,
      yAxisMin,
      exponent,
      zone,
      colors,
      onBase,
    };
    const options = chartOptions(spec, width, height);
    options.series.forEach((series, index) => {
      if (index > 0) series.show = !hidden.has(index - 1);
    });
    options.hooks = {
      draw: [
        (u) => {
          place.dataset.series = String(u.series.filter((series, i) => i > 0 && series.show).length);
          place.dataset.mode = mode;
          if (now.current.hasOverlay) setArea((last) => areaOf(u, exponent, last));
        },
      ],
      setCursor: [
        (u) => setHover((previous) => findHover(u, now.current.drawn, now.current.hidden, previous)),
      ],
      setSelect: [
        (u) => {
          if (u.select.width < 5) return;
          const from = u.posToVal(u.select.left, 'x') * 1000;
          const to = u.posToVal(u.select.left + u.select.width, 'x') * 1000;
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          now.current.onSelectRange(from, to);
        },
      ],
    };
    const instance = new uPlot(options, [columns.times, ...now.current.drawn] as uPlot.AlignedData, place);
    chart.current = instance;
    highlight.current = new Highlight(instance);
    return () => {
      instance.destroy();
      chart.current = null;
      highlight.current = null;
      delete place.dataset.series;
      delete place.dataset.base;
      setHover(null);
    };
  }, [columns, included, mode, startMs, endMs, yAxisMin, exponent, zone, colors, isMeasured]);

  useEffect(() => {
    const u = chart.current;
    if (u && width > 0 && (u.width !== width || u.height !== height)) u.setSize({ width, height });
  }, [width, height]);

  useEffect(() => {
    const u = chart.current;
    if (!u) return;
    u.batch(() => {
      for (let i = 1; i < u.series.length; i++) {
        const show = !hidden.has(i - 1);
        if (u.series[i]!.show !== show) u.setSeries(i, { show });
      }
      if (mode === 'stacked') u.setData([columns.times, ...drawn] as uPlot.AlignedData);
    });
  }, [hidden, drawn, mode, columns]);

  useEffect(() => {
    const target = hover ?? (emphasized === null ? null : { series: emphasized, row: -1 });
    const column = target && !hidden.has(target.series) ? drawn[target.series] : undefined;
    if (target && column) {
      highlight.current?.draw(column, target.row, seriesColor(target.series), colors.ground);
    } else highlight.current?.clear();
  }, [hover, emphasized, drawn, hidden, colors]);

  return (
    <div ref={sizer} className="ek-graph-sizer">
      <div ref={root} className="ek-graph" data-testid="graph" style={{ minHeight: height }}>
        {area && props.overlay?.(area)}
        {hover && <ChartTooltip hover={hover} columns={columns} zone={zone} width={width} />}
      </div>
    </div>
  );
}

/** Where the chart draws; the last one if it is the same. */
function areaOf(u: uPlot, exponent: number, last: PlotArea | null): PlotArea {
  const { min, max } = u.scales.y!;
  const area = {
    left: u.over.offsetLeft,
    top: u.over.offsetTop,
    width: u.over.clientWidth,
    height: u.over.clientHeight,
    low: scaled(min ?? 0, exponent),
    high: scaled(max ?? 1, exponent),
  };
  const isSame = last && (Object.keys(area) as (keyof PlotArea)[]).every((key) => area[key] === last[key]);
  return isSame ? last : area;
}

/** The largest distance of a value from zero. */
function largestOf(columns: Columns['values']): number {
  let most = 0;
  for (const column of columns) for (const value of column) most = Math.max(most, Math.abs(value ?? 0));
  return most;
}

/** Width of an element, known before the first paint. */
function useWidth(element: RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const target = element.current;
    if (!target) return;
    const measure = () => setWidth(target.clientWidth);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(target);
    return () => observer.disconnect();
  }, [element]);
  return width;
}

function findHover(
  u: uPlot,
  columns: Columns['values'],
  hidden: ReadonlySet<number>,
  previous: Hover | null,
): Hover | null {
  const { left, top, idx } = u.cursor;
  if (left === undefined || top === undefined || left < 0 || idx === null || idx === undefined) return null;
  const isShown = (index: number) => !hidden.has(index);
  const row = rowWithValues(columns, idx, Math.ceil(columns[0] ? columns[0].length / 100 : 0), isShown);
  if (row === null) return null;
  const series = nearestSeries(columns, row, top, (value) => u.valToPos(value, 'y'), isShown);
  if (series === null) return null;
  if (previous && previous.series === series && previous.row === row) return previous;
  return {
    series,
    row,
    left: u.over.offsetLeft + u.valToPos(u.data[0][row]!, 'x'),
    top: u.over.offsetTop + u.valToPos(columns[series]![row]!, 'y'),
  };
}
