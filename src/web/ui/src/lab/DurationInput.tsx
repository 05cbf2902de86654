// A length of time that may be none.
import { TextInput } from '@mantine/core';
import { useEffect, useState } from 'react';
import { formatDuration, parseDuration } from '../lib/duration';

interface Props {
  label: string;
  /** Milliseconds; null is the one of the configuration. */
  valueMs: number | null;
  placeholder: string;
  /** What an empty field means. */
  empty: number | null;
  name: string;
  onChange(valueMs: number | null): void;
}

export function DurationInput({ label, valueMs, placeholder, empty, name, onChange }: Props) {
  const shown = valueMs === null || valueMs === empty ? '' : formatDuration(valueMs);
  const [text, setText] = useState(shown);
  useEffect(() => setText(shown), [shown]);
  const parsed = text.trim() === '' ? empty : parseDuration(text);
  const isValid = text.trim() === '' || parsed !== null;
  const commit = () => {
    if (isValid && parsed !== valueMs) onChange(parsed);
    else if (!isValid) setText(shown);
  };
  return (
    <TextInput
      label={label}
      w={130}
      placeholder={placeholder}
      value={text}
      error={!isValid}
      data-testid={name}
      onChange={(event) => setText(event.currentTarget.value)}
      onBlur={commit}
      onKeyDown={(event) => event.key === 'Enter' && commit()}
    />
  );
}
