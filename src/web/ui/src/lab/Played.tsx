// What came of a rule: figures, the graph with its threshold, a strip per alert,
// the firings one by one, and the rule as a file.
import { useDebouncedCallback } from '@mantine/hooks';
import { useEffect, useMemo, useState } from 'react';
import type { Reply } from '../api/client';
import Chart from '../graph/Chart';
import { Legend } from '../graph/Legend';
import type { PlotArea } from '../graph/plotArea';
import { formatDuration, humanizeDuration } from '../lib/duration';
import { formatCount, parseSampleValue } from '../lib/number';
import { useStore } from '../lib/store';
import { zoneStore } from '../lib/time';
import { Hint } from '../query/Messages';
import { AlertStrips } from './AlertStrips';
import { columnsOf } from './columns';
import { Figures } from './Figures';
import { Firings } from './Firings';
import type { LabState } from './labState';
import { SaveAs } from './SaveAs';
import { ThresholdLine } from './ThresholdLine';
import type { Backtest } from './types';

/** The rule is played again when the threshold rests for so long. */
const REST_MS = 200;
const NONE_HIDDEN: ReadonlySet<number> = new Set();

interface Props {
  reply: Reply<Backtest>;
  lab: LabState;
  change(patch: Partial<LabState>): void;
}

/** Tells where the chart draws, so that what is below can stand under it. */
function PlotReport({ area, onArea }: { area: PlotArea; onArea(area: PlotArea): void }) {
  useEffect(() => onArea(area), [area, onArea]);
  return null;
}

export function Played({ reply, lab, change }: Props) {
  const { data, tookMs } = reply;
  const zone = useStore(zoneStore);
  const [hidden, setHidden] = useState(NONE_HIDDEN);
  const [emphasized, setEmphasized] = useState<number | null>(null);
  const [area, setArea] = useState<PlotArea | null>(null);
  const startMs = data.start * 1000;
  const endMs = data.end * 1000;
  const columns = useMemo(() => columnsOf(data), [data]);

  const { threshold } = data;
  const value = threshold ? parseSampleValue(threshold.value) : Number.NaN;
  const moveTo = useDebouncedCallback((next: number) => {
    if (threshold) change({ expr: `${threshold.left} ${threshold.operator} ${next}` });
  }, REST_MS);
  const zoom = (from: number, to: number) =>
    change({
      endMs: Math.round(to / 1000) * 1000,
      rangeMs: Math.max(1000, Math.round((to - from) / 1000) * 1000),
    });

  return (
    <>
      <Figures totals={data.totals} alertCount={data.alertCount} />
      {columns.labels.length > 0 ? (
        <>
          <Chart
            columns={columns}
            hidden={hidden}
            emphasized={emphasized}
            mode="lines"
            startMs={startMs}
            endMs={endMs}
            yAxisMin={null}
            zone={zone}
            onSelectRange={zoom}
            included={Number.isFinite(value) ? value : null}
            overlay={(area) => (
              <>
                <PlotReport area={area} onArea={setArea} />
                {threshold && Number.isFinite(value) && (
                  <ThresholdLine area={area} value={value} operator={threshold.operator} onMove={moveTo} />
                )}
              </>
            )}
          />
          {threshold && (
            <p className="ek-dimmed ek-small ek-lab-note">
              Drag the line to move the threshold, or focus it and use the arrow keys.
            </p>
          )}
        </>
      ) : (
        <Hint>There is nothing to draw: the expression found no series in this range.</Hint>
      )}
      <AlertStrips data={data} area={columns.labels.length > 0 ? area : null} />
      {columns.labels.length > 1 && (
        <details className="ek-lab-details">
          <summary>
            {formatCount(columns.labels.length)} series in the graph
            {data.seriesLeftOut && ', others left out'}
          </summary>
          <Legend columns={columns} hidden={hidden} onHiddenChange={setHidden} onEmphasize={setEmphasized} />
        </details>
      )}
      <div className="ek-stats" role="status" data-testid="lab-status">
        {formatCount(data.evaluations)} evaluations every {formatDuration(data.interval * 1000)}, played in{' '}
        {humanizeDuration(tookMs)}
      </div>
      <Firings data={data} />
      <SaveAs lab={lab} data={data} />
    </>
  );
}
