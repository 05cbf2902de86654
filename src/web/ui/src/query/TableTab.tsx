// The table view: the value of the expression at one time.
import { Group } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { apiPost } from '../api/client';
import type { QueryData } from '../api/types';
import { humanizeDuration } from '../lib/duration';
import { formatCount } from '../lib/number';
import { Annotations, Hint, QueryProblem } from './Messages';
import type { Panel } from './panel';
import { ResultTable } from './ResultTable';
import { TimeInput } from './TimeInput';

interface Props {
  panel: Panel;
  change(patch: Partial<Panel>): void;
}

function sizeOf(data: QueryData): string {
  if (data.resultType === 'scalar' || data.resultType === 'string') return data.resultType;
  const count = data.result.length;
  return `${formatCount(count)} ${count === 1 ? 'series' : 'series'}`;
}

export function TableTab({ panel, change }: Props) {
  const { id, expr, endMs, rangeMs, run } = panel;
  const { data, error, isFetching } = useQuery({
    queryKey: ['panel', id, 'instant', expr, endMs, run],
    queryFn: ({ signal }) => {
      const time = (endMs ?? Date.now()) / 1000;
      return apiPost<QueryData>('query', { query: expr, time }, signal);
    },
    enabled: expr !== '',
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 10_000,
    retry: false,
  });
  const reply = expr === '' || error ? undefined : data;

  return (
    <>
      <Group justify="space-between" gap="sm" mb="sm">
        <TimeInput
          label="Evaluation time"
          valueMs={endMs}
          shiftMs={rangeMs}
          onChange={(next) => change({ endMs: next })}
        />
        <div className="ek-stats" role="status">
          {reply && `${sizeOf(reply.data)}, loaded in ${humanizeDuration(reply.tookMs)}`}
        </div>
      </Group>
      {error && !isFetching && <QueryProblem error={error} />}
      {reply && <Annotations warnings={reply.warnings} infos={reply.infos} />}
      {reply && (
        <div className={isFetching ? 'ek-stale' : undefined}>
          <ResultTable data={reply.data} />
        </div>
      )}
      {!reply && !error && <Hint>{expr === '' ? 'Enter an expression and run it.' : 'Loading...'}</Hint>}
    </>
  );
}
