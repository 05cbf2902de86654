// Rows of an instant result. Long results are cut until asked for, and then
// shown as plain text, which is much cheaper to lay out.
import { Button, Table } from '@mantine/core';
import { memo, type ReactNode, useEffect, useState } from 'react';
import type { HistogramValue, QueryData } from '../api/types';
import { formatCount } from '../lib/number';
import { SeriesName } from '../lib/SeriesName';
import { formatSeries, type Labels } from '../lib/series';
import { useStore } from '../lib/store';
import { formatTime, type Zone, zoneStore } from '../lib/time';
import { Hint } from './Messages';

const ROW_LIMIT = 1000;

interface Row {
  labels: Labels | null;
  value: ReactNode;
}

export function histogramText({ count, sum }: HistogramValue): string {
  return `count: ${count}, sum: ${sum}`;
}

function At({ value, seconds, zone }: { value: string; seconds: number; zone: Zone }) {
  return (
    <div className="ek-sample">
      {value} <span className="ek-sample-time">@{formatTime(Math.round(seconds * 1000), zone)}</span>
    </div>
  );
}

function rowsOf(data: QueryData, zone: Zone): Row[] {
  switch (data.resultType) {
    case 'scalar':
    case 'string':
      return [{ labels: null, value: data.result[1] }];
    case 'vector':
      return data.result.map(({ metric, value, histogram }) => ({
        labels: metric,
        value: value ? value[1] : histogram ? histogramText(histogram[1]) : '',
      }));
    case 'matrix':
      return data.result.map(({ metric, values = [], histograms = [] }) => ({
        labels: metric,
        value: [
          ...values.map(([time, text]) => <At key={time} value={text} seconds={time} zone={zone} />),
          ...histograms.map(([time, h]) => (
            <At key={`h${time}`} value={histogramText(h)} seconds={time} zone={zone} />
          )),
        ],
      }));
    default:
      return [];
  }
}

export const ResultTable = memo(function ResultTable({ data }: { data: QueryData }) {
  const zone = useStore(zoneStore);
  const [showAll, setShowAll] = useState(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new result starts cut again.
  useEffect(() => setShowAll(false), [data]);

  const all = rowsOf(data, zone);
  if (all.length === 0) return <Hint>The result is empty: no series matched at this time.</Hint>;
  const rows = showAll ? all : all.slice(0, ROW_LIMIT);
  const isPlain = rows.length > ROW_LIMIT;
  return (
    <>
      {rows.length < all.length && (
        <div className="ek-cut">
          Showing the first {formatCount(ROW_LIMIT)} of {formatCount(all.length)} series.{' '}
          <Button size="compact-sm" variant="light" onClick={() => setShowAll(true)}>
            Show all
          </Button>
        </div>
      )}
      <Table className="ek-result" data-testid="result-table" highlightOnHover verticalSpacing={6}>
        <Table.Thead className="ek-visually-hidden">
          <Table.Tr>
            <Table.Th>Series</Table.Th>
            <Table.Th>Value</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map(({ labels, value }, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows have no other identity than their place.
            <Table.Tr key={index}>
              <Table.Td className="ek-result-series">
                {labels === null ? (
                  data.resultType
                ) : isPlain ? (
                  formatSeries(labels)
                ) : (
                  <SeriesName labels={labels} />
                )}
              </Table.Td>
              <Table.Td className="ek-result-value">{value}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </>
  );
});
