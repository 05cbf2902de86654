// Past expressions in a searchable list; picking one runs it.
import { ActionIcon, Button, Popover, Text, TextInput, Tooltip, UnstyledButton } from '@mantine/core';
import { IconHistory } from '@tabler/icons-react';
import { useState } from 'react';
import { fuzzyFilter } from '../lib/fuzzy';
import { useStore } from '../lib/store';
import { historyStore } from './history';

/** Characters of an entry that are shown; a longer one is still run whole. */
const SHOWN = 300;

export function HistoryMenu({ onPick }: { onPick(expr: string): void }) {
  const entries = useStore(historyStore);
  const [opened, setOpened] = useState(false);
  const [filter, setFilter] = useState('');
  const found = fuzzyFilter(filter, entries, (entry) => entry);
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" width="min(560px, 92vw)" trapFocus>
      <Popover.Target>
        <Tooltip label="Query history" disabled={opened}>
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label="Query history"
            onClick={() => setOpened((current) => !current)}
          >
            <IconHistory size={18} />
          </ActionIcon>
        </Tooltip>
      </Popover.Target>
      <Popover.Dropdown p="xs" aria-label="Query history">
        <TextInput
          aria-label="Filter past queries"
          placeholder="Filter past queries"
          size="sm"
          mb="xs"
          data-autofocus
          value={filter}
          onChange={(event) => setFilter(event.currentTarget.value)}
        />
        <div className="ek-history-list">
          {found.map(({ item }) => (
            <UnstyledButton
              key={item}
              className="ek-history-entry"
              onClick={() => {
                setOpened(false);
                onPick(item);
              }}
            >
              {item.length > SHOWN ? `${item.slice(0, SHOWN)}\u2026` : item}
            </UnstyledButton>
          ))}
          {found.length === 0 && (
            <Text size="sm" c="dimmed" p="xs">
              {entries.length === 0 ? 'No queries have been run in this browser yet.' : 'Nothing matches.'}
            </Text>
          )}
        </div>
        {entries.length > 0 && (
          <Button
            variant="subtle"
            color="gray"
            size="compact-sm"
            mt="xs"
            onClick={() => historyStore.set([])}
          >
            Clear history
          </Button>
        )}
      </Popover.Dropdown>
    </Popover>
  );
}
