// The rules page: groups of recording and alerting rules with their health.
import { Button, Chip, Group, NativeSelect, Stack, TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import { useDeferredValue, useEffect, useMemo, useState } from 'react';
import { useSearchParams } from 'react-router';
import type { Rule, RuleHealth } from '../api/types';
import { formatCount } from '../lib/number';
import { useStore } from '../lib/store';
import { Hint, QueryProblem } from '../query/Messages';
import { PageTitle } from '../shell/PageTitle';
import { collapsedStore, withCollapsed } from './collapsed';
import { HowToAddRules, More, useWindow } from './parts';
import { RuleGroupView } from './RuleGroupView';
import { decodeRuleFilter, encodeRuleFilter, type RuleFilter, type RuleOrder, viewRules } from './ruleFilter';
import { useRules, useServerTime } from './useRules';

const GROUPS_AT_FIRST = 20;
const MORE_GROUPS = 20;

const HEALTHS: ReadonlyArray<readonly [RuleHealth, string]> = [
  ['ok', 'Ok'],
  ['err', 'Failed'],
  ['unknown', 'Not evaluated'],
];

const EXAMPLE = `# rules/requests.yml
groups:
  - name: requests
    rules:
      - record: job:http_requests:rate5m
        expr: sum by (job) (rate(http_requests_total[5m]))`;

export default function RulesPage() {
  const [params, setParams] = useSearchParams();
  const filter = useMemo(() => decodeRuleFilter(params), [params]);
  const { data, error, dataUpdatedAt } = useRules();
  const nowMs = useServerTime(dataUpdatedAt);
  const [search, setSearch] = useState(filter.search);
  useEffect(() => setSearch(filter.search), [filter.search]);
  // Typing stays quick with many rules.
  const used = useDeferredValue(filter);
  const groups = data?.value;
  const { shown, health, total } = useMemo(() => viewRules(groups ?? [], used), [groups, used]);

  const collapsedNames = useStore(collapsedStore);
  const collapsed = useMemo(() => new Set(collapsedNames), [collapsedNames]);
  const keys = shown.map(({ key }) => key);
  const areAllCollapsed = keys.length > 0 && keys.every((key) => collapsed.has(key));
  const collapse = (names: string[], isCollapsed: boolean) =>
    collapsedStore.set((current) => withCollapsed(current, names, isCollapsed));
  const setFilter = (patch: Partial<RuleFilter>) =>
    setParams(encodeRuleFilter({ ...filter, ...patch }), { replace: true });
  const filterKey = encodeRuleFilter(used).toString();
  const limited = useWindow(GROUPS_AT_FIRST, MORE_GROUPS, filterKey);

  const healths = HEALTHS.filter(
    ([value]) => value !== 'unknown' || health.unknown > 0 || filter.health.includes(value),
  );

  return (
    <Stack gap="md">
      <PageTitle title="Rules">
        {groups && (
          <span className="ek-page-note" role="status">
            {formatCount(total)} {total === 1 ? 'rule' : 'rules'} in {formatCount(groups.length)}{' '}
            {groups.length === 1 ? 'group' : 'groups'}
          </span>
        )}
      </PageTitle>
      <Group gap="sm" className="ek-filters">
        <NativeSelect
          aria-label="Kind of rule"
          data-testid="rule-type"
          value={filter.type ?? ''}
          onChange={(event) =>
            setFilter({ type: (event.currentTarget.value || null) as Rule['type'] | null })
          }
          data={[
            { value: '', label: 'All rules' },
            { value: 'alerting', label: 'Alerting rules' },
            { value: 'recording', label: 'Recording rules' },
          ]}
        />
        <TextInput
          aria-label="Search rules"
          placeholder="Search by name, labels, group or file"
          leftSection={<IconSearch size={16} />}
          className="ek-grow"
          data-testid="rule-search"
          value={search}
          onChange={(event) => {
            setSearch(event.currentTarget.value);
            setFilter({ search: event.currentTarget.value });
          }}
        />
        <Chip.Group
          multiple
          value={filter.health}
          onChange={(chosen) => setFilter({ health: chosen as RuleHealth[] })}
        >
          <Group gap={6} role="group" aria-label="Rules by health">
            {healths.map(([value, label]) => (
              <Chip key={value} value={value} variant="outline" data-testid={`rules-${value}`}>
                {label} {formatCount(health[value])}
              </Chip>
            ))}
          </Group>
        </Chip.Group>
        <NativeSelect
          aria-label="Order"
          data-testid="rule-order"
          value={filter.order}
          onChange={(event) => setFilter({ order: event.currentTarget.value as RuleOrder })}
          data={[
            { value: 'file', label: 'By file' },
            { value: 'slowest', label: 'Slowest first' },
          ]}
        />
        <Button
          variant="default"
          disabled={keys.length === 0}
          onClick={() => collapse(keys, !areAllCollapsed)}
        >
          {areAllCollapsed ? 'Expand all' : 'Collapse all'}
        </Button>
      </Group>
      {error && <QueryProblem error={error} />}
      {shown.slice(0, limited.limit).map((one) => (
        <RuleGroupView
          key={one.key}
          shown={one}
          nowMs={nowMs}
          filterKey={filterKey}
          isCollapsed={collapsed.has(one.key)}
          onToggle={() => collapse([one.key], !collapsed.has(one.key))}
        />
      ))}
      <More total={shown.length} shown={limited} what="groups" />
      {groups && total === 0 && <HowToAddRules what="There are no rules" example={EXAMPLE} />}
      {total > 0 && shown.length === 0 && <Hint>No rule matches these filters.</Hint>}
    </Stack>
  );
}
