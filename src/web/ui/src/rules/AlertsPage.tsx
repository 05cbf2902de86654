// The alerts page: alerting rules with their alerts, and who is told of them.
import { Button, Chip, Group, NativeSelect, Stack, TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import { useDeferredValue, useEffect, useMemo, useState } from 'react';
import { useSearchParams } from 'react-router';
import type { RuleState } from '../api/types';
import { formatCount } from '../lib/number';
import { Hint, QueryProblem } from '../query/Messages';
import { PageTitle } from '../shell/PageTitle';
import { AlertmanagerNote } from './AlertmanagerNote';
import { AlertRule } from './AlertRule';
import {
  type AlertFilter,
  type AlertOrder,
  decodeAlertFilter,
  encodeAlertFilter,
  type ShownRule,
  STATES,
  viewAlerts,
} from './alertFilter';
import { HowToAddRules, More, useWindow } from './parts';
import { groupKey } from './texts';
import { useAlerts, useKnownFiringCount, useServerTime } from './useRules';

const RULES_AT_FIRST = 50;
const MORE_RULES = 50;

const STATE_NAMES: Readonly<Record<RuleState, string>> = {
  firing: 'Firing',
  pending: 'Pending',
  inactive: 'Inactive',
  unknown: 'Not evaluated',
};

const EXAMPLE = `# rules/up.yml
groups:
  - name: targets
    rules:
      - alert: TargetDown
        expr: up == 0
        for: 5m
        annotations:
          summary: '{{ $labels.instance }} does not answer.'`;

/** The heading of a group, where the rule is the first of it. */
function GroupHeading({ rules, index }: { rules: ShownRule[]; index: number }) {
  const { group } = rules[index]!;
  const last = rules[index - 1]?.group;
  if (last && groupKey(last) === groupKey(group)) return null;
  return (
    <h2 className="ek-group-title" data-testid="alert-group">
      {group.name} <span className="ek-dimmed ek-small">{group.file}</span>
    </h2>
  );
}

export default function AlertsPage() {
  const [params, setParams] = useSearchParams();
  const filter = useMemo(() => decodeAlertFilter(params), [params]);
  const { data, error, dataUpdatedAt } = useAlerts();
  const nowMs = useServerTime(dataUpdatedAt);
  const [search, setSearch] = useState(filter.search);
  useEffect(() => setSearch(filter.search), [filter.search]);
  // Typing stays quick with many alerts.
  const used = useDeferredValue(filter);
  const groups = data?.value;
  const view = useMemo(() => viewAlerts(groups ?? [], used), [groups, used]);
  useKnownFiringCount(groups ? view.firing : undefined);

  // Rules with alerts are open unless said otherwise.
  const [opened, setOpened] = useState<ReadonlyMap<string, boolean>>(new Map());
  const isOpen = ({ key, alerts }: ShownRule) => opened.get(key) ?? alerts.length > 0;
  const areAllClosed = !view.shown.some(isOpen);
  const setFilter = (patch: Partial<AlertFilter>) =>
    setParams(encodeAlertFilter({ ...filter, ...patch }), { replace: true });
  const filterKey = encodeAlertFilter(used).toString();
  const rules = useWindow(RULES_AT_FIRST, MORE_RULES, filterKey);
  const total = Object.values(view.rules).reduce((sum, count) => sum + count, 0);

  const states = STATES.filter(
    (state) => state !== 'unknown' || view.rules.unknown > 0 || filter.states.includes(state),
  );

  return (
    <Stack gap="md">
      <PageTitle title="Alerts">
        {groups && (
          <span className="ek-page-note" role="status" data-testid="alert-counts">
            {formatCount(view.firing)} {view.firing === 1 ? 'alert' : 'alerts'} firing,{' '}
            {formatCount(view.pending)} pending
          </span>
        )}
      </PageTitle>
      <AlertmanagerNote />
      <Group gap="sm" className="ek-filters">
        <TextInput
          aria-label="Search alerts"
          placeholder="Search by name, labels, group or file"
          leftSection={<IconSearch size={16} />}
          className="ek-grow"
          data-testid="alert-search"
          value={search}
          onChange={(event) => {
            setSearch(event.currentTarget.value);
            setFilter({ search: event.currentTarget.value });
          }}
        />
        <Chip.Group
          multiple
          value={filter.states}
          onChange={(states) => setFilter({ states: states as RuleState[] })}
        >
          <Group gap={6} role="group" aria-label="Rules by state">
            {states.map((state) => (
              <Chip key={state} value={state} variant="outline" data-testid={`state-${state}`}>
                {STATE_NAMES[state]} {formatCount(view.rules[state])}
              </Chip>
            ))}
          </Group>
        </Chip.Group>
        <NativeSelect
          aria-label="Order"
          data-testid="alert-order"
          value={filter.order}
          onChange={(event) => setFilter({ order: event.currentTarget.value as AlertOrder })}
          data={[
            { value: 'group', label: 'By group' },
            { value: 'state', label: 'Firing first' },
          ]}
        />
        <Button
          variant="default"
          disabled={view.shown.length === 0}
          onClick={() => setOpened(new Map(view.shown.map(({ key }) => [key, areAllClosed])))}
        >
          {areAllClosed ? 'Expand all' : 'Collapse all'}
        </Button>
      </Group>
      {error && <QueryProblem error={error} />}
      {view.shown.slice(0, rules.limit).map((shown, index) => (
        <div key={shown.key} className="ek-alert-entry">
          {used.order === 'group' && <GroupHeading rules={view.shown} index={index} />}
          <AlertRule
            shown={shown}
            nowMs={nowMs}
            order={used.order}
            filterKey={filterKey}
            isOpen={isOpen(shown)}
            onToggle={() => setOpened(new Map(opened).set(shown.key, !isOpen(shown)))}
          />
        </div>
      ))}
      <More total={view.shown.length} shown={rules} what="rules" />
      {groups && total === 0 && <HowToAddRules what="There are no alerting rules" example={EXAMPLE} />}
      {total > 0 && view.shown.length === 0 && <Hint>No alert matches these filters.</Hint>}
    </Stack>
  );
}
