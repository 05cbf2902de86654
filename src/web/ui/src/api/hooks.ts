// Queries that several pages share: metric names, metadata, the heartbeat.
import { useQuery } from '@tanstack/react-query';
import { apiGet } from './client';
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
    refetchInterval: () => (connectionStore.get().state === 'ok' ? 20_000 : 3000),
    refetchOnWindowFocus: true,
    retry: false,
  });
}
