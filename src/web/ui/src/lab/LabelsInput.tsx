// Labels as one line of text.
import { TextInput } from '@mantine/core';
import { useEffect, useState } from 'react';
import type { Labels } from '../lib/series';
import { formatLabels, parseLabels } from './labState';

interface Props {
  labels: Labels;
  onChange(labels: Labels): void;
}

export function LabelsInput({ labels, onChange }: Props) {
  const shown = formatLabels(labels);
  const [text, setText] = useState(shown);
  useEffect(() => setText(shown), [shown]);
  const parsed = parseLabels(text);
  const commit = () => {
    if (parsed === null) setText(shown);
    else if (formatLabels(parsed) !== shown) onChange(parsed);
  };
  return (
    <TextInput
      label="labels"
      className="ek-grow"
      placeholder="severity=page, team=storage"
      value={text}
      error={parsed === null}
      data-testid="lab-labels"
      onChange={(event) => setText(event.currentTarget.value)}
      onBlur={commit}
      onKeyDown={(event) => event.key === 'Enter' && commit()}
    />
  );
}
