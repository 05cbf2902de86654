// Notices over every page: the server does not answer, refuses new series, or its clock differs.
import { Alert } from '@mantine/core';
import { IconAlertTriangle, IconClock, IconHandStop } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { apiGet } from '../api/client';
import { connectionStore } from '../api/connection';
import type { StatusMap } from '../api/types';
import { humanizeDuration } from '../lib/duration';
import { useStore } from '../lib/store';

const SKEW_LIMIT_MS = 30_000;

/** Why the server takes no new series, or nothing. */
function useRefusal(): string | null {
  const { data } = useQuery({
    queryKey: ['runtime-info'],
    queryFn: async ({ signal }) => (await apiGet<StatusMap>('status/runtimeinfo', {}, signal)).data,
    refetchInterval: 20_000,
    retry: false,
  });
  const reason = data?.newSeriesRefused;
  return typeof reason === 'string' && reason !== '' ? reason : null;
}

export function Banners() {
  const { state, skewMs } = useStore(connectionStore);
  const refusal = useRefusal();
  return (
    <div className="ek-banners" aria-live="polite">
      {state === 'unreachable' && (
        <Alert
          color="red"
          icon={<IconAlertTriangle size={18} />}
          title="The server does not answer"
          role="alert"
        >
          What you see may be out of date. The page keeps trying.
        </Alert>
      )}
      {state === 'unready' && (
        <Alert color="yellow" icon={<IconAlertTriangle size={18} />} title="The server is not ready yet">
          It is starting or shutting down. The page keeps trying.
        </Alert>
      )}
      {refusal && (
        <Alert color="yellow" icon={<IconHandStop size={18} />} title="New series are refused">
          Series in memory go on. The reason: {refusal}.
        </Alert>
      )}
      {skewMs !== null && Math.abs(skewMs) > SKEW_LIMIT_MS && (
        <Alert color="yellow" icon={<IconClock size={18} />} title="Clocks differ">
          The server's clock is {humanizeDuration(Math.abs(skewMs))} {skewMs > 0 ? 'ahead of' : 'behind'} this
          browser's. Results for "now" may look empty or shifted.
        </Alert>
      )}
    </div>
  );
}
