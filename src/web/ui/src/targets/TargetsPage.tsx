// The targets page: pools of scrape targets with their state.
import { Button, Chip, Group, NativeSelect, Stack, TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import { useEffect, useMemo, useState } from 'react';
import { useSearchParams } from 'react-router';
import type { TargetHealth } from '../api/types';
import { formatCount } from '../lib/number';
import { Hint, QueryProblem } from '../query/Messages';
import { PageTitle } from '../shell/PageTitle';
import { decodeFilter, encodeFilter, groupByPool, type TargetFilter } from './filter';
import { PoolView } from './PoolView';
import { useDroppedCounts, useTargets } from './useTargets';

const HEALTHS: ReadonlyArray<readonly [TargetHealth, string]> = [
  ['up', 'Up'],
  ['down', 'Down'],
  ['unknown', 'Unknown'],
];

export default function TargetsPage() {
  const [params, setParams] = useSearchParams();
  const filter = useMemo(() => decodeFilter(params), [params]);
  const { data: targets, error, dataUpdatedAt } = useTargets();
  const { data: dropped } = useDroppedCounts();
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const [search, setSearch] = useState(filter.search);
  useEffect(() => setSearch(filter.search), [filter.search]);

  const setFilter = (patch: Partial<TargetFilter>) =>
    setParams(encodeFilter({ ...filter, ...patch }), { replace: true });
  const pools = useMemo(() => groupByPool(targets ?? [], filter), [targets, filter]);
  const shown = pools.filter((pool) => pool.targets.length > 0);
  const up = pools.reduce((sum, pool) => sum + pool.up, 0);
  const areAllCollapsed = shown.length > 0 && shown.every((pool) => collapsed.has(pool.name));

  const toggle = (name: string) =>
    setCollapsed((current) => {
      const next = new Set(current);
      if (!next.delete(name)) next.add(name);
      return next;
    });

  return (
    <Stack gap="md">
      <PageTitle title="Targets">
        {targets && (
          <span className="ek-page-note" role="status">
            {formatCount(up)} of {formatCount(targets.length)} up
          </span>
        )}
      </PageTitle>
      <Group gap="sm" className="ek-filters">
        <NativeSelect
          aria-label="Scrape pool"
          value={filter.pool ?? ''}
          onChange={(event) => setFilter({ pool: event.currentTarget.value || null })}
          data={[
            { value: '', label: 'All scrape pools' },
            ...pools.map(({ name }) => ({ value: name, label: name })),
          ]}
        />
        <TextInput
          aria-label="Search targets"
          placeholder="Search by endpoint, labels or error"
          leftSection={<IconSearch size={16} />}
          className="ek-grow"
          value={search}
          onChange={(event) => {
            setSearch(event.currentTarget.value);
            setFilter({ search: event.currentTarget.value });
          }}
        />
        <Chip.Group
          multiple
          value={filter.health}
          onChange={(health) => setFilter({ health: health as TargetHealth[] })}
        >
          <Group gap={6} role="group" aria-label="Health">
            {HEALTHS.map(([value, label]) => (
              <Chip key={value} value={value} variant="outline" data-testid={`health-${value}`}>
                {label}
              </Chip>
            ))}
          </Group>
        </Chip.Group>
        <Button
          variant="default"
          onClick={() => setCollapsed(areAllCollapsed ? new Set() : new Set(shown.map(({ name }) => name)))}
        >
          {areAllCollapsed ? 'Expand all' : 'Collapse all'}
        </Button>
      </Group>
      {error && <QueryProblem error={error} />}
      {shown.map((pool) => (
        <PoolView
          key={pool.name}
          pool={pool}
          dropped={dropped?.[pool.name] ?? 0}
          nowMs={dataUpdatedAt}
          isCollapsed={collapsed.has(pool.name)}
          onToggle={() => toggle(pool.name)}
        />
      ))}
      {targets && shown.length === 0 && (
        <Hint>
          {targets.length === 0 ? 'No targets are being scraped.' : 'No target matches these filters.'}
        </Hint>
      )}
    </Stack>
  );
}
