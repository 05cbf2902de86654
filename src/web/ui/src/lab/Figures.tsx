// The figures of a rule over the range.
import { Paper } from '@mantine/core';
import { humanizeDuration } from '../lib/duration';
import { formatCount } from '../lib/number';
import type { Totals } from './types';

function Figure({ name, value, id }: { name: string; value: string; id: string }) {
  return (
    <Paper withBorder className="ek-tile">
      <dd className="ek-tile-number" data-testid={`figure-${id}`}>
        {value}
      </dd>
      <dt className="ek-dimmed ek-small">{name}</dt>
    </Paper>
  );
}

export function Figures({ totals, alertCount }: { totals: Totals; alertCount: number }) {
  const perWeek = totals.firingsPerWeek;
  return (
    <dl className="ek-tiles ek-figures">
      <Figure id="firings" name="firings" value={formatCount(totals.firings)} />
      <Figure
        id="week"
        name="firings a week"
        value={perWeek >= 100 ? formatCount(Math.round(perWeek)) : String(Number(perWeek.toFixed(1)))}
      />
      <Figure id="firing" name="time firing" value={humanizeDuration(totals.firingSeconds * 1000)} />
      <Figure
        id="longest"
        name="longest firing"
        value={humanizeDuration(totals.longestFiringSeconds * 1000)}
      />
      <Figure id="alerts" name="alerts" value={formatCount(alertCount)} />
      <Figure id="passed" name="pending, never fired" value={formatCount(totals.pendingPassed)} />
    </dl>
  );
}
