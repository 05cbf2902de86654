// One alerting rule: a heading that opens and closes, its facts, and a row per alert.
import { Paper, Table, UnstyledButton } from '@mantine/core';
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import type { Alert, AlertingRule } from '../api/types';
import { labOf } from '../lab/labState';
import { humanizeDuration } from '../lib/duration';
import { formatCount, parseSampleValue } from '../lib/number';
import { SilenceLink } from '../notifications/SilenceLink';
import { LabelList } from '../targets/LabelList';
import type { AlertOrder, ShownRule } from './alertFilter';
import { Expression } from './Expression';
import { AnnotationList, More, Since, StateBadge, useWindow } from './parts';

const ALERTS_AT_FIRST = 20;
const MORE_ALERTS = 100;

/** The value in full, as a person writes it. */
function valueText(text: string | undefined): string {
  const value = parseSampleValue(text ?? '');
  if (text === undefined || text === '') return '';
  return Number.isFinite(value) ? String(value) : text;
}

function AlertRow({ alert, nowMs }: { alert: Alert; nowMs: number }) {
  return (
    <Table.Tr data-testid="alert-row" data-state={alert.state}>
      <Table.Td data-label="State">
        <StateBadge state={alert.state} />
        {alert.keepFiringSince && (
          <div className="ek-dimmed ek-small">
            kept firing since its series ended, <Since time={alert.keepFiringSince} nowMs={nowMs} />
          </div>
        )}
      </Table.Td>
      <Table.Td data-label="Labels and annotations">
        <LabelList labels={alert.labels} />
        <AnnotationList annotations={alert.annotations} />
        {alert.state === 'firing' && <SilenceLink labels={alert.labels} />}
      </Table.Td>
      <Table.Td data-label="Active since">
        <Since time={alert.activeAt} nowMs={nowMs} isFull />
      </Table.Td>
      <Table.Td data-label="Value" className="ek-alert-value">
        {valueText(alert.value)}
      </Table.Td>
    </Table.Tr>
  );
}

function AlertTable({ alerts, nowMs, filterKey }: { alerts: Alert[]; nowMs: number; filterKey: string }) {
  const shown = useWindow(ALERTS_AT_FIRST, MORE_ALERTS, filterKey);
  return (
    <>
      <Table className="ek-targets ek-alerts" verticalSpacing="xs" horizontalSpacing="md" layout="fixed">
        <Table.Thead>
          <Table.Tr>
            <Table.Th w={130}>State</Table.Th>
            <Table.Th>Labels and annotations</Table.Th>
            <Table.Th w={220}>Active since</Table.Th>
            <Table.Th w={150} className="ek-alert-value">
              Value
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {alerts.slice(0, shown.limit).map((alert) => (
            <AlertRow key={JSON.stringify(alert.labels)} alert={alert} nowMs={nowMs} />
          ))}
        </Table.Tbody>
      </Table>
      <More total={alerts.length} shown={shown} what="alerts" />
    </>
  );
}

function RuleFacts({ rule, nowMs }: { rule: AlertingRule; nowMs: number }) {
  const seconds = (value: number | undefined) => humanizeDuration((value ?? 0) * 1000);
  const labels = rule.labels ?? {};
  return (
    <div className="ek-rule-facts">
      {(rule.duration ?? 0) > 0 && (
        <span>
          <b>for</b> {seconds(rule.duration)}
        </span>
      )}
      {(rule.keepFiringFor ?? 0) > 0 && (
        <span>
          <b>keep_firing_for</b> {seconds(rule.keepFiringFor)}
        </span>
      )}
      <span>
        <b>evaluated</b> <Since time={rule.lastEvaluation} nowMs={nowMs} />
      </span>
      {Object.keys(labels).length > 0 && <LabelList labels={labels} />}
    </div>
  );
}

interface Props {
  shown: ShownRule;
  nowMs: number;
  order: AlertOrder;
  /** Changes with the filter. */
  filterKey: string;
  isOpen: boolean;
  onToggle(): void;
}

export function AlertRule({ shown, nowMs, order, filterKey, isOpen, onToggle }: Props) {
  const { rule, alerts, group } = shown;
  const Heading = order === 'group' ? 'h3' : 'h2';
  const total = rule.alerts?.length ?? 0;
  return (
    <Paper
      withBorder
      className="ek-pool ek-alert-rule"
      component="section"
      aria-label={rule.name}
      data-testid="alert-rule"
      data-state={rule.state}
    >
      <Heading className="ek-pool-heading">
        <UnstyledButton className="ek-pool-button" aria-expanded={isOpen} onClick={onToggle}>
          {isOpen ? <IconChevronDown size={18} /> : <IconChevronRight size={18} />}
          <StateBadge state={rule.state} />
          <span className="ek-pool-name">{rule.name}</span>
          {total > 0 && (
            <span className="ek-dimmed ek-small ek-nowrap">
              {alerts.length < total && `${formatCount(alerts.length)} of `}
              {formatCount(total)} {total === 1 ? 'alert' : 'alerts'}
            </span>
          )}
          {rule.health === 'err' && (
            <span className="ek-state" data-health="err">
              evaluation failed
            </span>
          )}
          {order !== 'group' && <span className="ek-rule-group ek-dimmed ek-small">{group.name}</span>}
        </UnstyledButton>
      </Heading>
      {isOpen && (
        <>
          <div className="ek-rule-body">
            <Expression expr={rule.query} name={rule.name} lab={labOf(rule, group)} />
            <RuleFacts rule={rule} nowMs={nowMs} />
            {rule.lastError && <div className="ek-target-error">{rule.lastError}</div>}
            {/* Without alerts there is nothing to fill in: the annotations as they are written. */}
            {total === 0 && <AnnotationList annotations={rule.annotations} />}
          </div>
          {alerts.length > 0 && <AlertTable alerts={alerts} nowMs={nowMs} filterKey={filterKey} />}
        </>
      )}
    </Paper>
  );
}
