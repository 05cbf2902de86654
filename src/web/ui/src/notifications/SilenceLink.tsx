// The button beside an alert that opens the form of a silence for it.
import { Button } from '@mantine/core';
import { IconBellOff } from '@tabler/icons-react';
import { Link } from 'react-router';
import type { Labels } from '../lib/series';
import { silenceAddress } from './matchers';
import { useNotificationSetup } from './useNotifications';

export function SilenceLink({ labels }: { labels: Labels }) {
  const { data } = useNotificationSetup();
  if (data?.enabled !== true || data.silent) return null;
  return (
    <Button
      component={Link}
      to={silenceAddress(labels)}
      size="compact-xs"
      variant="default"
      leftSection={<IconBellOff size={13} />}
      className="ek-silence-link"
      data-testid="silence-alert"
    >
      Silence
    </Button>
  );
}
