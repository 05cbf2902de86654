// The page of notifications: who is told, whether that works, and what was delivered last.
import { Button, Paper, Stack, Table } from '@mantine/core';
import { IconSend } from '@tabler/icons-react';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { apiPost } from '../api/client';
import { humanizeDuration } from '../lib/duration';
import { Hint, Problem, QueryProblem } from '../query/Messages';
import { More, Since, useWindow } from '../rules/parts';
import { useServerTime } from '../rules/useRules';
import { PageTitle } from '../shell/PageTitle';
import { LabelList } from '../targets/LabelList';
import { integrationName } from './integrations';
import { SetUpHint, SilentNote } from './SetUpHint';
import {
  type Delivery,
  type Integration,
  type Receiver,
  useDeliveries,
  useNotificationSetup,
} from './useNotifications';

const AT_FIRST = 50;
const MORE = 100;

function Outcome({ delivery }: { delivery: Delivery }) {
  const isOk = delivery.outcome === 'delivered';
  return (
    <span className="ek-state" data-health={isOk ? 'ok' : 'err'} data-testid="outcome">
      {isOk ? 'delivered' : 'failed'}
    </span>
  );
}

function counts({ firing, resolved }: Delivery): string {
  const parts = [];
  if (firing > 0) parts.push(`${firing} firing`);
  if (resolved > 0) parts.push(`${resolved} resolved`);
  return parts.join(', ');
}

function IntegrationState({ integration, name, nowMs }: IntegrationProps) {
  const last = integration.lastDelivery;
  return (
    <li data-testid="integration" data-index={integration.index}>
      <span className="ek-dimmed">{name}</span>{' '}
      {last ? (
        <>
          <Outcome delivery={last} /> <Since time={last.time} nowMs={nowMs} />
        </>
      ) : (
        <span className="ek-dimmed">was told nothing since this server started</span>
      )}
    </li>
  );
}

interface IntegrationProps {
  integration: Integration;
  name: string;
  nowMs: number;
}

interface ReceiverProps {
  receiver: Receiver;
  nowMs: number;
}

function ReceiverCard({ receiver, nowMs }: ReceiverProps) {
  const queries = useQueryClient();
  const test = useMutation({
    mutationFn: async () =>
      (await apiPost<{ deliveries: Delivery[] }>('notifications/test', { receiver: receiver.name })).data
        .deliveries,
    onSettled: () =>
      Promise.all([
        queries.invalidateQueries({ queryKey: ['notifications', 'log'] }),
        queries.invalidateQueries({ queryKey: ['notifications', 'setup'] }),
      ]),
  });
  const isTold = receiver.integrations.length > 0;
  const nameOf = (index: number) => integrationName(receiver.integrations, index);
  const failed = test.data?.filter(({ outcome }) => outcome === 'failed') ?? [];
  return (
    <Paper
      withBorder
      component="section"
      className="ek-silence"
      aria-label={receiver.name}
      data-testid="receiver"
    >
      <div className="ek-silence-head">
        <b className="ek-receiver-name">{receiver.name}</b>
        {!isTold && <span className="ek-dimmed ek-small">tells nobody</span>}
        {isTold && (
          <Button
            size="compact-sm"
            variant="default"
            className="ek-silence-actions"
            leftSection={<IconSend size={14} />}
            loading={test.isPending}
            onClick={() => test.mutate()}
            data-testid="test-receiver"
          >
            Send a test
          </Button>
        )}
      </div>
      <ul className="ek-small ek-integrations">
        {receiver.integrations.map((integration) => (
          <IntegrationState
            key={integration.index}
            integration={integration}
            name={nameOf(integration.index)}
            nowMs={nowMs}
          />
        ))}
      </ul>
      {test.data && failed.length === 0 && (
        <div className="ek-small" role="status" data-testid="test-delivered">
          The test was delivered.
        </div>
      )}
      {failed.map((delivery) => (
        <Problem
          key={delivery.index}
          title={`The test was not delivered: ${nameOf(delivery.index)}`}
          text={delivery.error ?? ''}
        />
      ))}
      {test.error && <Problem title="The test failed" text={test.error.message} />}
    </Paper>
  );
}

interface LogProps {
  deliveries: Delivery[];
  receivers: Receiver[];
  nowMs: number;
}

function Log({ deliveries, receivers, nowMs }: LogProps) {
  const integrationsOf = (name: string) => receivers.find((one) => one.name === name)?.integrations ?? [];
  const shown = useWindow(AT_FIRST, MORE, '');
  if (deliveries.length === 0) return <Hint>Nothing was sent since this server started.</Hint>;
  return (
    <>
      <Table className="ek-targets ek-deliveries" verticalSpacing="xs" horizontalSpacing="md" layout="fixed">
        <Table.Thead>
          <Table.Tr>
            <Table.Th w={190}>When</Table.Th>
            <Table.Th w={180}>Receiver</Table.Th>
            <Table.Th>Group</Table.Th>
            <Table.Th w={130}>Alerts</Table.Th>
            <Table.Th w={230}>Outcome</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {deliveries.slice(0, shown.limit).map((delivery, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: deliveries have no name; the newest is first.
            <Table.Tr key={`${delivery.time} ${index}`} data-testid="delivery">
              <Table.Td data-label="When">
                <Since time={delivery.time} nowMs={nowMs} isFull />
              </Table.Td>
              <Table.Td data-label="Receiver">
                {delivery.receiver}
                <div className="ek-dimmed ek-small">
                  {integrationName(integrationsOf(delivery.receiver), delivery.index, delivery.integration)}
                  {delivery.test && ', test'}
                </div>
              </Table.Td>
              <Table.Td data-label="Group">
                <LabelList labels={delivery.groupLabels} />
              </Table.Td>
              <Table.Td data-label="Alerts">{counts(delivery)}</Table.Td>
              <Table.Td data-label="Outcome">
                <Outcome delivery={delivery} />
                <div className="ek-dimmed ek-small">
                  {humanizeDuration(Math.round(delivery.durationSeconds * 1000))}
                  {delivery.attempts > 1 && `, ${delivery.attempts} attempts`}
                </div>
                {delivery.error && <div className="ek-target-error">{delivery.error}</div>}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <More total={deliveries.length} shown={shown} what="deliveries" />
    </>
  );
}

export default function NotificationsPage() {
  const setup = useNotificationSetup({ isWatched: true });
  const isOn = setup.data?.enabled === true;
  const { data, error, dataUpdatedAt } = useDeliveries(isOn);
  const nowMs = useServerTime(dataUpdatedAt);
  return (
    <Stack gap="md">
      <PageTitle title="Notifications" />
      {setup.error && <QueryProblem error={setup.error} />}
      {setup.data && !isOn && <SetUpHint />}
      {setup.data && isOn && <SilentNote setup={setup.data} />}
      {setup.data?.enabled && (
        <div className="ek-receivers">
          {setup.data.receivers.map((receiver) => (
            <ReceiverCard key={receiver.name} receiver={receiver} nowMs={nowMs} />
          ))}
        </div>
      )}
      {error && <QueryProblem error={error} />}
      {data && (
        <section aria-label="Deliveries">
          <h2 className="ek-group-title">Last deliveries</h2>
          <Log deliveries={data} receivers={setup.data?.receivers ?? []} nowMs={nowMs} />
        </section>
      )}
    </Stack>
  );
}
