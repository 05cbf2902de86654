// A rule file beside the rules that are loaded: what the change would have sent.
import { Anchor, Button, Group, Loader, Paper, Table, Textarea } from '@mantine/core';
import { IconPlayerPlayFilled } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'react-router';
import { apiPost } from '../api/client';
import { humanizeDuration } from '../lib/duration';
import { formatCount } from '../lib/number';
import { Annotations, Hint, QueryProblem } from '../query/Messages';
import { RangeInput } from '../query/RangeInput';
import { TimeInput } from '../query/TimeInput';
import { More, useWindow } from '../rules/parts';
import { type LabState, labOf } from './labState';
import type { TabProps } from './RuleTab';
import { sessionText } from './sessionText';
import type { ComparedRule, Comparison, Outcome } from './types';

const ROWS_AT_FIRST = 50;
const MORE_ROWS = 100;

const PLACEHOLDER = `groups:
  - name: example
    rules:
      - alert: TargetDown
        expr: up == 0
        for: 5m`;

function verdict(rule: ComparedRule): string {
  if (rule.current === null) return 'new';
  if (rule.proposed === null) return 'removed';
  return rule.isSame ? 'unchanged' : 'changed';
}

function Side({ outcome }: { outcome: Outcome | null }) {
  if (outcome === null) return <span className="ek-dimmed">none</span>;
  if (outcome.error !== undefined) return <span className="ek-target-error">{outcome.error}</span>;
  const totals = outcome.totals!;
  return (
    <>
      <b className="ek-number">{formatCount(totals.firings)}</b>{' '}
      <span className="ek-dimmed ek-small">
        {humanizeDuration(totals.firingSeconds * 1000)} in all
        {(outcome.failedEvaluations ?? 0) > 0 &&
          `, ${formatCount(outcome.failedEvaluations!)} evaluations failed`}
      </span>
    </>
  );
}

function Row({ rule, lab }: { rule: ComparedRule; lab: LabState }) {
  const tried = (rule.proposed ?? rule.current)!.rule;
  const state = verdict(rule);
  return (
    <Table.Tr data-testid="compared-rule" data-verdict={state}>
      <Table.Td data-label="Alert">
        <div className="ek-rule-name">{rule.alert}</div>
        <div className="ek-dimmed ek-small">
          {rule.group}, {state}
        </div>
        <Anchor component={Link} inherit to={labOf(tried, undefined, lab)} className="ek-small">
          Try in the lab<span className="ek-visually-hidden"> {rule.alert}</span>
        </Anchor>
      </Table.Td>
      <Table.Td data-label="Now">
        <Side outcome={rule.current} />
      </Table.Td>
      <Table.Td data-label="Proposed">
        <Side outcome={rule.proposed} />
      </Table.Td>
      <Table.Td data-label="In both" className="ek-number">
        {formatCount(rule.both)}
      </Table.Td>
      <Table.Td data-label="Only now" className="ek-number">
        {formatCount(rule.onlyCurrent)}
      </Table.Td>
      <Table.Td data-label="Only proposed" className="ek-number">
        {formatCount(rule.onlyProposed)}
      </Table.Td>
    </Table.Tr>
  );
}

function Compared({ data, lab }: { data: Comparison; lab: LabState }) {
  const shown = useWindow(ROWS_AT_FIRST, MORE_ROWS, String(data.start));
  const sum = (of: (rule: ComparedRule) => number) => data.rules.reduce((total, rule) => total + of(rule), 0);
  if (data.rules.length === 0)
    return <Hint>The file has no alerting rules, and neither have its groups now.</Hint>;
  return (
    <>
      <p className="ek-lab-note" role="status" data-testid="compared-sum">
        {formatCount(sum((rule) => rule.both))} firings in both,{' '}
        {formatCount(sum((rule) => rule.onlyCurrent))} only with the rules of now,{' '}
        {formatCount(sum((rule) => rule.onlyProposed))} only with the proposed ones.
        {data.recorded.length > 0 && ` New series were evaluated for it: ${data.recorded.join(', ')}.`}
      </p>
      <Table className="ek-targets" verticalSpacing="xs" horizontalSpacing="md" layout="fixed">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Alert</Table.Th>
            <Table.Th w="20%">Firings now</Table.Th>
            <Table.Th w="20%">Proposed</Table.Th>
            <Table.Th w={100}>In both</Table.Th>
            <Table.Th w={100}>Only now</Table.Th>
            <Table.Th w={120}>Only proposed</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {data.rules.slice(0, shown.limit).map((rule, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rules of a group may have the same name.
            <Row key={`${index} ${rule.alert}`} rule={rule} lab={lab} />
          ))}
        </Table.Tbody>
      </Table>
      <More total={data.rules.length} shown={shown} what="rules" />
    </>
  );
}

export function FileTab({ lab, change }: TabProps) {
  const [text, setText] = useState(() => sessionText.get());
  const comparison = useMutation({
    mutationFn: (rules: string) => {
      const endMs = lab.endMs ?? Date.now();
      return apiPost<Comparison>('rules/backtest', {
        rules,
        start: (endMs - lab.rangeMs) / 1000,
        end: endMs / 1000,
      });
    },
  });
  const { data, error, isPending } = comparison;
  return (
    <Paper withBorder radius="md" className="ek-panel" component="section" aria-label="Rule file">
      <Textarea
        label="Proposed rule file"
        description="Groups are compared with the loaded groups of the same name."
        placeholder={PLACEHOLDER}
        autosize
        minRows={8}
        maxRows={24}
        spellCheck={false}
        classNames={{ input: 'ek-mono' }}
        data-testid="rule-file"
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
          sessionText.set(event.currentTarget.value);
        }}
      />
      <Group gap="sm" mt="sm" className="ek-graph-controls">
        <RangeInput rangeMs={lab.rangeMs} onChange={(rangeMs) => change({ rangeMs })} />
        <TimeInput
          label="End time"
          valueMs={lab.endMs}
          shiftMs={lab.rangeMs}
          onChange={(endMs) => change({ endMs })}
        />
        <Button
          data-testid="compare"
          disabled={text.trim() === '' || isPending}
          onClick={() => comparison.mutate(text)}
          leftSection={
            isPending ? <Loader size={14} color="white" /> : <IconPlayerPlayFilled size={14} aria-hidden />
          }
        >
          Compare
        </Button>
      </Group>
      {error && <QueryProblem error={error} />}
      {data && <Annotations warnings={data.warnings} infos={data.infos} />}
      {data && <Compared data={data.data} lab={lab} />}
    </Paper>
  );
}
