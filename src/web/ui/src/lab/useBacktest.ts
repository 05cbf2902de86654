// Asks the server what a rule would have done.
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { apiPost, type Params } from '../api/client';
import { POINTS } from './columns';
import type { LabState } from './labState';
import type { Backtest } from './types';

/** Alerts that are told. */
const ALERTS = 500;

/** A rule as parameters of the server. */
export function paramsOf(lab: LabState, nowMs: number): Params {
  const endMs = lab.endMs ?? nowMs;
  const object = (pairs: Record<string, string>) =>
    Object.keys(pairs).length === 0 ? undefined : JSON.stringify(pairs);
  return {
    expr: lab.expr,
    alert: lab.alert === '' ? undefined : lab.alert,
    for: lab.forMs === 0 ? undefined : lab.forMs / 1000,
    keep_firing_for: lab.keepMs === 0 ? undefined : lab.keepMs / 1000,
    labels: object(lab.labels),
    annotations: object(lab.annotations),
    start: (endMs - lab.rangeMs) / 1000,
    end: endMs / 1000,
    interval: lab.intervalMs === null ? undefined : lab.intervalMs / 1000,
    query_offset: lab.offsetMs === null ? undefined : lab.offsetMs / 1000,
    limit: lab.limit === 0 ? undefined : lab.limit,
    points: POINTS,
    alerts: ALERTS,
  };
}

export function useBacktest(lab: LabState, run: number) {
  const { expr, alert, forMs, keepMs, labels, annotations, rangeMs, endMs, intervalMs, offsetMs, limit } =
    lab;
  return useQuery({
    queryKey: [
      'backtest',
      { expr, alert, forMs, keepMs, labels, annotations, rangeMs, endMs, intervalMs, offsetMs, limit },
      run,
    ],
    queryFn: ({ signal }) => apiPost<Backtest>('rules/backtest', paramsOf(lab, Date.now()), signal),
    enabled: expr !== '',
    placeholderData: keepPreviousData,
    structuralSharing: false,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 10_000,
    retry: false,
  });
}
