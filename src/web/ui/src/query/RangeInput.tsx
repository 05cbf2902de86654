// The length of a graph: typed as a duration, or stepped through usual ones.
import { ActionIcon, Group, TextInput } from '@mantine/core';
import { IconMinus, IconPlus } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { formatDuration, parseDuration } from '../lib/duration';
import { longerRange, shorterRange } from './range';

interface Props {
  rangeMs: number;
  onChange(rangeMs: number): void;
}

export function RangeInput({ rangeMs, onChange }: Props) {
  const shown = formatDuration(rangeMs);
  const [text, setText] = useState(shown);
  useEffect(() => setText(shown), [shown]);

  const parsed = parseDuration(text);
  const isValid = parsed !== null && parsed > 0;
  const commit = () => {
    if (isValid) onChange(parsed);
    else setText(shown);
  };
  return (
    <Group gap={4} wrap="nowrap">
      <ActionIcon
        variant="default"
        size="input-sm"
        aria-label="Shorter range"
        onClick={() => onChange(shorterRange(rangeMs))}
      >
        <IconMinus size={16} />
      </ActionIcon>
      <TextInput
        aria-label="Range"
        w={84}
        value={text}
        error={!isValid}
        classNames={{ input: 'ek-centered' }}
        onChange={(event) => setText(event.currentTarget.value)}
        onBlur={commit}
        onKeyDown={(event) => event.key === 'Enter' && commit()}
      />
      <ActionIcon
        variant="default"
        size="input-sm"
        aria-label="Longer range"
        onClick={() => onChange(longerRange(rangeMs))}
      >
        <IconPlus size={16} />
      </ActionIcon>
    </Group>
  );
}
