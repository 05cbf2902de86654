// The page of silences: those that are active, to come and over.
import { Button, Chip, Group, Paper, Stack } from '@mantine/core';
import { IconBellOff, IconPencil, IconX } from '@tabler/icons-react';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useSearchParams } from 'react-router';
import { expireSilence, type Silence, type SilenceState } from '../api/alertmanager';
import { humanizeDuration } from '../lib/duration';
import { formatCount } from '../lib/number';
import { useStore } from '../lib/store';
import { formatTime, zoneStore, zoneSuffix } from '../lib/time';
import { Hint, Problem, QueryProblem } from '../query/Messages';
import { More, useWindow } from '../rules/parts';
import { useServerTime } from '../rules/useRules';
import { PageTitle } from '../shell/PageTitle';
import { formatMatcher } from './matchers';
import { SetUpHint, SilentNote } from './SetUpHint';
import { SilenceForm } from './SilenceForm';
import { useNotificationSetup, useSilences } from './useNotifications';

const STATES: readonly SilenceState[] = ['active', 'pending', 'expired'];
const STATE_NAMES: Readonly<Record<SilenceState, string>> = {
  active: 'Active',
  pending: 'Pending',
  expired: 'Expired',
};
const AT_FIRST = 50;
const MORE = 50;

function When({ silence, nowMs }: { silence: Silence; nowMs: number }) {
  const zone = useStore(zoneStore);
  const starts = Date.parse(silence.startsAt);
  const ends = Date.parse(silence.endsAt);
  const absolute = (at: number) => {
    const whole = Math.floor(at / 1000) * 1000;
    return `${formatTime(whole, zone)} ${zoneSuffix(whole, zone)}`;
  };
  const minutes = (ms: number) => humanizeDuration(Math.max(60_000, Math.round(ms / 60_000) * 60_000));
  const text =
    silence.status.state === 'active'
      ? `ends in ${minutes(ends - nowMs)}`
      : silence.status.state === 'pending'
        ? `begins in ${minutes(starts - nowMs)}`
        : `ended ${minutes(nowMs - ends)} ago`;
  return (
    <span title={`${absolute(starts)} to ${absolute(ends)}`} className="ek-nowrap">
      {text}
    </span>
  );
}

interface CardProps {
  silence: Silence;
  nowMs: number;
  onEdit(): void;
}

function SilenceCard({ silence, nowMs, onEdit }: CardProps) {
  const queries = useQueryClient();
  const expire = useMutation({
    mutationFn: () => expireSilence(silence.id),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['notifications', 'silences'] }),
  });
  const { state } = silence.status;
  return (
    <Paper
      withBorder
      className="ek-silence"
      component="article"
      data-testid="silence"
      data-state={state}
      aria-label={silence.comment}
    >
      <div className="ek-silence-head">
        <span className="ek-state" data-state={state === 'active' ? 'pending' : 'unknown'}>
          {state}
        </span>
        <span className="ek-dimmed ek-small">
          <When silence={silence} nowMs={nowMs} />
        </span>
        <Group gap={6} className="ek-silence-actions">
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<IconPencil size={14} />}
            onClick={onEdit}
            data-testid="silence-edit"
          >
            {state === 'expired' ? 'Again' : 'Change'}
          </Button>
          {state !== 'expired' && (
            <Button
              size="compact-sm"
              variant="default"
              leftSection={<IconX size={14} />}
              loading={expire.isPending}
              onClick={() => expire.mutate()}
              data-testid="silence-expire"
            >
              End
            </Button>
          )}
        </Group>
      </div>
      <ul className="ek-matchers">
        {silence.matchers.map((matcher) => {
          const text = formatMatcher(matcher);
          return (
            <li key={text}>
              <code>{text}</code>
            </li>
          );
        })}
      </ul>
      <div className="ek-silence-why">
        {silence.comment} <span className="ek-dimmed ek-small">{silence.createdBy}</span>
      </div>
      {expire.error && <Problem title="The silence was not ended" text={expire.error.message} />}
    </Paper>
  );
}

export default function SilencesPage() {
  const [params, setParams] = useSearchParams();
  const setup = useNotificationSetup();
  const isOn = setup.data?.enabled === true;
  const { data, error, dataUpdatedAt } = useSilences(isOn);
  const nowMs = useServerTime(dataUpdatedAt);
  const [state, setState] = useState<SilenceState>('active');
  const [edited, setEdited] = useState<Silence | null>(null);
  const matchers = params.get('new');
  const close = () => {
    setEdited(null);
    setParams({}, { replace: true });
  };
  const count = (wanted: SilenceState) => data?.filter((one) => one.status.state === wanted).length ?? 0;
  const shown = data?.filter((one) => one.status.state === state) ?? [];
  const list = useWindow(AT_FIRST, MORE, state);
  return (
    <Stack gap="md">
      <PageTitle title="Silences" />
      {setup.error && <QueryProblem error={setup.error} />}
      {setup.data && !isOn && <SetUpHint />}
      {setup.data && isOn && <SilentNote setup={setup.data} />}
      {isOn && (
        <Group gap="sm" className="ek-filters">
          <Chip.Group value={state} onChange={(value) => setState(value as SilenceState)}>
            <Group gap={6} role="group" aria-label="Silences by state">
              {STATES.map((one) => (
                <Chip key={one} value={one} variant="outline" data-testid={`silences-${one}`}>
                  {STATE_NAMES[one]} {formatCount(count(one))}
                </Chip>
              ))}
            </Group>
          </Chip.Group>
          <Button
            leftSection={<IconBellOff size={16} />}
            onClick={() => setParams({ new: '' })}
            data-testid="new-silence"
          >
            New silence
          </Button>
        </Group>
      )}
      {error && <QueryProblem error={error} />}
      {data && shown.length === 0 && (
        <Hint>{state === 'active' ? 'Nothing is silenced.' : `There are no ${state} silences.`}</Hint>
      )}
      {shown.slice(0, list.limit).map((silence) => (
        <SilenceCard key={silence.id} silence={silence} nowMs={nowMs} onEdit={() => setEdited(silence)} />
      ))}
      <More total={shown.length} shown={list} what="silences" />
      {data && (matchers !== null || edited) && (
        <SilenceForm
          key={edited?.id ?? 'new'}
          silence={edited}
          matchers={matchers ?? ''}
          nowMs={nowMs}
          onClose={close}
        />
      )}
    </Stack>
  );
}
