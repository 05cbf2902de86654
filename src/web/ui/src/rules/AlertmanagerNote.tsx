// Who is told of alerts.
import { Alert, Anchor, UnstyledButton } from '@mantine/core';
import { IconBellOff, IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import { useState } from 'react';
import { formatCount } from '../lib/number';
import { useNotificationSetup } from '../notifications/useNotifications';
import { webAddress } from './links';
import { type Alertmanagers, useAlertmanagers } from './useRules';

const MOST_SHOWN = 50;

/** The page of an Alertmanager whose API is at `url`; null when it is no web address. */
export function pageOf(url: string): string | null {
  return webAddress(url.replace(/\/api\/v2\/alerts$/, '/'));
}

function AddressList({ title, urls }: { title: string; urls: string[] }) {
  if (urls.length === 0) return null;
  return (
    <div>
      <h3 className="ek-dimmed ek-small">{title}</h3>
      <ul className="ek-alertmanagers">
        {urls.slice(0, MOST_SHOWN).map((url) => {
          const page = pageOf(url);
          return (
            <li key={url} data-testid="alertmanager">
              {page ? (
                <Anchor href={page} target="_blank" rel="noopener noreferrer" size="sm">
                  {url}
                </Anchor>
              ) : (
                url
              )}
            </li>
          );
        })}
        {urls.length > MOST_SHOWN && <li>and {formatCount(urls.length - MOST_SHOWN)} more</li>}
      </ul>
    </div>
  );
}

function summary({ active, dropped }: Alertmanagers): string {
  const names = active.length === 1 ? 'Alertmanager' : 'Alertmanagers';
  const told = `Alerts are sent to ${formatCount(active.length)} ${names}`;
  return dropped.length === 0 ? told : `${told}; ${formatCount(dropped.length)} dropped by relabelling`;
}

export function AlertmanagerNote() {
  const [isOpen, setOpen] = useState(false);
  const { data } = useAlertmanagers();
  const { data: setup } = useNotificationSetup();
  if (!data) return null;
  const { active, dropped } = data.value;
  return (
    <section aria-label="Alertmanagers" data-testid="alertmanagers">
      {active.length === 0 && setup && !setup.enabled && (
        <Alert
          color="yellow"
          icon={<IconBellOff size={18} />}
          title="No Alertmanager receives these alerts"
          data-testid="no-alertmanagers"
        >
          {dropped.length === 0
            ? 'None is configured or found. Name one under "alerting" in the configuration; until then alerts are only shown here.'
            : 'Relabelling drops every Alertmanager that was found, so alerts are only shown here.'}
        </Alert>
      )}
      {active.length + dropped.length > 0 && (
        <>
          <h2 className="ek-alertmanager-heading">
            <UnstyledButton aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
              {isOpen ? <IconChevronDown size={15} /> : <IconChevronRight size={15} />} {summary(data.value)}
            </UnstyledButton>
          </h2>
          {isOpen && (
            <>
              <AddressList title="Active" urls={active} />
              <AddressList title="Dropped" urls={dropped} />
            </>
          )}
        </>
      )}
    </section>
  );
}
