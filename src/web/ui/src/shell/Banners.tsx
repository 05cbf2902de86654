// Notices over every page: the server does not answer, or its clock differs.
import { Alert } from '@mantine/core';
import { IconAlertTriangle, IconClock } from '@tabler/icons-react';
import { connectionStore } from '../api/connection';
import { humanizeDuration } from '../lib/duration';
import { useStore } from '../lib/store';

const SKEW_LIMIT_MS = 30_000;

export function Banners() {
  const { state, skewMs } = useStore(connectionStore);
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
      {skewMs !== null && Math.abs(skewMs) > SKEW_LIMIT_MS && (
        <Alert color="yellow" icon={<IconClock size={18} />} title="Clocks differ">
          The server's clock is {humanizeDuration(Math.abs(skewMs))} {skewMs > 0 ? 'ahead of' : 'behind'} this
          browser's. Results for "now" may look empty or shifted.
        </Alert>
      )}
    </div>
  );
}
