// One scrape pool: a heading that opens and closes, and a row per target.
import { Anchor, Badge, Paper, Table, UnstyledButton } from '@mantine/core';
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import { useState } from 'react';
import type { ActiveTarget, RefusedSamples, TargetHealth } from '../api/types';
import { humanizeDuration, parseDuration } from '../lib/duration';
import { formatCount } from '../lib/number';
import { useStore } from '../lib/store';
import { formatTime, zoneStore } from '../lib/time';
import { type Pool, refusedSeriesText } from './filter';
import { LabelList } from './LabelList';

const ROWS_AT_FIRST = 200;

interface Props {
  pool: Pool;
  dropped: number;
  nowMs: number;
  isCollapsed: boolean;
  onToggle(): void;
}

export function HealthBadge({ health }: { health: TargetHealth }) {
  return (
    <span className="ek-health" data-health={health}>
      {health}
    </span>
  );
}

/** Addresses come from discovery: only plain web links become links. */
function Endpoint({ target }: { target: ActiveTarget }) {
  const isWeb = /^https?:\/\//i.test(target.globalUrl ?? target.scrapeUrl);
  if (!isWeb) return <span className="ek-endpoint">{target.scrapeUrl}</span>;
  return (
    <Anchor
      size="sm"
      className="ek-endpoint"
      href={target.globalUrl ?? target.scrapeUrl}
      target="_blank"
      rel="noreferrer noopener"
    >
      {target.scrapeUrl}
    </Anchor>
  );
}

function LastScrape({ target, nowMs }: { target: ActiveTarget; nowMs: number }) {
  const zone = useStore(zoneStore);
  const last = Date.parse(target.lastScrape ?? '');
  // The zero time of servers that have not scraped yet lies in the year 1.
  const isKnown = Number.isFinite(last) && last > 0;
  const durationMs = (target.lastScrapeDuration ?? 0) * 1000;
  const timeoutMs = parseDuration(target.scrapeTimeout ?? '') ?? Number.POSITIVE_INFINITY;
  return (
    <>
      <span title={isKnown ? formatTime(last, zone) : undefined}>
        {isKnown ? `${humanizeDuration(Math.max(0, nowMs - last))} ago` : 'never'}
      </span>
      {isKnown && (
        <span className={durationMs > timeoutMs * 0.8 ? 'ek-slow' : 'ek-dimmed'}>
          {' '}
          in {humanizeDuration(durationMs)}
        </span>
      )}
      {target.scrapeInterval && (
        <div className="ek-dimmed ek-small">
          every {target.scrapeInterval}
          {target.scrapeTimeout && `, timeout ${target.scrapeTimeout}`}
        </div>
      )}
    </>
  );
}

/** What of the last scrape was not taken, in words. */
function refusedText(refused: RefusedSamples): string {
  const parts = [
    [refused.outOfOrder, 'out of order'],
    [refused.duplicate, 'duplicate'],
    [refused.tooOld, 'too old'],
    [refused.tooFarAhead, 'ahead of the clock'],
  ] as const;
  const told = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return `Samples not taken: ${told.join(', ')}`;
}

function TargetRow({ target, nowMs }: { target: ActiveTarget; nowMs: number }) {
  return (
    <Table.Tr data-testid="target-row" data-health={target.health}>
      <Table.Td data-label="Endpoint">
        <Endpoint target={target} />
      </Table.Td>
      <Table.Td data-label="Labels">
        <LabelList labels={target.labels} discovered={target.discoveredLabels} />
      </Table.Td>
      <Table.Td data-label="Last scrape" className="ek-nowrap">
        <LastScrape target={target} nowMs={nowMs} />
      </Table.Td>
      <Table.Td data-label="State">
        <HealthBadge health={target.health} />
        {target.lastError && <div className="ek-target-error">{target.lastError}</div>}
        {target.refusedSamples && (
          <div className="ek-target-error" data-testid="refused-samples">
            {refusedText(target.refusedSamples)}
          </div>
        )}
        {target.refusedSeries && (
          <div className="ek-target-error" data-testid="refused-series">
            {refusedSeriesText(target.refusedSeries)}
          </div>
        )}
      </Table.Td>
    </Table.Tr>
  );
}

export function PoolView({ pool, dropped, nowMs, isCollapsed, onToggle }: Props) {
  const [showAll, setShowAll] = useState(false);
  const rows = showAll ? pool.targets : pool.targets.slice(0, ROWS_AT_FIRST);
  const state = pool.down > 0 ? 'down' : pool.up === pool.total ? 'up' : 'unknown';
  return (
    <Paper
      withBorder
      className="ek-pool"
      data-testid="target-pool"
      component="section"
      aria-label={pool.name}
    >
      <h2 className="ek-pool-heading">
        <UnstyledButton className="ek-pool-button" aria-expanded={!isCollapsed} onClick={onToggle}>
          {isCollapsed ? <IconChevronRight size={18} /> : <IconChevronDown size={18} />}
          <span className="ek-pool-name">{pool.name}</span>
          <span className="ek-pool-count" data-health={state}>
            {formatCount(pool.up)} / {formatCount(pool.total)} up
          </span>
          <span className="ek-pool-bar" aria-hidden>
            <span style={{ width: `${(100 * pool.up) / pool.total}%` }} />
          </span>
          {pool.refused > 0 && (
            <Badge variant="light" color="yellow" tt="none" data-testid="refused-count">
              {formatCount(pool.refused)} series refused
            </Badge>
          )}
          {dropped > 0 && (
            <Badge variant="light" color="gray" tt="none" data-testid="dropped-count">
              {formatCount(dropped)} dropped
            </Badge>
          )}
        </UnstyledButton>
      </h2>
      {!isCollapsed && (
        <Table className="ek-targets" verticalSpacing="xs" horizontalSpacing="md" layout="fixed">
          <Table.Thead>
            <Table.Tr>
              <Table.Th w="28%">Endpoint</Table.Th>
              <Table.Th>Labels</Table.Th>
              <Table.Th w={210}>Last scrape</Table.Th>
              <Table.Th w="24%">State</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map((target) => (
              <TargetRow
                key={`${target.scrapeUrl} ${JSON.stringify(target.labels)}`}
                target={target}
                nowMs={nowMs}
              />
            ))}
          </Table.Tbody>
        </Table>
      )}
      {!isCollapsed && rows.length < pool.targets.length && (
        <UnstyledButton className="ek-more" onClick={() => setShowAll(true)}>
          Show all {formatCount(pool.targets.length)} targets
        </UnstyledButton>
      )}
    </Paper>
  );
}
