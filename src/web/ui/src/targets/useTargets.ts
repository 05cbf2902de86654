// The server's targets, asked for every few seconds; the dropped ones, which
// can be many, far less often.
import { useQuery } from '@tanstack/react-query';
import { apiGet } from '../api/client';
import type { TargetsData } from '../api/types';

const REFRESH_MS = 5000;
const DROPPED_REFRESH_MS = 60_000;

export function useTargets() {
  return useQuery({
    queryKey: ['targets', 'active'],
    queryFn: async ({ signal }) => {
      const reply = await apiGet<TargetsData>('targets', { state: 'active' }, signal);
      return reply.data.activeTargets ?? [];
    },
    refetchInterval: REFRESH_MS,
  });
}

/** Dropped targets per pool; older servers only list them. */
export function useDroppedCounts() {
  return useQuery({
    queryKey: ['targets', 'dropped-counts'],
    queryFn: async ({ signal }) => {
      const { data } = await apiGet<TargetsData>('targets', { state: 'dropped' }, signal);
      if (data.droppedTargetCounts) return data.droppedTargetCounts;
      const counts: Record<string, number> = {};
      for (const { scrapePool, discoveredLabels } of data.droppedTargets ?? []) {
        const pool = scrapePool ?? discoveredLabels.job ?? '';
        counts[pool] = (counts[pool] ?? 0) + 1;
      }
      return counts;
    },
    staleTime: DROPPED_REFRESH_MS,
    refetchInterval: DROPPED_REFRESH_MS,
  });
}
