// One group of rules: a heading that opens and closes, and a row per rule.
import { Badge, Paper, Table, UnstyledButton } from '@mantine/core';
import { IconBell, IconChevronDown, IconChevronRight, IconDatabase } from '@tabler/icons-react';
import type { Rule, RuleGroup } from '../api/types';
import { labOf } from '../lab/labState';
import { humanizeDuration } from '../lib/duration';
import { formatCount } from '../lib/number';
import { LabelList } from '../targets/LabelList';
import { Expression } from './Expression';
import { More, RuleHealthBadge, Since, StateBadge, useWindow } from './parts';
import { healthOf, type ShownGroup } from './ruleFilter';

const RULES_AT_FIRST = 50;
const MORE_RULES = 100;
/** A group that takes this share of its interval is close to missing evaluations. */
const SLOW_SHARE = 0.8;

interface Props {
  shown: ShownGroup;
  nowMs: number;
  /** Changes with the filter. */
  filterKey: string;
  isCollapsed: boolean;
  onToggle(): void;
}

function Kind({ rule }: { rule: Rule }) {
  const isAlert = rule.type === 'alerting';
  const Icon = isAlert ? IconBell : IconDatabase;
  return (
    <span className="ek-rule-kind" data-testid="rule-kind">
      <Icon size={14} aria-hidden /> {isAlert ? 'alert' : 'record'}
    </span>
  );
}

function Took({ seconds, isSlow = false }: { seconds: number | undefined; isSlow?: boolean }) {
  if (seconds === undefined) return null;
  return (
    <span className={`ek-nowrap ${isSlow ? 'ek-slow' : 'ek-dimmed'}`}>
      {' '}
      in {humanizeDuration(seconds * 1000)}
    </span>
  );
}

function RuleRow({ rule, group, nowMs }: { rule: Rule; group: RuleGroup; nowMs: number }) {
  const health = healthOf(rule);
  const labels = rule.labels ?? {};
  const holds =
    rule.type === 'alerting'
      ? ([
          ['for', rule.duration],
          ['keep_firing_for', rule.keepFiringFor],
        ] as const)
      : [];
  return (
    <Table.Tr data-testid="rule-row" data-health={health} data-type={rule.type}>
      <Table.Td data-label="Rule">
        <div className="ek-rule-name">{rule.name}</div>
        <Kind rule={rule} />
        {rule.type === 'alerting' && rule.state !== 'inactive' && rule.state !== 'unknown' && (
          <StateBadge state={rule.state} />
        )}
      </Table.Td>
      <Table.Td data-label="Definition">
        <Expression
          expr={rule.query}
          name={rule.name}
          {...(rule.type === 'alerting' ? { lab: labOf(rule, group) } : {})}
        />
        {(holds.some(([, value]) => (value ?? 0) > 0) || Object.keys(labels).length > 0) && (
          <div className="ek-rule-facts">
            {holds.map(
              ([name, value]) =>
                (value ?? 0) > 0 && (
                  <span key={name}>
                    <b>{name}</b> {humanizeDuration((value ?? 0) * 1000)}
                  </span>
                ),
            )}
            {Object.keys(labels).length > 0 && <LabelList labels={labels} />}
          </div>
        )}
        {rule.lastError && (
          <div className="ek-target-error" data-testid="rule-error">
            {rule.lastError}
          </div>
        )}
      </Table.Td>
      <Table.Td data-label="Last evaluation">
        <Since time={rule.lastEvaluation} nowMs={nowMs} />
        {health !== 'unknown' && <Took seconds={rule.evaluationTime} />}
      </Table.Td>
      <Table.Td data-label="Health">
        <RuleHealthBadge health={health} />
      </Table.Td>
    </Table.Tr>
  );
}

function GroupTiming({ group, nowMs }: { group: RuleGroup; nowMs: number }) {
  const isSlow = (group.evaluationTime ?? 0) > group.interval * SLOW_SHARE;
  return (
    <span className="ek-group-timing ek-small">
      <span className="ek-dimmed">every {humanizeDuration(group.interval * 1000)}, evaluated </span>
      <Since time={group.lastEvaluation} nowMs={nowMs} />
      <Took seconds={group.evaluationTime} isSlow={isSlow} />
    </span>
  );
}

export function RuleGroupView({ shown, nowMs, filterKey, isCollapsed, onToggle }: Props) {
  const { group, rules, failed } = shown;
  const limited = useWindow(RULES_AT_FIRST, MORE_RULES, filterKey);
  return (
    <Paper
      withBorder
      className="ek-pool"
      component="section"
      aria-label={`${group.name}, ${group.file}`}
      data-testid="rule-group"
    >
      <h2 className="ek-pool-heading">
        <UnstyledButton className="ek-pool-button" aria-expanded={!isCollapsed} onClick={onToggle}>
          {isCollapsed ? <IconChevronRight size={18} /> : <IconChevronDown size={18} />}
          <span className="ek-group-name">
            <span className="ek-pool-name">{group.name}</span>{' '}
            <span className="ek-dimmed ek-small">{group.file}</span>
          </span>
          <Badge variant="light" color="gray" tt="none">
            {rules.length < group.rules.length && `${formatCount(rules.length)} of `}
            {formatCount(group.rules.length)} {group.rules.length === 1 ? 'rule' : 'rules'}
          </Badge>
          {failed > 0 && (
            <span className="ek-state" data-health="err">
              {formatCount(failed)} failed
            </span>
          )}
          <GroupTiming group={group} nowMs={nowMs} />
        </UnstyledButton>
      </h2>
      {!isCollapsed && (
        <Table className="ek-targets" verticalSpacing="xs" horizontalSpacing="md" layout="fixed">
          <Table.Thead>
            <Table.Tr>
              <Table.Th w="22%">Rule</Table.Th>
              <Table.Th>Definition</Table.Th>
              <Table.Th w={190}>Last evaluation</Table.Th>
              <Table.Th w={150}>Health</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rules.slice(0, limited.limit).map((rule, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: rules of a group may have the same name.
              <RuleRow key={`${index} ${rule.name}`} rule={rule} group={group} nowMs={nowMs} />
            ))}
          </Table.Tbody>
        </Table>
      )}
      {!isCollapsed && <More total={rules.length} shown={limited} what="rules" />}
    </Paper>
  );
}
