// Making and changing a silence, with the alerts it would silence.
import { Button, Group, Modal, Stack, Textarea, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { type Silence, saveSilence } from '../api/alertmanager';
import { connectionStore } from '../api/connection';
import { formatDuration, parseDuration } from '../lib/duration';
import { formatCount } from '../lib/number';
import { createStoredStore, useStore } from '../lib/store';
import { Problem } from '../query/Messages';
import { LabelList } from '../targets/LabelList';
import { formatMatcher, formatMatchers, parseMatchers } from './matchers';
import { initialDuration, silenceTimes } from './silenceTimes';
import { useMatchingAlerts } from './useNotifications';

const MOST_PREVIEWED = 10;
const PREVIEW_DELAY_MS = 300;

/** Who made the last silence in this browser. */
const authorStore = createStoredStore<string>('emberkeep.author', '', (value) => typeof value === 'string');

/** The server's time. */
function serverNow(): number {
  return Date.now() + (connectionStore.get().skewMs ?? 0);
}

function Preview({ filters }: { filters: string[] }) {
  const { data, error } = useMatchingAlerts(filters);
  if (filters.length === 0) return null;
  if (error) return <Problem title="The matchers are not valid" text={String((error as Error).message)} />;
  if (!data) return null;
  return (
    <section aria-label="Alerts that match" data-testid="silence-preview">
      <div className="ek-dimmed ek-small" role="status">
        {data.length === 0
          ? 'No alert matches now'
          : `${formatCount(data.length)} ${data.length === 1 ? 'alert matches' : 'alerts match'} now`}
      </div>
      <ul className="ek-preview">
        {data.slice(0, MOST_PREVIEWED).map((alert) => (
          <li key={alert.fingerprint}>
            <LabelList labels={alert.labels} />
          </li>
        ))}
      </ul>
    </section>
  );
}

interface Props {
  /** The silence to change; without one a new one is made. */
  silence: Silence | null;
  /** Matchers to begin with, one to a line. */
  matchers: string;
  /** The server's time when the form is opened. */
  nowMs: number;
  onClose(): void;
}

export function SilenceForm({ silence, matchers, nowMs, onClose }: Props) {
  const [initial] = useState(() => formatDuration(initialDuration(silence, nowMs)));
  const [text, setText] = useState(silence ? formatMatchers(silence.matchers) : matchers);
  const [duration, setDuration] = useState(initial);
  const lastAuthor = useStore(authorStore);
  const [author, setAuthor] = useState(silence?.createdBy ?? lastAuthor);
  const [comment, setComment] = useState(silence?.comment ?? '');
  const parsed = useMemo(() => parseMatchers(text), [text]);
  const [filters] = useDebouncedValue(
    useMemo(() => parsed.matchers.map(formatMatcher), [parsed]),
    PREVIEW_DELAY_MS,
  );
  const durationMs = parseDuration(duration);
  const queries = useQueryClient();
  const save = useMutation({
    mutationFn: () =>
      saveSilence({
        ...silenceTimes(silence, { ms: durationMs ?? 0, isChanged: duration !== initial }, serverNow()),
        matchers: parsed.matchers,
        createdBy: author.trim(),
        comment: comment.trim(),
      }),
    onSuccess: async () => {
      authorStore.set(author.trim());
      await queries.invalidateQueries({ queryKey: ['notifications', 'silences'] });
      onClose();
    },
  });
  const isComplete =
    parsed.matchers.length > 0 &&
    parsed.wrong.length === 0 &&
    (durationMs ?? 0) > 0 &&
    author.trim() !== '' &&
    comment.trim() !== '';
  return (
    <Modal opened onClose={onClose} title={silence ? 'Change silence' : 'New silence'} size="lg">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (isComplete) save.mutate();
        }}
      >
        <Stack gap="sm">
          <Textarea
            label="Matchers"
            description="One to a line; alerts that match all of them are silenced"
            rows={Math.min(8, Math.max(3, text.split('\n').length))}
            classNames={{ input: 'ek-matchers-input' }}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            error={parsed.wrong.length > 0 ? `Not a matcher: ${parsed.wrong[0]}` : undefined}
            data-autofocus={text === '' || undefined}
            data-testid="silence-matchers"
          />
          <Preview filters={filters} />
          <TextInput
            label={silence?.status.state === 'pending' ? 'Lasts' : 'Ends in'}
            description="Such as 30m, 2h or 1d12h"
            value={duration}
            onChange={(event) => setDuration(event.currentTarget.value)}
            error={durationMs === null || durationMs <= 0 ? 'Not a duration' : undefined}
            data-testid="silence-duration"
          />
          <TextInput
            label="Created by"
            value={author}
            onChange={(event) => setAuthor(event.currentTarget.value)}
            data-autofocus={text !== '' || undefined}
            data-testid="silence-author"
          />
          <TextInput
            label="Comment"
            value={comment}
            onChange={(event) => setComment(event.currentTarget.value)}
            data-testid="silence-comment"
          />
          {save.error && <Problem title="The silence was not saved" text={save.error.message} />}
          <Group justify="flex-end" gap="sm">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" disabled={!isComplete} loading={save.isPending} data-testid="silence-save">
              {silence ? 'Save' : 'Silence'}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
