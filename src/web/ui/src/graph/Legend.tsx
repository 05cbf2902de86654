// The list of drawn series. A click hides or shows one; a click with Ctrl or
// Cmd shows it alone, and again shows all.
import { Button } from '@mantine/core';
import { memo, useState } from 'react';
import { formatCount } from '../lib/number';
import { SeriesName } from '../lib/SeriesName';
import type { Columns } from './align';
import { afterClick } from './legendClick';
import { seriesColor } from './palette';

const SHOWN_AT_FIRST = 100;

interface Props {
  columns: Columns;
  hidden: ReadonlySet<number>;
  onHiddenChange(hidden: ReadonlySet<number>): void;
  onEmphasize(index: number | null): void;
}

export const Legend = memo(function Legend({ columns, hidden, onHiddenChange, onEmphasize }: Props) {
  const [showAll, setShowAll] = useState(false);
  const count = columns.labels.length;
  const shown = showAll ? columns.labels : columns.labels.slice(0, SHOWN_AT_FIRST);
  return (
    <div className="ek-legend">
      {shown.map((labels, index) => (
        <button
          // Series of one reply have no other identity than their place.
          // biome-ignore lint/suspicious/noArrayIndexKey: see above.
          key={index}
          type="button"
          className="ek-legend-entry"
          aria-pressed={!hidden.has(index)}
          onClick={(event) =>
            onHiddenChange(afterClick(hidden, count, index, event.ctrlKey || event.metaKey))
          }
          onMouseEnter={() => onEmphasize(index)}
          onMouseLeave={() => onEmphasize(null)}
        >
          <span className="ek-swatch" style={{ backgroundColor: seriesColor(index) }} />
          <SeriesName labels={labels} />
        </button>
      ))}
      {shown.length < count && (
        <Button variant="subtle" size="compact-sm" onClick={() => setShowAll(true)}>
          Show all {formatCount(count)} series
        </Button>
      )}
      {count > 1 && (
        <div className="ek-legend-hint">
          Click to hide or show a series, Ctrl or Cmd + click to see it alone, drag in the graph to zoom.
        </div>
      )}
    </div>
  );
});
