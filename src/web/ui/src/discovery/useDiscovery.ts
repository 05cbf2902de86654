// What discovery finds and how its mechanisms fare, asked for every few seconds.
import { useQuery } from '@tanstack/react-query';
import { apiGet } from '../api/client';
import type { DiscoveryData, TargetsData } from '../api/types';
import type { Labels } from '../lib/series';
import type { RelabelStep } from './steps';

const REFRESH_MS = 5000;

export function useAllTargets() {
  return useQuery({
    queryKey: ['targets', 'all'],
    queryFn: async ({ signal }) => (await apiGet<TargetsData>('targets', { state: 'any' }, signal)).data,
    refetchInterval: REFRESH_MS,
  });
}

export function useMechanisms() {
  return useQuery({
    queryKey: ['discovery'],
    queryFn: async ({ signal }) => (await apiGet<DiscoveryData>('discovery', {}, signal)).data,
    refetchInterval: REFRESH_MS,
  });
}

/** What each rule of the job makes of a target. */
export function useSteps(job: string, discovered: Labels, isWanted: boolean) {
  return useQuery({
    queryKey: ['relabel-steps', job, discovered],
    queryFn: async ({ signal }) => {
      const params = { scrapePool: job, labels: JSON.stringify(discovered) };
      return (await apiGet<{ steps: RelabelStep[] }>('targets/relabel_steps', params, signal)).data.steps;
    },
    enabled: isWanted,
  });
}
