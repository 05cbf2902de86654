// The firings of a rule one by one, the newest first.
import { Table } from '@mantine/core';
import { useMemo } from 'react';
import { humanizeDuration } from '../lib/duration';
import { parseSampleValue } from '../lib/number';
import { useStore } from '../lib/store';
import { formatTime, type Zone, zoneStore } from '../lib/time';
import { More, useWindow } from '../rules/parts';
import { LabelList } from '../targets/LabelList';
import type { AlertHistory, Backtest, Span } from './types';

const ROWS_AT_FIRST = 20;
const MORE_ROWS = 100;

interface Firing {
  alert: AlertHistory;
  span: Span;
}

export function firingsOf(data: Backtest): Firing[] {
  const all = data.alerts.flatMap((alert) =>
    alert.spans.filter(({ state }) => state === 'firing').map((span) => ({ alert, span })),
  );
  return all.sort((a, b) => b.span.from - a.span.from);
}

function when(seconds: number, zone: Zone): string {
  return formatTime(Math.round(seconds) * 1000, zone);
}

function Row({ firing, end, zone }: { firing: Firing; end: number; zone: Zone }) {
  const { alert, span } = firing;
  const peak = parseSampleValue(span.peak ?? '');
  return (
    <Table.Tr data-testid="firing-row">
      <Table.Td data-label="Began">
        {span.sinceBefore && 'before '}
        {when(span.from, zone)}
      </Table.Td>
      <Table.Td data-label="Ended">{span.to === null ? 'still firing' : when(span.to, zone)}</Table.Td>
      <Table.Td data-label="Lasted" className="ek-nowrap">
        {humanizeDuration(((span.to ?? end) - span.from) * 1000)}
      </Table.Td>
      <Table.Td data-label="Peak" className="ek-number">
        {Number.isFinite(peak) ? String(Number(peak.toPrecision(6))) : (span.peak ?? '')}
      </Table.Td>
      <Table.Td data-label="Labels">
        <LabelList labels={alert.labels} />
      </Table.Td>
    </Table.Tr>
  );
}

export function Firings({ data }: { data: Backtest }) {
  const zone = useStore(zoneStore);
  const firings = useMemo(() => firingsOf(data), [data]);
  const shown = useWindow(ROWS_AT_FIRST, MORE_ROWS, data.rule.query);
  if (firings.length === 0) return null;
  return (
    <section aria-labelledby="ek-firings">
      <h2 className="ek-card-title ek-lab-heading" id="ek-firings">
        Firings
      </h2>
      <Table className="ek-targets" verticalSpacing="xs" horizontalSpacing="md" layout="fixed">
        <Table.Thead>
          <Table.Tr>
            <Table.Th w={190}>Began</Table.Th>
            <Table.Th w={190}>Ended</Table.Th>
            <Table.Th w={110}>Lasted</Table.Th>
            <Table.Th w={110}>Peak</Table.Th>
            <Table.Th>Labels</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {firings.slice(0, shown.limit).map((firing) => (
            <Row
              key={`${firing.span.from} ${JSON.stringify(firing.alert.labels)}`}
              firing={firing}
              end={data.lastEvaluation}
              zone={zone}
            />
          ))}
        </Table.Tbody>
      </Table>
      <More total={firings.length} shown={shown} what="firings" />
    </section>
  );
}
