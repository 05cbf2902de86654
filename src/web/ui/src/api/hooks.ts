// Queries that several pages share: metric names, metadata, the heartbeat; and
// what happens when the server is back.
import { type Query, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { useStore } from '../lib/store';
import { ApiError, apiGet } from './client';
import { connectionStore, noteClock } from './connection';
import type { MetadataMap, SamplePair } from './types';

const FIVE_MINUTES = 5 * 60 * 1000;

export function useMetricNames(enabled = true) {
  return useQuery({
    queryKey: ['metric-names'],
    queryFn: async ({ signal }) => (await apiGet<string[]>('label/__name__/values', {}, signal)).data,
    staleTime: FIVE_MINUTES,
    enabled,
  });
}

export function useMetadata(enabled = true) {
  return useQuery({
    queryKey: ['metadata'],
    queryFn: async ({ signal }) => (await apiGet<MetadataMap>('metadata', {}, signal)).data,
    staleTime: FIVE_MINUTES,
    enabled,
  });
}

/** Asks the server for its time now and then; feeds the connection store. */
export function useHeartbeat() {
  const { state } = useStore(connectionStore);
  useQuery({
    queryKey: ['heartbeat'],
    queryFn: async ({ signal }) => {
      const sent = Date.now();
      const reply = await apiGet<{ result: SamplePair }>('query', { query: 'time()' }, signal);
      const seconds = Number(reply.data.result?.[1]);
      if (Number.isFinite(seconds)) noteClock(seconds * 1000, sent, Date.now());
      return seconds;
    },
    // Sooner while the server is away, so that the notice goes when it is back.
    refetchInterval: state === 'ok' ? 20_000 : 3000,
    refetchOnWindowFocus: true,
    retry: false,
  });
}

/** A request that has failed this often is left to the person in front of it. */
const MOST_FAILURES = 6;

/** Whether a query failed because nobody, or only a gateway, answered it. */
export function isLost({ state: { status, error, errorUpdateCount } }: Pick<Query, 'state'>): boolean {
  const isAbsence = error instanceof ApiError && (error.kind === 'network' || error.kind === 'http');
  return status === 'error' && isAbsence && errorUpdateCount < MOST_FAILURES;
}

/** Asks again what got no answer, once the server is back. */
export function useRecovery() {
  const queries = useQueryClient();
  useEffect(() => {
    let last = connectionStore.get().state;
    return connectionStore.subscribe(() => {
      const { state } = connectionStore.get();
      if (state === 'ok' && last !== 'ok') {
        void queries.refetchQueries({ type: 'active', predicate: isLost });
      }
      last = state;
    });
  }, [queries]);
}
