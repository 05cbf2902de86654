// The distance between points of a graph: by wanted density, one of a few
// fixed steps, or any duration.
import { Group, NativeSelect, TextInput } from '@mantine/core';
import { useEffect, useState } from 'react';
import { formatDuration, parseDuration } from '../lib/duration';
import type { Density, Resolution } from './panel';
import { stepOf } from './range';

const FIXED_MS = [10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000];

const CHOICES = [
  {
    group: 'Automatic',
    items: [
      { value: 'low', label: 'Low resolution' },
      { value: 'medium', label: 'Medium resolution' },
      { value: 'high', label: 'High resolution' },
    ],
  },
  {
    group: 'Fixed step',
    items: FIXED_MS.map((stepMs) => ({ value: String(stepMs), label: `Step ${formatDuration(stepMs)}` })),
  },
  { group: 'Other', items: [{ value: 'custom', label: 'Custom step' }] },
];

interface Props {
  resolution: Resolution;
  rangeMs: number;
  onChange(resolution: Resolution): void;
}

export function ResolutionInput({ resolution, rangeMs, onChange }: Props) {
  const stepMs = stepOf(resolution, rangeMs);
  const isListed = resolution.type === 'fixed' && FIXED_MS.includes(resolution.stepMs);
  const choice =
    resolution.type === 'auto' ? resolution.density : isListed ? String(resolution.stepMs) : 'custom';

  const pick = (value: string) => {
    if (value === 'custom') onChange({ type: 'custom', stepMs });
    else if (/^\d+$/.test(value)) onChange({ type: 'fixed', stepMs: Number(value) });
    else onChange({ type: 'auto', density: value as Density });
  };
  return (
    <Group gap={4} wrap="nowrap">
      <NativeSelect
        aria-label="Resolution"
        data={CHOICES}
        value={choice}
        onChange={(event) => pick(event.currentTarget.value)}
      />
      {choice === 'custom' && (
        <StepInput stepMs={stepMs} onChange={(next) => onChange({ type: 'custom', stepMs: next })} />
      )}
    </Group>
  );
}

function StepInput({ stepMs, onChange }: { stepMs: number; onChange(stepMs: number): void }) {
  const shown = formatDuration(stepMs);
  const [text, setText] = useState(shown);
  useEffect(() => setText(shown), [shown]);
  const parsed = parseDuration(text);
  const isValid = parsed !== null && parsed > 0;
  const commit = () => {
    if (isValid) onChange(parsed);
    else setText(shown);
  };
  return (
    <TextInput
      aria-label="Step"
      w={84}
      value={text}
      error={!isValid}
      onChange={(event) => setText(event.currentTarget.value)}
      onBlur={commit}
      onKeyDown={(event) => event.key === 'Enter' && commit()}
    />
  );
}
