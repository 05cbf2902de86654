// What the head of the time series database holds, and what takes the room.
import { NativeSelect, Paper, SimpleGrid, Stack, Table } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { apiGet } from '../api/client';
import type { NamedCount, TsdbStatus } from '../api/types';
import { formatCount, humanizeNumber } from '../lib/number';
import { useStore } from '../lib/store';
import { formatTime, type Zone, zoneStore, zoneSuffix } from '../lib/time';
import { QueryProblem } from '../query/Messages';
import { PageTitle } from '../shell/PageTitle';

function TopList({ title, unit, rows }: { title: string; unit: string; rows: NamedCount[] }) {
  const most = Math.max(1, ...rows.map(({ value }) => value));
  return (
    <Paper withBorder className="ek-card" component="section" aria-label={title}>
      <h2 className="ek-card-title">{title}</h2>
      <Table className="ek-top" layout="fixed">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Name</Table.Th>
            <Table.Th w={110} ta="right">
              {unit}
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map(({ name, value }) => (
            <Table.Tr key={name}>
              <Table.Td className="ek-top-name">
                <span className="ek-top-bar" style={{ width: `${(100 * value) / most}%` }} aria-hidden />
                <span className="ek-top-text">{name}</span>
              </Table.Td>
              <Table.Td ta="right" className="ek-number" title={formatCount(value)}>
                {unit === 'Bytes' ? humanizeNumber(value, 1) : formatCount(value)}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      {rows.length === 0 && <div className="ek-dimmed ek-small">Nothing to show.</div>}
    </Paper>
  );
}

/** Empty databases report the extreme times of their integer type. */
function edge(ms: number | undefined, zone: Zone): string {
  if (ms === undefined || Math.abs(ms) > 8.64e15) return 'no samples';
  return `${formatTime(Math.floor(ms / 1000) * 1000, zone)} ${zoneSuffix(ms, zone)}`;
}

function HeadStats({ head }: { head: NonNullable<TsdbStatus['headStats']> }) {
  const zone = useStore(zoneStore);
  const facts: Array<[string, string]> = [
    ['Series', head.numSeries === undefined ? '' : formatCount(head.numSeries)],
    ['Chunks', head.chunkCount === undefined ? '' : formatCount(head.chunkCount)],
    ['Label pairs', head.numLabelPairs === undefined ? '' : formatCount(head.numLabelPairs)],
    ['Oldest sample', edge(head.minTime, zone)],
    ['Newest sample', edge(head.maxTime, zone)],
  ];
  return (
    <div className="ek-tiles">
      {facts
        .filter(([, text]) => text !== '')
        .map(([label, text]) => (
          <Paper withBorder key={label} className="ek-tile">
            <div className="ek-dimmed ek-small">{label}</div>
            <div className={text.length > 14 ? 'ek-tile-text' : 'ek-tile-number'}>{text}</div>
          </Paper>
        ))}
    </div>
  );
}

export default function TsdbPage() {
  const [limit, setLimit] = useState(10);
  const { data, error } = useQuery({
    queryKey: ['status', 'tsdb', limit],
    queryFn: async ({ signal }) => (await apiGet<TsdbStatus>('status/tsdb', { limit }, signal)).data,
    placeholderData: keepPreviousData,
    staleTime: 10_000,
  });
  return (
    <Stack gap="md">
      <PageTitle title="TSDB status">
        <NativeSelect
          aria-label="Length of the lists"
          value={String(limit)}
          onChange={(event) => setLimit(Number(event.currentTarget.value))}
          data={[10, 20, 50, 100].map((count) => ({ value: String(count), label: `Top ${count}` }))}
        />
      </PageTitle>
      {error && <QueryProblem error={error} />}
      {data && (
        <>
          {data.headStats && <HeadStats head={data.headStats} />}
          <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
            <TopList
              title="Metrics with most series"
              unit="Series"
              rows={data.seriesCountByMetricName ?? []}
            />
            <TopList
              title="Labels with most values"
              unit="Values"
              rows={data.labelValueCountByLabelName ?? []}
            />
            <TopList
              title="Label pairs with most series"
              unit="Series"
              rows={data.seriesCountByLabelValuePair ?? []}
            />
            <TopList title="Labels by memory" unit="Bytes" rows={data.memoryInBytesByLabelName ?? []} />
          </SimpleGrid>
        </>
      )}
    </Stack>
  );
}
