// Receivers, deliveries and silences, asked for every few seconds while the page is in sight.
import { useQuery } from '@tanstack/react-query';
import { getNotifiedAlerts, getSilences } from '../api/alertmanager';
import { apiGet } from '../api/client';
import type { Labels } from '../lib/series';

const REFRESH_MS = 5000;
const RARE_MS = 60_000;

export interface Integration {
  integration: string;
  /** Its place among those of the receiver. */
  index: number;
  sendResolved: boolean;
  /** What became of what it was told last; null when nothing was sent since the server started. */
  lastDelivery: Delivery | null;
}

export interface Receiver {
  name: string;
  integrations: Integration[];
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
  /** The place of the integration among those of the receiver. */
  index: number;
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

/** Whether notifications are on, who is told, and what became of that; asked for often where that is looked at. */
export function useNotificationSetup({ isWatched = false } = {}) {
  return useQuery({
    queryKey: ['notifications', 'setup'],
    queryFn: async ({ signal }) =>
      (await apiGet<NotificationSetup>('notifications/receivers', {}, signal)).data,
    refetchInterval: isWatched ? REFRESH_MS : RARE_MS,
    staleTime: isWatched ? 0 : RARE_MS / 2,
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
