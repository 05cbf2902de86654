// Receivers, deliveries and silences, asked for every few seconds while the page is in sight.
import { useQuery } from '@tanstack/react-query';
import { getNotifiedAlerts, getSilences } from '../api/alertmanager';
import { apiGet } from '../api/client';
import type { Labels } from '../lib/series';

const REFRESH_MS = 5000;
const RARE_MS = 60_000;

export interface Receiver {
  name: string;
  integrations: { integration: string; sendResolved: boolean }[];
}

export interface NotificationSetup {
  enabled: boolean;
  /** Whether alerts are left to Alertmanagers. */
  silent: boolean;
  receivers: Receiver[];
}

export interface Delivery {
  time: string;
  receiver: string;
  integration: string;
  groupLabels: Labels;
  firing: number;
  resolved: number;
  alerts: Labels[];
  outcome: 'delivered' | 'failed';
  error: string | null;
  attempts: number;
  durationSeconds: number;
  test: boolean;
}

/** Whether notifications are on, and who is told. */
export function useNotificationSetup() {
  return useQuery({
    queryKey: ['notifications', 'setup'],
    queryFn: async ({ signal }) =>
      (await apiGet<NotificationSetup>('notifications/receivers', {}, signal)).data,
    refetchInterval: RARE_MS,
    staleTime: RARE_MS / 2,
  });
}

export function useDeliveries(enabled: boolean) {
  return useQuery({
    queryKey: ['notifications', 'log'],
    queryFn: async ({ signal }) =>
      (await apiGet<{ deliveries: Delivery[] }>('notifications/log', {}, signal)).data.deliveries,
    refetchInterval: REFRESH_MS,
    refetchOnWindowFocus: true,
    enabled,
  });
}

export function useSilences(enabled: boolean) {
  return useQuery({
    queryKey: ['notifications', 'silences'],
    queryFn: ({ signal }) => getSilences(signal),
    refetchInterval: REFRESH_MS,
    refetchOnWindowFocus: true,
    enabled,
  });
}

/** The alerts that all of the filters match. */
export function useMatchingAlerts(filters: string[]) {
  return useQuery({
    queryKey: ['notifications', 'matching', filters],
    queryFn: ({ signal }) => getNotifiedAlerts(filters, signal),
    refetchInterval: REFRESH_MS,
    retry: false,
    enabled: filters.length > 0,
  });
}
