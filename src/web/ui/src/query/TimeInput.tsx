// A point in time or "now": typed as text, picked from the browser's own
// calendar, or moved by half the range.
import { ActionIcon, Group, TextInput } from '@mantine/core';
import { IconCalendar, IconChevronLeft, IconChevronRight, IconX } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
import { useStore } from '../lib/store';
import { formatTime, parseTime, zoneStore } from '../lib/time';
import { shiftEnd } from './range';

interface Props {
  label: string;
  valueMs: number | null;
  /** Range whose half the buttons move by. */
  shiftMs: number;
  onChange(valueMs: number | null): void;
}

export function TimeInput({ label, valueMs, shiftMs, onChange }: Props) {
  const zone = useStore(zoneStore);
  const shown = valueMs === null ? '' : formatTime(valueMs, zone);
  const [text, setText] = useState(shown);
  const picker = useRef<HTMLInputElement>(null);
  useEffect(() => setText(shown), [shown]);

  const parsed = parseTime(text, zone);
  const isValid = text.trim() === '' || text.trim() === 'now' || parsed !== null;
  const commit = () => {
    if (text === shown) return;
    if (!isValid) setText(shown);
    else onChange(parsed);
  };
  const move = (direction: -1 | 1) =>
    onChange(Math.round(shiftEnd(valueMs ?? Date.now(), shiftMs, direction) / 1000) * 1000);

  return (
    <Group gap={4} wrap="nowrap" className="ek-time">
      <ActionIcon variant="default" size="input-sm" aria-label={`${label}: earlier`} onClick={() => move(-1)}>
        <IconChevronLeft size={16} />
      </ActionIcon>
      <div className="ek-time-field">
        <TextInput
          aria-label={label}
          placeholder={`${label}: now`}
          value={text}
          error={!isValid}
          onChange={(event) => setText(event.currentTarget.value)}
          onBlur={commit}
          onKeyDown={(event) => event.key === 'Enter' && commit()}
          rightSectionWidth={valueMs === null ? 32 : 58}
          rightSection={
            <Group gap={0} wrap="nowrap">
              {valueMs !== null && (
                <ActionIcon
                  variant="transparent"
                  color="gray"
                  size="sm"
                  aria-label={`${label}: now`}
                  onClick={() => onChange(null)}
                >
                  <IconX size={14} />
                </ActionIcon>
              )}
              <ActionIcon
                variant="transparent"
                color="gray"
                size="sm"
                aria-label={`${label}: calendar`}
                onClick={() => picker.current?.showPicker?.()}
              >
                <IconCalendar size={16} />
              </ActionIcon>
            </Group>
          }
        />
        <input
          ref={picker}
          type="datetime-local"
          step={1}
          className="ek-time-picker"
          tabIndex={-1}
          aria-hidden
          value={formatTime(valueMs ?? Date.now(), zone)
            .slice(0, 19)
            .replace(' ', 'T')}
          onChange={(event) => {
            const picked = parseTime(event.currentTarget.value, zone);
            if (picked !== null) onChange(picked);
          }}
        />
      </div>
      <ActionIcon variant="default" size="input-sm" aria-label={`${label}: later`} onClick={() => move(1)}>
        <IconChevronRight size={16} />
      </ActionIcon>
    </Group>
  );
}
