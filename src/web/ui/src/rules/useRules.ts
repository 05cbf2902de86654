// The server's rules, alerts and Alertmanagers, asked for every few seconds
// while the page is in sight.
import { type Query, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { apiGet, type Params, type Reply } from '../api/client';
import { connectionStore } from '../api/connection';
import type { AlertmanagersData, RuleGroup, RulesData } from '../api/types';
import { useStore } from '../lib/store';

const REFRESH_MS = 5000;
const BADGE_REFRESH_MS = 15_000;
const ALERTMANAGERS_REFRESH_MS = 30_000;

/** Waits in proportion to what an answer takes, so that large sets do not keep server and browser busy. */
const REST_PER_ANSWER = 20;

interface Timed<T> {
  value: T;
  tookMs: number;
}

function pauseAfter<T>(shortestMs: number) {
  return ({ state }: Pick<Query<Timed<T>>, 'state'>) =>
    Math.max(shortestMs, REST_PER_ANSWER * (state.data?.tookMs ?? 0));
}

function useTimed<T, D>(
  key: string,
  path: string,
  params: Params,
  shortestMs: number,
  read: (reply: Reply<D>) => T,
) {
  return useQuery<Timed<T>>({
    queryKey: ['rules', key],
    queryFn: async ({ signal }) => {
      const reply = await apiGet<D>(path, params, signal);
      return { value: read(reply), tookMs: reply.tookMs };
    },
    refetchInterval: pauseAfter<T>(shortestMs),
    // Nothing is asked for while the page is hidden.
    refetchOnWindowFocus: true,
    staleTime: shortestMs / 2,
  });
}

const groupsOf = ({ data }: Reply<RulesData>) => data.groups ?? [];

/** Alerting rules with all their alerts. */
export function useAlerts() {
  return useTimed<RuleGroup[], RulesData>('alerts', 'rules', { type: 'alert' }, REFRESH_MS, groupsOf);
}

/** All rules, without alerts. */
export function useRules() {
  return useTimed<RuleGroup[], RulesData>('all', 'rules', { exclude_alerts: 'true' }, REFRESH_MS, groupsOf);
}

const FIRING = 'firing';

function countFiring({ data }: Reply<RulesData>): number {
  let count = 0;
  for (const { rules } of data.groups ?? []) {
    for (const rule of rules) if (rule.type === 'alerting') count += rule.alertCounts?.firing ?? 0;
  }
  return count;
}

/** How many alerts fire. */
export function useFiringCount(): number {
  const params = { type: 'alert', exclude_alerts: 'true' };
  return useTimed<number, RulesData>(FIRING, 'rules', params, BADGE_REFRESH_MS, countFiring).data?.value ?? 0;
}

/** Tells what a page has learned, so that the number beside its name is not behind. */
export function useKnownFiringCount(count: number | undefined) {
  const queries = useQueryClient();
  useEffect(() => {
    if (count === undefined) return;
    queries.setQueryData<Timed<number>>(['rules', FIRING], (last) => ({
      value: count,
      tookMs: last?.tookMs ?? 0,
    }));
  }, [queries, count]);
}

export interface Alertmanagers {
  active: string[];
  dropped: string[];
}

export function useAlertmanagers() {
  const read = ({ data }: Reply<AlertmanagersData>): Alertmanagers => ({
    active: (data.activeAlertmanagers ?? []).map(({ url }) => url),
    dropped: (data.droppedAlertmanagers ?? []).map(({ url }) => url),
  });
  return useTimed<Alertmanagers, AlertmanagersData>(
    'alertmanagers',
    'alertmanagers',
    {},
    ALERTMANAGERS_REFRESH_MS,
    read,
  );
}

/** The server's time when an answer came. */
export function useServerTime(updatedAtMs: number): number {
  const { skewMs } = useStore(connectionStore);
  return updatedAtMs + (skewMs ?? 0);
}
