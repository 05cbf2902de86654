// A window to find a metric by name: fuzzy filter, type and help text.
import { ActionIcon, Badge, Modal, Text, TextInput, Tooltip, UnstyledButton } from '@mantine/core';
import { IconCopy, IconSearch } from '@tabler/icons-react';
import { useDeferredValue, useMemo, useState } from 'react';
import { useMetadata, useMetricNames } from '../api/hooks';
import { metadataOf } from '../api/metadata';
import { copyText } from '../lib/clipboard';
import { fuzzyFilter } from '../lib/fuzzy';
import { formatCount } from '../lib/number';
import { metricText } from '../lib/series';
import { QueryProblem } from './Messages';

const SHOWN = 150;

interface Props {
  opened: boolean;
  onClose(): void;
  /** Gets the name as it is written in an expression. */
  onInsert(text: string): void;
}

function Highlighted({ text, positions }: { text: string; positions: number[] }) {
  if (positions.length === 0) return text;
  const marked = new Set(positions);
  return Array.from(text, (char, index) =>
    // biome-ignore lint/suspicious/noArrayIndexKey: characters have no other identity than their place.
    marked.has(index) ? <mark key={index}>{char}</mark> : char,
  );
}

function Explorer({ onInsert }: Pick<Props, 'onInsert'>) {
  const names = useMetricNames();
  const metadata = useMetadata();
  const [filter, setFilter] = useState('');
  const pattern = useDeferredValue(filter);
  const found = useMemo(() => fuzzyFilter(pattern, names.data ?? [], (name) => name), [pattern, names.data]);

  return (
    <>
      <TextInput
        aria-label="Filter metrics"
        placeholder="Filter metrics"
        leftSection={<IconSearch size={16} />}
        data-autofocus
        value={filter}
        onChange={(event) => setFilter(event.currentTarget.value)}
        onKeyDown={(event) => {
          const first = found[0];
          if (event.key === 'Enter' && first) onInsert(metricText(first.item));
        }}
      />
      <Text size="sm" c="dimmed" my="xs" role="status">
        {names.isPending
          ? 'Loading...'
          : `${formatCount(found.length)} of ${formatCount(names.data?.length ?? 0)} metrics`}
      </Text>
      {names.error && <QueryProblem error={names.error} />}
      <ul className="ek-explorer-list">
        {found.slice(0, SHOWN).map(({ item, match }) => {
          const meta = metadataOf(metadata.data, item);
          return (
            <li key={item} className="ek-explorer-entry">
              <UnstyledButton className="ek-explorer-insert" onClick={() => onInsert(metricText(item))}>
                <span className="ek-explorer-name">
                  <Highlighted text={item} positions={match.positions} />
                  {meta && meta.type !== 'unknown' && (
                    <Badge size="sm" variant="light" color="gray" ml="xs" tt="none">
                      {meta.type}
                    </Badge>
                  )}
                </span>
                {meta?.help && <span className="ek-explorer-help">{meta.help}</span>}
              </UnstyledButton>
              <Tooltip label="Copy name">
                <ActionIcon
                  variant="subtle"
                  color="gray"
                  aria-label={`Copy ${item}`}
                  onClick={() => void copyText(metricText(item))}
                >
                  <IconCopy size={16} />
                </ActionIcon>
              </Tooltip>
            </li>
          );
        })}
      </ul>
      {found.length > SHOWN && (
        <Text size="sm" c="dimmed" mt="xs">
          {formatCount(found.length - SHOWN)} more; type to narrow the list.
        </Text>
      )}
    </>
  );
}

export function MetricsExplorer({ opened, onClose, onInsert }: Props) {
  // After an insertion the caret is in the editor and stays there.
  const [returnFocus, setReturnFocus] = useState(true);
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title="Explore metrics"
      size="xl"
      returnFocus={returnFocus}
      onEnterTransitionEnd={() => setReturnFocus(true)}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <Explorer
        onInsert={(text) => {
          setReturnFocus(false);
          onInsert(text);
        }}
      />
    </Modal>
  );
}
