// The graph view: controls, the range query, the chart and its legend.
import { Group, SegmentedControl, Switch } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import { apiPost } from '../api/client';
import type { QueryData, RangeSeries } from '../api/types';
import { toColumns } from '../graph/align';
import Chart from '../graph/Chart';
import { Legend } from '../graph/Legend';
import { formatDuration, humanizeDuration } from '../lib/duration';
import { formatCount } from '../lib/number';
import { useStore } from '../lib/store';
import { zoneStore } from '../lib/time';
import { Annotations, Hint, QueryProblem } from './Messages';
import type { DisplayMode, Panel } from './panel';
import { RangeInput } from './RangeInput';
import { ResolutionInput } from './ResolutionInput';
import { stepOf, windowOf } from './range';
import { TimeInput } from './TimeInput';

interface Props {
  panel: Panel;
  change(patch: Partial<Panel>): void;
}

const NONE_HIDDEN: ReadonlySet<number> = new Set();

function seriesOf(data: QueryData): RangeSeries[] {
  return data.resultType === 'matrix' ? data.result : [];
}

export default function GraphTab({ panel, change }: Props) {
  const { id, expr, endMs, rangeMs, run, displayMode } = panel;
  const zone = useStore(zoneStore);
  const stepMs = stepOf(panel.resolution, rangeMs);

  const { data, error, isFetching } = useQuery({
    queryKey: ['panel', id, 'range', expr, endMs, rangeMs, stepMs, run],
    queryFn: async ({ signal }) => {
      const span = windowOf(endMs, Date.now(), rangeMs, stepMs);
      const end = span.endMs / 1000;
      // The newest values show although the next step is still to come; it can be days away.
      const [reply, latest] = await Promise.all([
        apiPost<QueryData>(
          'query_range',
          { query: expr, start: span.startMs / 1000, end, step: stepMs / 1000 },
          signal,
        ),
        span.lastMs < span.endMs
          ? apiPost<QueryData>('query', { query: expr, time: end }, signal)
          : Promise.resolve(undefined),
      ]);
      return {
        ...reply,
        ...span,
        columns: toColumns(seriesOf(reply.data), span.startMs, span.endMs, stepMs, latest?.data),
      };
    },
    enabled: expr !== '',
    placeholderData: keepPreviousData,
    // A reply can be large, and it is never compared with the next one.
    structuralSharing: false,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 10_000,
    retry: false,
  });
  const reply = expr === '' || error ? undefined : data;
  const columns = reply?.columns;
  const count = columns?.labels.length ?? 0;

  const [hidden, setHidden] = useState(NONE_HIDDEN);
  const [emphasized, setEmphasized] = useState<number | null>(null);
  // Hidden series are known by their place, so they last while the same
  // series come back, as they do when the range changes.
  const identity = useMemo(() => JSON.stringify(columns?.labels ?? []), [columns]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: runs when the series change.
  useEffect(() => {
    setHidden(NONE_HIDDEN);
    setEmphasized(null);
  }, [identity]);

  return (
    <>
      <Group gap="sm" mb="sm" className="ek-graph-controls">
        <RangeInput rangeMs={rangeMs} onChange={(next) => change({ rangeMs: next })} />
        <TimeInput
          label="End time"
          valueMs={endMs}
          shiftMs={rangeMs}
          onChange={(next) => change({ endMs: next })}
        />
        <ResolutionInput
          resolution={panel.resolution}
          rangeMs={rangeMs}
          onChange={(resolution) => change({ resolution })}
        />
        <SegmentedControl
          aria-label="Display"
          value={displayMode}
          onChange={(mode) => change({ displayMode: mode as DisplayMode })}
          data={[
            { value: 'lines', label: <span data-testid="unstacked">Unstacked</span> },
            { value: 'stacked', label: <span data-testid="stacked">Stacked</span> },
          ]}
        />
        <Switch
          label="Y axis from 0"
          checked={panel.yAxisMin !== null}
          onChange={(event) => change({ yAxisMin: event.currentTarget.checked ? 0 : null })}
        />
      </Group>
      {error && !isFetching && <QueryProblem error={error} />}
      {reply && <Annotations warnings={reply.warnings} infos={reply.infos} />}
      {reply && columns && columns.histogramOnly > 0 && (
        <Annotations
          warnings={[]}
          infos={[
            `${formatCount(columns.histogramOnly)} series hold native histograms, which have no line. Use histogram_quantile() or histogram_count() to draw them.`,
          ]}
        />
      )}
      {reply && columns && count > 0 && (
        <div className={isFetching ? 'ek-stale' : undefined}>
          <Chart
            columns={columns}
            hidden={hidden}
            emphasized={emphasized}
            mode={displayMode}
            startMs={reply.startMs}
            endMs={reply.endMs}
            yAxisMin={panel.yAxisMin}
            zone={zone}
            onSelectRange={(from, to) =>
              change({
                endMs: Math.round(to / 1000) * 1000,
                rangeMs: Math.max(1000, Math.round((to - from) / 1000) * 1000),
              })
            }
          />
          <Legend columns={columns} hidden={hidden} onHiddenChange={setHidden} onEmphasize={setEmphasized} />
          <div className="ek-stats" role="status">
            {formatCount(count)} series, step {formatDuration(stepMs)}, loaded in{' '}
            {humanizeDuration(reply.tookMs)}
          </div>
        </div>
      )}
      {reply && count === 0 && columns?.histogramOnly === 0 && (
        <Hint>The result is empty: no series matched in this range.</Hint>
      )}
      {!reply && !error && <Hint>{expr === '' ? 'Enter an expression and run it.' : 'Loading...'}</Hint>}
    </>
  );
}
