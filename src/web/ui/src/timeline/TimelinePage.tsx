// When alerts were pending and firing: a strip per alert, by name.
import { Button, Group, NativeSelect, Paper, Stack, TextInput } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import { useSearchParams } from 'react-router';
import { apiGet } from '../api/client';
import type { AlertState } from '../api/types';
import '../lab/lab.css';
import { StripKey } from '../lab/Strip';
import type { Timeline } from '../lab/types';
import { formatCount } from '../lib/number';
import { Annotations, Hint, QueryProblem } from '../query/Messages';
import { RangeInput } from '../query/RangeInput';
import { longerRange } from '../query/range';
import { TimeInput } from '../query/TimeInput';
import { More, useWindow } from '../rules/parts';
import { useAlerts } from '../rules/useRules';
import { PageTitle } from '../shell/PageTitle';
import { TimelineGroupView } from './TimelineGroupView';
import { decodeTimeline, encodeTimeline, type TimelineState } from './timelineState';

/** A page that ends now asks again after so long. */
const REFRESH_MS = 15_000;
const GROUPS_AT_FIRST = 30;
const MORE_GROUPS = 50;

function useTimeline(state: TimelineState) {
  return useQuery({
    queryKey: ['timeline', state],
    queryFn: ({ signal }) => {
      const endMs = state.endMs ?? Date.now();
      return apiGet<Timeline>(
        'alerts/timeline',
        {
          start: (endMs - state.rangeMs) / 1000,
          end: endMs / 1000,
          alertname: state.alert === '' ? undefined : state.alert,
          'match[]': state.match === '' ? undefined : state.match,
          state: state.state ?? undefined,
        },
        signal,
      );
    },
    placeholderData: keepPreviousData,
    refetchInterval: state.endMs === null ? REFRESH_MS : false,
    structuralSharing: false,
    staleTime: REFRESH_MS,
    gcTime: 10_000,
    retry: false,
  });
}

export default function TimelinePage() {
  const [params, setParams] = useSearchParams();
  const state = useMemo(() => decodeTimeline(params), [params]);
  const change = (patch: Partial<TimelineState>) => setParams(encodeTimeline({ ...state, ...patch }));
  const { data: reply, error, isFetching } = useTimeline(state);
  const { data: groups } = useAlerts();
  const rules = useMemo(
    () => (groups?.value ?? []).flatMap((of) => of.rules.map((rule) => ({ rule, of }))),
    [groups],
  );
  const [alert, setAlert] = useState(state.alert);
  useEffect(() => setAlert(state.alert), [state.alert]);
  const [match, setMatch] = useState(state.match);
  useEffect(() => setMatch(state.match), [state.match]);
  const data = error ? undefined : reply?.data;
  const shown = useWindow(GROUPS_AT_FIRST, MORE_GROUPS, params.toString());
  const firings = (data?.groups ?? []).reduce((sum, group) => sum + group.firings, 0);

  return (
    <Stack gap="md">
      <PageTitle title="Alert timeline">
        {data && (
          <span className="ek-page-note" role="status" data-testid="timeline-sum">
            {formatCount(firings)} {firings === 1 ? 'firing' : 'firings'} of {formatCount(data.alertCount)}{' '}
            {data.alertCount === 1 ? 'alert' : 'alerts'}
          </span>
        )}
      </PageTitle>
      <Group gap="sm" className="ek-filters">
        <RangeInput rangeMs={state.rangeMs} onChange={(rangeMs) => change({ rangeMs })} />
        <TimeInput
          label="End time"
          valueMs={state.endMs}
          shiftMs={state.rangeMs}
          onChange={(endMs) => change({ endMs })}
        />
        <Button variant="default" onClick={() => change({ rangeMs: longerRange(state.rangeMs) })}>
          Zoom out
        </Button>
        <NativeSelect
          aria-label="State"
          data-testid="timeline-state"
          value={state.state ?? ''}
          onChange={(event) => change({ state: (event.currentTarget.value || null) as AlertState | null })}
          data={[
            { value: '', label: 'Pending and firing' },
            { value: 'firing', label: 'Firing' },
            { value: 'pending', label: 'Pending' },
          ]}
        />
        <TextInput
          aria-label="Name of the alert"
          placeholder="Name of the alert"
          data-testid="timeline-alert"
          value={alert}
          onChange={(event) => setAlert(event.currentTarget.value)}
          onBlur={() => alert !== state.alert && change({ alert: alert.trim() })}
          onKeyDown={(event) => event.key === 'Enter' && change({ alert: alert.trim() })}
        />
        <TextInput
          aria-label="Selector of labels"
          placeholder={'{severity="page"}'}
          className="ek-grow"
          data-testid="timeline-match"
          value={match}
          onChange={(event) => setMatch(event.currentTarget.value)}
          onBlur={() => match !== state.match && change({ match: match.trim() })}
          onKeyDown={(event) => event.key === 'Enter' && change({ match: match.trim() })}
        />
      </Group>
      {error && !isFetching && <QueryProblem error={error} />}
      {reply && !error && <Annotations warnings={reply.warnings} infos={reply.infos} />}
      {data && data.groups.length > 0 && <StripKey />}
      {data?.groups.slice(0, shown.limit).map((group) => (
        <TimelineGroupView
          key={group.alertname}
          group={group}
          start={data.start}
          end={data.end}
          loaded={rules.find(({ rule }) => rule.type === 'alerting' && rule.name === group.alertname)}
          onZoom={(from, to) =>
            change({ endMs: Math.round(to) * 1000, rangeMs: Math.max(1, Math.round(to - from)) * 1000 })
          }
        />
      ))}
      {data && <More total={data.groups.length} shown={shown} what="names" />}
      {data && data.groups.length === 0 && (
        <Paper withBorder>
          <Hint>No alert was pending or firing in this range.</Hint>
        </Paper>
      )}
    </Stack>
  );
}
