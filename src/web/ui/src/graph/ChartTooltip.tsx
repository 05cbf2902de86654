// The box beside the pointed-at sample: time, value and every label.
import { seriesParts } from '../lib/series';
import { formatTime, type Zone, zoneSuffix } from '../lib/time';
import type { Columns } from './align';
import { seriesColor } from './palette';

export interface Hover {
  series: number;
  row: number;
  /** Place of the sample inside the graph, in CSS pixels. */
  left: number;
  top: number;
}

interface Props {
  hover: Hover;
  columns: Columns;
  zone: Zone;
  width: number;
}

export function ChartTooltip({ hover, columns, zone, width }: Props) {
  const labels = columns.labels[hover.series];
  const value = columns.values[hover.series]?.[hover.row];
  const time = columns.times[hover.row];
  if (!labels || value === null || value === undefined || time === undefined) return null;
  const { name, pairs, quotedName } = seriesParts(labels);
  const onLeft = hover.left > width / 2;
  return (
    <div
      className="ek-graph-tooltip"
      data-testid="graph-tooltip"
      style={{
        top: Math.max(0, hover.top - 30),
        left: onLeft ? undefined : hover.left + 16,
        right: onLeft ? width - hover.left + 16 : undefined,
        maxWidth: Math.max(180, (onLeft ? hover.left : width - hover.left) - 24),
      }}
    >
      <div className="ek-graph-tooltip-time">
        {formatTime(time * 1000, zone)} {zoneSuffix(time * 1000, zone)}
      </div>
      <div className="ek-graph-tooltip-value">
        <span className="ek-swatch" style={{ backgroundColor: seriesColor(hover.series) }} />
        <strong>{value}</strong>
      </div>
      <div className="ek-graph-tooltip-name">{quotedName ?? name}</div>
      {pairs.length > 0 && (
        <dl className="ek-graph-tooltip-labels">
          {pairs.map(([label, text]) => (
            <div key={label}>
              <dt>{label}</dt>
              <dd>{text}</dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}
