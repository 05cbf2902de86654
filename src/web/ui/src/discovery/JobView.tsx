// One job: how its mechanisms fare, and its targets before and after relabelling.
import { Badge, Button, Paper, Table, UnstyledButton } from '@mantine/core';
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import { useState } from 'react';
import type { MechanismStatus } from '../api/types';
import { humanizeDuration } from '../lib/duration';
import { formatCount } from '../lib/number';
import type { Labels } from '../lib/series';
import { useStore } from '../lib/store';
import { formatTime, zoneStore } from '../lib/time';
import { QueryProblem } from '../query/Messages';
import { Pairs } from '../targets/LabelList';
import type { FoundTarget, Job } from './jobs';
import { type LabelChange, shownSteps } from './steps';
import { useSteps } from './useDiscovery';

const ROWS_AT_FIRST = 50;

function Ago({ time, nowMs }: { time: string; nowMs: number }) {
  const zone = useStore(zoneStore);
  const at = Date.parse(time);
  return <span title={formatTime(at, zone)}>{humanizeDuration(Math.max(0, nowMs - at))} ago</span>;
}

function signed(added: number, removed: number): string {
  return [added > 0 && `+${formatCount(added)}`, removed > 0 && `−${formatCount(removed)}`]
    .filter(Boolean)
    .join(' ');
}

function Mechanism({ status, nowMs }: { status: MechanismStatus; nowMs: number }) {
  const zone = useStore(zoneStore);
  const { lastRefresh, lastDuration, nextRefresh, lastError, lastErrorTime, changes } = status;
  const next = nextRefresh ? Date.parse(nextRefresh) - nowMs : Number.NaN;
  const health = lastError ? 'down' : lastRefresh ? 'up' : 'unknown';
  return (
    <div className="ek-mechanism" data-testid="mechanism" data-health={health}>
      <div className="ek-mechanism-line">
        <span className="ek-health" data-health={health}>
          {status.mechanism}
        </span>
        <span className="ek-endpoint">{status.what}</span>
        <span className="ek-dimmed">
          {formatCount(status.targets)} {status.targets === 1 ? 'target' : 'targets'}
        </span>
        <span className="ek-dimmed ek-small">
          {lastRefresh ? (
            <>
              refreshed <Ago time={lastRefresh} nowMs={nowMs} />
              {typeof lastDuration === 'number' && ` in ${humanizeDuration(lastDuration * 1000)}`}
            </>
          ) : (
            'not refreshed yet'
          )}
          {next > 0 && `, next in ${humanizeDuration(next)}`}
        </span>
      </div>
      {lastError && (
        <div className="ek-target-error">
          {lastError}
          {lastErrorTime && (
            <span className="ek-dimmed">
              {' '}
              (<Ago time={lastErrorTime} nowMs={nowMs} />)
            </span>
          )}
        </div>
      )}
      {changes.length > 0 && (
        <div className="ek-changes ek-small">
          {changes.slice(0, 8).map(({ at, added, removed }) => (
            <span key={`${at} ${added} ${removed}`} title={formatTime(Date.parse(at), zone)}>
              {signed(added, removed)}{' '}
              <span className="ek-dimmed">{humanizeDuration(Math.max(0, nowMs - Date.parse(at)))} ago</span>
            </span>
          ))}
        </div>
      )}
    </div>
  );
}

function Change({ name, before, after }: LabelChange) {
  return (
    <div className="ek-label-change">
      <span className="ek-label-name">{name}</span>
      {before !== undefined && <del>{before}</del>}
      {after !== undefined && <ins>{after}</ins>}
    </div>
  );
}

function Steps({ job, discovered }: { job: string; discovered: Labels }) {
  const { data, error } = useSteps(job, discovered, true);
  if (error) return <QueryProblem error={error} />;
  if (!data) return null;
  if (data.length === 0) return <div className="ek-dimmed">The job has no relabelling rules.</div>;
  return (
    <ol className="ek-steps" data-testid="relabel-steps">
      {shownSteps(discovered, data).map(({ rule, outcome, changes }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rules have no other name than their place
        <li key={index} data-outcome={outcome}>
          <code>{rule}</code> <span className="ek-step-outcome">{outcome}</span>
          {changes.map((change) => (
            <Change key={change.name} {...change} />
          ))}
        </li>
      ))}
    </ol>
  );
}

function TargetRow({ job, target }: { job: string; target: FoundTarget }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Table.Tr data-testid="discovered-row" data-dropped={target.labels === undefined}>
        <Table.Td data-label="Discovered labels">
          <Pairs labels={target.discovered} />
        </Table.Td>
        <Table.Td data-label="Target labels">
          {target.labels ? (
            <Pairs labels={target.labels} />
          ) : (
            <span className="ek-health" data-health="unknown">
              dropped
            </span>
          )}
        </Table.Td>
        <Table.Td data-label="Relabelling">
          <Button variant="default" size="compact-sm" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
            {isOpen ? 'Hide steps' : 'Show steps'}
          </Button>
        </Table.Td>
      </Table.Tr>
      {isOpen && (
        <Table.Tr>
          <Table.Td colSpan={3}>
            <Steps job={job} discovered={target.discovered} />
          </Table.Td>
        </Table.Tr>
      )}
    </>
  );
}

export function JobView({ job, nowMs, isOpenAtFirst }: { job: Job; nowMs: number; isOpenAtFirst: boolean }) {
  const [isOpen, setOpen] = useState(isOpenAtFirst);
  const [showAll, setShowAll] = useState(false);
  const rows = showAll ? job.targets : job.targets.slice(0, ROWS_AT_FIRST);
  return (
    <Paper
      withBorder
      className="ek-pool"
      data-testid="discovery-job"
      component="section"
      aria-label={job.name}
    >
      <h2 className="ek-pool-heading">
        <UnstyledButton className="ek-pool-button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {isOpen ? <IconChevronDown size={18} /> : <IconChevronRight size={18} />}
          <span className="ek-pool-name">{job.name}</span>
          <span className="ek-pool-count">{formatCount(job.active)} active</span>
          {job.dropped > 0 && (
            <Badge variant="light" color="gray" tt="none">
              {formatCount(job.dropped)} dropped
            </Badge>
          )}
          {job.mechanisms.some(({ lastError }) => lastError) && (
            <Badge variant="light" color="red" tt="none">
              failing
            </Badge>
          )}
        </UnstyledButton>
      </h2>
      {isOpen && job.mechanisms.length > 0 && (
        <div className="ek-mechanisms">
          {job.mechanisms.map((status, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: sections have no other name than their place
            <Mechanism key={index} status={status} nowMs={nowMs} />
          ))}
        </div>
      )}
      {isOpen && job.targets.length > 0 && (
        <Table className="ek-targets" verticalSpacing="xs" horizontalSpacing="md" layout="fixed">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Discovered labels</Table.Th>
              <Table.Th w="34%">Target labels</Table.Th>
              <Table.Th w={140}>Relabelling</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map((target) => (
              <TargetRow
                key={`${JSON.stringify(target.discovered)} ${JSON.stringify(target.labels)}`}
                job={job.name}
                target={target}
              />
            ))}
          </Table.Tbody>
        </Table>
      )}
      {isOpen && rows.length < job.targets.length && (
        <UnstyledButton className="ek-more" onClick={() => setShowAll(true)}>
          Show all {formatCount(job.targets.length)} targets
        </UnstyledButton>
      )}
    </Paper>
  );
}
